"""Test accuracy of all frameworks over rounds and simulated time (arXiv 2306.12194, Fig. 4), real training.

    python -m experiments frameworks --task ham10000

Five clients in the cell of the preset `edge6g`; all methods with the same network, optimiser, data split and cell.
Every finished run is kept in a file of its own: a command that was stopped goes on where it was.
"""

import inspect
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import pandas as pd
import tyro
from tqdm import tqdm

from experiments.command_line import command_line
from experiments.frameworks.methods import methods
from experiments.frameworks.report import plot, table
from experiments.frameworks.runs import Job, run
from splitgym.evaluation.processes import interrupts_ignored, worker_pool


@dataclass(frozen=True)
class Options:
    """Trains every framework for real; prints and saves a table, curves and plots."""

    task: Literal["ham10000", "mnist", "digits"] = "digits"
    """What is learnt; ham10000 (ResNet-18) and mnist need SPLITGYM_DATA."""
    methods: tuple[str, ...] = ()
    """Names as in the table; none: all."""
    partitions: tuple[Literal["iid", "dirichlet"], ...] = ("iid", "dirichlet")
    """How clients share the data."""
    rounds: int = 400
    """Training rounds."""
    seeds: int = 3
    """Runs per setting."""
    evaluate_every: int = 20
    """Rounds between measurements on the whole test set."""
    cut_layer: int = 1
    """Units on the clients."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision, on processors that have it."""
    batch_size: int | None = None
    """Samples of a client's mini-batch; none: the task's."""
    workers: int = 2
    """Processes."""
    quick: bool = False
    """A short form: 100 rounds, one seed."""
    out: Path = Path("experiments/results/frameworks")
    """Folder for curves (a file for each run), table and plot."""

    def check(self) -> None:
        """Raises a ValueError that names the first setting which is not allowed."""
        for name in ("rounds", "seeds", "evaluate_every", "cut_layer", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} {getattr(self, name)}, allowed: 1 or more")
        known = tuple(methods(self.rounds))
        for name in self.methods:
            if name not in known:
                raise ValueError(f"--methods {name!r} is unknown, allowed: {', '.join(known)}")

    def jobs(self) -> list[Job]:
        """All training runs; seed by seed, so that a stopped command leaves whole comparisons."""
        names = self.methods or tuple(methods(self.rounds))
        return [
            Job(
                self.task,
                name,
                part,
                seed,
                self.rounds,
                self.evaluate_every,
                self.cut_layer,
                self.precision,
                self.batch_size,
            )
            for seed, part, name in product(range(self.seeds), self.partitions, names)
        ]


def main() -> None:
    """Runs what is not finished yet, prints and saves table and plot."""
    options = tyro.cli(Options, description=inspect.getdoc(Options))
    if options.quick:
        options = replace(options, rounds=100, seeds=1, evaluate_every=10)
    options.check()
    jobs = options.jobs()
    folder = options.out / "curves"
    folder.mkdir(parents=True, exist_ok=True)
    with worker_pool(options.workers) as pool:
        with interrupts_ignored():
            running = pool.map(partial(run, folder=folder), jobs)
        results = list(tqdm(running, total=len(jobs), desc="training runs"))
    curves = pd.concat([curve.assign(**vars(job)) for job, curve in zip(jobs, results, strict=True)])
    caption = (
        f"{options.task}: {options.rounds} rounds, {options.seeds} seeds, cut layer {options.cut_layer}, "
        f"{options.precision}. Accuracy: mean ± standard deviation after the last round, over all clients; "
        "differences: mean ± standard error on the same seeds. Times are simulated; `inject` is timed as EPSL, whose "
        "reference it is, though its server really back-propagates every row."
    )
    command = command_line("frameworks")
    text = f"{caption}\n\n`{command}`\n\n{table(curves, options.task)}\n"
    (options.out / f"{options.task}.md").write_text(text, encoding="utf-8")
    plot(curves, options.task, options.out / f"{options.task}.png")
    print(text)
