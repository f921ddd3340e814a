"""Test accuracy of EPSL over the aggregation ratio phi: digits, IID clients, real training.

    python -m experiments aggregation

Shown beside each ratio: what PSL reaches on the rows that EPSL does not aggregate ("control"), since every claim about
phi has to hold against that; and the unbiased correction at a lower learning rate.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from tqdm import tqdm

from experiments.everybody import everybody
from splitgym.evaluation.processes import interrupts_ignored, worker_pool
from splitgym.learning import Learner
from splitgym.scenario import build

BATCH = 32
LOWER_RATES: Mapping[str, float] = {"client_learning_rate": 0.02, "server_learning_rate": 0.02}
"""For the unbiased correction, whose gradients have n times the noise; otherwise the scenario's 0.05."""


@dataclass(frozen=True)
class Options:
    """Test accuracy over the aggregation ratio, on digits with IID clients; prints a table and saves it."""

    rounds: int = 300
    """Training rounds."""
    seeds: int = 5
    """Runs per setting."""
    clients: int = 5
    """Clients, all taking part."""
    workers: int = 2
    """Processes."""
    out: Path = Path("experiments/results")
    """Folder for aggregation.csv and aggregation.md."""

    def check(self) -> None:
        """Raises a ValueError that names the first setting which is not allowed."""
        for name in ("rounds", "seeds", "clients", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}, allowed: 1 or more")


@dataclass(frozen=True)
class Job:
    """One training run."""

    method: str
    aggregation_ratio: float
    seed: int
    clients: int
    rounds: int

    def training(self) -> dict[str, Any]:
        """Training settings of the method."""
        if self.method == "control":
            return {"batch_size": round((1 - self.aggregation_ratio) * BATCH)}
        if self.method == "unbiased":
            return {"batch_size": BATCH, **LOWER_RATES, "aggregation_correction": "unbiased"}
        return {"batch_size": BATCH, "aggregation_reading": self.method}


def jobs(options: Options) -> Iterator[Job]:
    """All training runs."""
    for method, phi, seed in product(
        ("virtual", "inject", "unbiased", "control"), (0.0, 0.25, 0.5, 0.75, 1.0), range(options.seeds)
    ):
        if not (method == "control" and phi == 1):
            yield Job(method, phi, seed, options.clients, options.rounds)


def accuracy(job: Job) -> float:
    """Test accuracy after the last round, cut after the first convolution."""
    task = {"partition": "iid", "evaluation_samples": None, "evaluate_every": job.rounds}
    scenario = build("iot", {"task": task, "clients": {"count": job.clients}, "training": job.training()})
    learner = Learner(scenario, "epsl", job.seed)
    decision = everybody(scenario, 1, 0.0 if job.method == "control" else job.aggregation_ratio)
    for _ in range(job.rounds):
        outcome = learner.round(decision)
    return outcome.accuracy


def main() -> None:
    """Runs all jobs, prints and saves the table."""
    options = tyro.cli(Options, description=inspect.getdoc(Options))
    options.check()
    todo = list(jobs(options))
    with worker_pool(options.workers) as pool:
        with interrupts_ignored():
            running = pool.map(accuracy, todo)
        results = list(tqdm(running, total=len(todo), desc="training runs"))
    runs = pd.DataFrame([{**vars(job), "accuracy": value} for job, value in zip(todo, results, strict=True)])
    percent = 100 * runs.groupby(["aggregation_ratio", "method"])["accuracy"].agg(["mean", "std"])
    columns = ["virtual", "inject", "unbiased", "control"]
    lines = ["| phi | " + " | ".join(columns) + " |", "|---:" * (1 + len(columns)) + "|"]
    for phi in percent.index.unique("aggregation_ratio"):
        cells = [_cell(*percent.loc[(phi, name)]) if (phi, name) in percent.index else "" for name in columns]
        lines.append(f"| {phi:g} | " + " | ".join(cells) + " |")
    caption = (
        f"Test accuracy (%) after {options.rounds} rounds, {options.clients} IID clients, batch {BATCH}, digits, "
        f"mean ± standard deviation over {options.seeds} seeds."
    )
    text = "\n".join([caption, "", *lines, ""])
    options.out.mkdir(parents=True, exist_ok=True)
    runs.to_csv(options.out / "aggregation.csv", index=False)
    (options.out / "aggregation.md").write_text(text, encoding="utf-8")
    print(text)


def _cell(mean: float, spread: float) -> str:
    """Mean ± standard deviation, which a single run does not have."""
    return f"{mean:.1f}" if np.isnan(spread) else f"{mean:.1f} ± {spread:.1f}"


if __name__ == "__main__":
    main()
