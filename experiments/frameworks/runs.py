"""One training run: real training in the cell of arXiv 2306.12194, Fig. 4."""

from collections.abc import Mapping
from typing import Any

from experiments.frameworks.methods import TASKS, Method, methods
from experiments.running import Case, Row
from splitgym.allocation import allocate
from splitgym.envs import SplitLearningEnv
from splitgym.frameworks import get
from splitgym.types import Plan

ALPHA = 0.5
"""Dirichlet concentration of the non-IID runs."""


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each measurement of a run: greedy subchannels, exact power control, fixed cut layer, everybody."""
    method = methods(case["rounds"])[case["method"]]
    # The seed decides cell, data split and initial weights, so methods are compared on the same ones.
    env = SplitLearningEnv("edge6g", framework=method.framework, action="schedule", **_overrides(case, method))
    _, info = env.reset(seed=seed)
    rows = [_row(info)]
    for _ in range(case["rounds"]):
        state = env.state
        ratio = state.ratio(method.aggregation_ratio)
        *_, info = env.play(allocate(state, Plan(case["cut_layer"], ratio), state.available))
        if info["evaluated"]:
            rows.append(_row(info))
    return rows


def _overrides(case: Case, method: Method) -> dict[str, dict[str, Any]]:
    task, training = TASKS[case["task"]], dict(method.training)
    if case["batch_size"] is not None:
        training["batch_size"] = case["batch_size"]
    if not get(method.framework).cuts and get(method.framework).segments[0].node == "client":
        # Who trains the whole network does so at the rate that most of it has elsewhere.
        training["client_learning_rate"] = task["training"]["server_learning_rate"]
    schedule = {
        "learning_rate_schedule": "one-cycle",
        "schedule_rounds": case["rounds"],
        "precision": case["precision"],
    }
    measured = {"evaluation_samples": None, "evaluate_every": case["evaluate_every"]}
    partition = {"partition": case["partition"], "dirichlet_alpha": ALPHA}
    return {
        "task": {**task["task"], **partition, **measured},
        "training": {**task["training"], **schedule, **training},
        "episode": {"stop_at_target": False, "max_rounds": case["rounds"] + 1, "time_budget_s": 1e9},
    }


def _row(info: Mapping[str, Any]) -> Row:
    names = ("round", "elapsed_s", "accuracy", "worst_accuracy", "balanced_accuracy", "loss")
    return {name: round(float(info[name]), 6) for name in names}
