"""Test accuracy of EPSL over the aggregation ratio phi: digits, IID clients, real training.

    python -m experiments aggregation

Shown beside each ratio: what PSL reaches on the rows that EPSL does not aggregate ("control"), since every claim about
phi has to hold against that; and the unbiased correction at a lower learning rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from experiments.everybody import everybody
from experiments.running import Case, Experiment, Row, at_least
from splitgym.learning import Learner
from splitgym.scenario import build

BATCH = 32
LOWER_RATES: Mapping[str, float] = {"client_learning_rate": 0.02, "server_learning_rate": 0.02}
"""For the unbiased correction, whose gradients have n times the noise; otherwise the scenario's 0.05."""
METHODS = ("virtual", "inject", "unbiased", "control")
RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Cases:
    """Methods and ratios."""

    rounds: int = 300
    """Training rounds; 10 in the short form."""
    clients: int = 5
    """Clients, all taking part."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them, except for a control without rows."""
        at_least(1, rounds=self.rounds, clients=self.clients)
        size = {"clients": self.clients, "rounds": 10 if quick else self.rounds}
        return [
            {"method": method, "aggregation_ratio": phi, **size}
            for method, phi in product(METHODS, RATIOS)
            if not (method == "control" and phi == 1)
        ]


def training(method: str, aggregation_ratio: float) -> dict[str, Any]:
    """Training settings of a method."""
    if method == "control":
        return {"batch_size": round((1 - aggregation_ratio) * BATCH)}
    if method == "unbiased":
        return {"batch_size": BATCH, **LOWER_RATES, "aggregation_correction": "unbiased"}
    return {"batch_size": BATCH, "aggregation_reading": method}


def measure(case: Case, seed: int) -> list[Row]:
    """Test accuracy after the last round, cut after the first convolution."""
    method, phi, rounds = case["method"], case["aggregation_ratio"], case["rounds"]
    task = {"partition": "iid", "evaluation_samples": None, "evaluate_every": rounds}
    own = {"task": task, "clients": {"count": case["clients"]}, "training": training(method, phi)}
    scenario = build("iot", own)
    learner = Learner(scenario, "epsl", seed)
    decision = everybody(scenario, 1, 0.0 if method == "control" else phi)
    for _ in range(rounds):
        outcome = learner.round(decision)
    return [{"accuracy": outcome.accuracy}]


def report(rows: pd.DataFrame) -> str:
    """Mean and spread of every method, a row for each ratio."""
    percent = 100 * rows.groupby(["aggregation_ratio", "method"])["accuracy"].agg(["mean", "std"])
    lines = ["| phi | " + " | ".join(METHODS) + " |", "|---:" * (1 + len(METHODS)) + "|"]
    for phi in percent.index.unique("aggregation_ratio"):
        cells = [_cell(*percent.loc[(phi, name)]) if (phi, name) in percent.index else "" for name in METHODS]
        lines.append(f"| {phi:g} | " + " | ".join(cells) + " |")
    size = rows.iloc[0]
    caption = (
        f"Test accuracy (%) after {size['rounds']} rounds, {size['clients']} IID clients, batch {BATCH}, digits, "
        f"mean ± standard deviation over {rows['seed'].nunique()} seeds."
    )
    return "\n".join([caption, "", *lines])


def _cell(mean: float, spread: float) -> str:
    """Mean ± standard deviation, which a single run does not have."""
    return f"{mean:.1f}" if np.isnan(spread) else f"{mean:.1f} ± {spread:.1f}"


EXPERIMENT = Experiment(
    title="Does aggregating last-layer gradients cost accuracy? EPSL over phi, on digits with IID clients",
    cases=Cases(),
    measure=measure,
    report=report,
)
