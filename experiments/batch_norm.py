"""Whether EPSL fails with running statistics because these lag: test accuracy by running and by batch statistics.

    python -m experiments batch_norm

With Adam, ResNet-18 and the virtual pass on running statistics EPSL(0.5) stays at the majority class. If the running
statistics only lagged behind fast layers, what was learnt would show once test rows are normalised by their own
statistics.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from torch import nn
from tqdm import tqdm

from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS, methods
from splitgym.evaluation.processes import interrupts_ignored, worker_pool
from splitgym.frameworks.parties import Parties
from splitgym.learning import Learner
from splitgym.scenario import build

METHODS = ("PSL", "EPSL(0.5)", "EPSL(0.5) joint")


@dataclass(frozen=True)
class Options:
    """Test accuracy by running and by batch statistics, on HAM10000; prints a table and saves it."""

    rounds: int = 150
    """Training rounds at a constant learning rate."""
    every: int = 50
    """Rounds between measurements."""
    seed: int = 0
    """Of data split and initial weights."""
    workers: int = 2
    """Processes."""
    out: Path = Path("experiments/results")
    """Folder for batch_norm.csv and batch_norm.md."""


def train(name: str, options: Options) -> list[dict[str, Any]]:
    """One method's measurements."""
    method = methods(options.rounds)[name]
    task = TASKS["ham10000"]
    scenario = build(
        "edge6g",
        {
            "task": {**task["task"], "evaluation_samples": 1000, "evaluate_every": options.every},
            "training": {**task["training"], **method.training},
        },
    )
    learner = Learner(scenario, method.framework, options.seed)
    decision = everybody(scenario, 1, method.aggregation_ratio)
    rows = []
    for number in range(1, options.rounds + 1):
        outcome = learner.round(decision)
        if outcome.evaluated:
            with _batch_statistics(learner.parties):
                by_batch = float(learner.evaluator.client_accuracy(learner.parties).mean())
            norms = [parameter.norm().item() for parameter in learner.parties.server.parameters if parameter.ndim == 4]
            rows.append(
                {
                    "method": name,
                    "round": number,
                    "running": outcome.accuracy,
                    "batch": by_batch,
                    "weights": float(np.mean(norms)),
                }
            )
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


def main() -> None:
    """Trains, prints and saves the table."""
    options = tyro.cli(Options, description=inspect.getdoc(Options))
    with worker_pool(options.workers) as pool:
        with interrupts_ignored():
            running = pool.map(partial(train, options=options), METHODS)
        rows = [row for own in tqdm(running, total=len(METHODS), desc="training runs") for row in own]
    table = pd.DataFrame(rows)
    lines = [
        f"HAM10000, ResNet-18, 5 IID clients, Adam at a constant rate, seed {options.seed}; test accuracy (%) of 1000 "
        "samples; mean norm of the server's convolution weights.",
        "",
        "| method | rounds | by running statistics | by batch statistics | norm of weights |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row.method} | {row.round} | {100 * row.running:.1f} | {100 * row.batch:.1f} | {row.weights:.1f} |"
            for row in table.itertuples()
        ),
        "",
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "batch_norm.csv", index=False)
    (options.out / "batch_norm.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
