"""What is compared: frameworks with their aggregation ratios, on tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """A framework as it is run here."""

    framework: str
    aggregation_ratio: float = 0.0
    training: Mapping[str, Any] = field(default_factory=dict)
    """Training settings in which it differs."""


def methods(rounds: int) -> dict[str, Method]:
    """All methods by the name that tables and plots show.

    EPSL is virtual, by the mean field, unless "inject" is said. EPSL-PT switches at half of the rounds.
    """
    inject = {"aggregation_reading": "inject"}
    return {
        "centralised": Method("centralised"),
        "FL": Method("fl"),
        "SL": Method("sl"),
        "SFL-V1": Method("sfl-v1"),
        "SFL-V2": Method("sfl-v2"),
        "CPSL": Method("cpsl"),
        "PSL": Method("psl"),
        "EPSL(0.5)": Method("epsl", 0.5),
        "EPSL(0.5) corrected": Method("epsl", 0.5, {"aggregation_correction": "unbiased"}),
        "EPSL(0.5) inject": Method("epsl", 0.5, inject),
        "EPSL(1)": Method("epsl", 1.0),
        "EPSL(1) inject": Method("epsl", 1.0, inject),
        "EPSL-PT": Method("epsl-pt", 0.0, {"switch_round": rounds // 2}),
        "EPSL-PT inject": Method("epsl-pt", 0.0, {**inject, "switch_round": rounds // 2}),
        "PSL-drop(0.5)": Method("psl-drop", 0.5),
    }


_SMALL_CNN = {
    "batch_size": 32,
    "optimizer": "sgd",
    "client_learning_rate": 0.05,
    "server_learning_rate": 0.05,
    "momentum": 0.9,
}

TASKS: dict[str, dict[str, Mapping[str, Any]]] = {
    "ham10000": {
        "task": {"dataset": "ham10000", "model": "resnet18", "stem": "7x7", "augmentation": "symmetries"},
        "training": {
            "batch_size": 64,
            "optimizer": "adam",
            # Lower than the server's: clients that drift apart share a server less well.
            "client_learning_rate": 2e-4,
            "server_learning_rate": 1e-3,
            "weight_decay": 1e-4,
        },
    },
    "mnist": {
        "task": {"dataset": "mnist", "model": "cnn"},
        "training": _SMALL_CNN,
    },
    "digits": {
        "task": {"dataset": "digits", "model": "cnn"},
        "training": {**_SMALL_CNN, "weight_decay": 0.005},
    },
}
"""Network, data and optimiser of each task; all methods have the same, with a one-cycle learning rate."""

TARGETS = {"ham10000": 0.755, "mnist": 0.98, "digits": 0.97}
"""Test accuracy to which simulated time is counted."""

MAJORITY = {"ham10000": (0.669, 1 / 7)}
"""Accuracy and balanced accuracy of naming the most frequent class for every image, where there is one."""
