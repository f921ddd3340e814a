"""One training run: real training in the cell of arXiv 2306.12194, Fig. 4, and its curve as a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.frameworks.methods import TASKS, Method, methods
from splitgym.allocation import allocate
from splitgym.envs import SplitLearningEnv
from splitgym.frameworks import get

ALPHA = 0.5
"""Dirichlet concentration of the non-IID runs."""


@dataclass(frozen=True)
class Job:
    """One training run."""

    task: str
    method: str
    partition: str
    """"iid" or "dirichlet"."""
    seed: int
    rounds: int
    evaluate_every: int
    cut_layer: int
    precision: str
    batch_size: int | None = None
    """Absent: the task's."""

    @property
    def file_name(self) -> str:
        """Name of the file with the run's curve."""
        name = self.method.replace("(", "-").replace(")", "").replace(" ", "-")
        return f"{self.task}_{self.partition}_{name}_{self.seed}.csv"


def run(job: Job, folder: Path) -> pd.DataFrame:
    """The run's curve, one row for each measurement; taken from its file if the same run is finished already."""
    path = folder / job.file_name
    settings = f"# {json.dumps(vars(job))}"
    if path.exists() and path.read_text(encoding="utf-8").splitlines()[0] == settings:
        return pd.read_csv(path, comment="#")
    curve = _train(job)
    # Written beside and renamed: a stopped run leaves no half file.
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(f"{settings}\n{curve.to_csv(index=False)}", encoding="utf-8")
    unfinished.rename(path)
    return curve


def _train(job: Job) -> pd.DataFrame:
    """All rounds with everybody: greedy subchannels and exact power control at a fixed cut layer."""
    method = methods(job.rounds)[job.method]
    # The seed decides cell, data split and initial weights, so methods are compared on the same ones.
    env = SplitLearningEnv("edge6g", framework=method.framework, action="schedule", **_overrides(job, method))
    _, info = env.reset(seed=job.seed)
    rows = [_row(info)]
    for _ in range(job.rounds):
        state = env.state
        ratio = state.ratio(method.aggregation_ratio)
        *_, info = env.play(allocate(state, job.cut_layer, state.available, ratio))
        if info["evaluated"]:
            rows.append(_row(info))
    return pd.DataFrame(rows)


def _overrides(job: Job, method: Method) -> dict[str, dict[str, Any]]:
    task, training = TASKS[job.task], dict(method.training)
    if job.batch_size is not None:
        training["batch_size"] = job.batch_size
    if get(method.framework).network_at == "clients":
        # Who trains the whole network does so at the rate that most of it has elsewhere.
        training["client_learning_rate"] = task["training"]["server_learning_rate"]
    schedule = {"learning_rate_schedule": "one-cycle", "schedule_rounds": job.rounds, "precision": job.precision}
    measured = {"evaluation_samples": None, "evaluate_every": job.evaluate_every}
    partition = {"partition": job.partition, "dirichlet_alpha": ALPHA}
    return {
        "task": {**task["task"], **partition, **measured},
        "training": {**task["training"], **schedule, **training},
        "episode": {"stop_at_target": False, "max_rounds": job.rounds + 1, "time_budget_s": 1e9},
    }


def _row(info: Mapping[str, Any]) -> dict[str, float]:
    names = ("round", "elapsed_s", "accuracy", "worst_accuracy", "balanced_accuracy", "loss")
    return {name: round(float(info[name]), 6) for name in names}
