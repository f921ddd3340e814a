"""Real training of digits in the three architectures, in the cell of the preset, with training sets of all sizes."""

from typing import Any

import numpy as np

from experiments.three_tier.architectures import ARCHITECTURES, framework_of, scenario_of
from splitgym.allocation import allocate
from splitgym.envs import SplitLearningEnv
from splitgym.types import Plan

SAMPLES = (200, 500, 1400)
"""Training samples of all clients together."""
ROUNDS, EVERY = 80, 2
"""Rounds of a run; accuracy is measured every so many."""
CUT_LAYER = 1
"""Of all architectures, so that they train the same weights; at the best one (the last) no edge server has a unit."""
TARGET = 0.9
"""Test accuracy to which time is counted."""
FIELDS: dict[str, dict[str, Any]] = {
    "training": {
        "batch_size": 32,
        "optimizer": "sgd",
        "client_learning_rate": 0.05,
        "server_learning_rate": 0.05,
        "momentum": 0.9,
    },
    "episode": {"stop_at_target": False, "max_rounds": ROUNDS + 1, "time_budget_s": 1e9},
}


def cases(quick: bool) -> list[dict[str, Any]]:
    """Every architecture with every size of the training set."""
    return [
        {"part": "training", "samples": samples, "architecture": architecture}
        for samples in (SAMPLES[::2] if quick else SAMPLES)
        for architecture in ARCHITECTURES
    ]


def measure(samples: int, architecture: str, seed: int) -> list[dict[str, Any]]:
    """A row for each measurement of accuracy; the seed decides cell, data and initial weights, for all architectures.

    Everybody takes part in every round.
    """
    task = {"dataset": "digits", "model": "cnn", "train_samples": samples, "evaluation_samples": None}
    scenario = scenario_of(architecture, {**FIELDS, "task": {**task, "evaluate_every": EVERY}})
    framework = framework_of(architecture)
    env = SplitLearningEnv(scenario, framework=framework.name, action="schedule", device="cpu")
    _, info = env.reset(seed=seed)
    everybody = np.ones(scenario.clients.count, bool)
    rows = []
    for _ in range(ROUNDS + 1):
        if info["evaluated"]:
            rows.append(
                {
                    "round": int(info["round"]),
                    "elapsed_s": float(f"{info['elapsed_s']:.5g}"),
                    "accuracy": round(float(info["accuracy"]), 5),
                    "cut_layer": CUT_LAYER,
                    "second_cut": scenario.cloud.cut_layer,
                }
            )
        *_, info = env.play(allocate(env.state, Plan(CUT_LAYER, 0.0), everybody))
    return rows
