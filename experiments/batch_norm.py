"""Whether EPSL fails with running statistics because these lag: test accuracy by running and by batch statistics.

    python -m experiments batch_norm

With Adam, ResNet-18 and the virtual pass on running statistics EPSL(0.5) stays at the majority class. If the running
statistics only lagged behind fast layers, what was learnt would show once test rows are normalised by their own
statistics.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS, methods
from experiments.running import Case, Experiment, Row, at_least
from splitgym.frameworks.parties import Parties
from splitgym.learning import Learner
from splitgym.scenario import build

METHODS = ("PSL", "EPSL(0.5)", "EPSL(0.5) joint")


@dataclass(frozen=True)
class Cases:
    """The methods."""

    rounds: int = 150
    """Training rounds at a constant learning rate."""
    every: int = 50
    """Rounds between measurements."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them; in the short form two rounds on digits, which need no SPLITGYM_DATA."""
        at_least(1, rounds=self.rounds, every=self.every)
        size = {"dataset": "ham10000", "rounds": self.rounds, "every": self.every}
        if quick:
            size = {"dataset": "digits", "rounds": 2, "every": 1}
        return [{"method": name, **size} for name in METHODS]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each measurement of a training run."""
    method = methods(case["rounds"])[case["method"]]
    task = TASKS["ham10000"]
    measured = {"dataset": case["dataset"], "evaluation_samples": 1000, "evaluate_every": case["every"]}
    own = {"task": {**task["task"], **measured}, "training": {**task["training"], **method.training}}
    scenario = build("edge6g", own)
    learner = Learner(scenario, method.framework, seed)
    decision = everybody(scenario, 1, method.aggregation_ratio)
    rows = []
    for number in range(1, case["rounds"] + 1):
        outcome = learner.round(decision)
        if outcome.evaluated:
            with _batch_statistics(learner.parties):
                by_batch = float(learner.evaluator.client_accuracy(learner.parties).mean())
            norms = [parameter.norm().item() for parameter in learner.parties.server.parameters if parameter.ndim == 4]
            accuracies = {"running": outcome.accuracy, "batch": by_batch}
            rows.append({"round": number, **accuracies, "weights": float(np.mean(norms))})
    return rows


@contextmanager
def _batch_statistics(parties: Parties) -> Iterator[None]:
    """Batch norm normalises by the rows at hand, also in evaluation, while this is open."""
    units = {unit for party in parties.everybody() for unit in party.units}
    norms = [layer for unit in units for layer in unit.modules() if isinstance(layer, nn.BatchNorm2d)]
    kept = [(norm.running_mean, norm.running_var) for norm in norms]
    for norm in norms:
        norm.running_mean = norm.running_var = None
    try:
        yield
    finally:
        for norm, (mean, variance) in zip(norms, kept, strict=True):
            norm.running_mean, norm.running_var = mean, variance


def report(rows: pd.DataFrame) -> str:
    """A row for each method and measurement."""
    means = rows.groupby(["method", "round"], sort=False)[["running", "batch", "weights"]].mean().reset_index()
    lines = [
        f"{rows['dataset'].iloc[0]}, ResNet-18, 5 IID clients, Adam at a constant rate, mean over "
        f"{rows['seed'].nunique()} seeds; test accuracy (%) of 1000 samples; mean norm of the server's convolution "
        "weights.",
        "",
        "| method | rounds | by running statistics | by batch statistics | norm of weights |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row.method} | {row.round} | {100 * row.running:.1f} | {100 * row.batch:.1f} | {row.weights:.1f} |"
            for row in means.itertuples()
        ),
    ]
    return "\n".join(lines)


EXPERIMENT = Experiment(
    title="Does EPSL fail with running statistics because these lag? Test accuracy by running and by batch statistics",
    cases=Cases(),
    measure=measure,
    report=report,
    seeds=1,
)
