"""What does aggregation keep of the accuracy if gradients go back through the mean field of all clients' rows?

    SPLITGYM_DATA=... python -m experiments aggregation_reading

Real training, IID clients, cut after the first unit: ResNet-18 on HAM10000, small images, and the small CNN on digits.
EPSL reads aggregated rows by the mean field (`training.aggregation_reading = "virtual"`, m rows of back-propagation),
or, as the reference, at every client's own row (`"inject"`, n m rows); the control PSL-drop leaves these rows out.
Before each measurement the gradients of both readings at the same weights and on the same mini-batches are compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import MAJORITY, TASKS, methods
from experiments.running import Case, Experiment, Row, at_least
from experiments.tables import estimate, markdown
from experiments.watched import of_server, watched
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, inject, virtual
from splitgym.frameworks.snapshots import Snapshot, buffers_of
from splitgym.learning import Learner
from splitgym.parts import suggest
from splitgym.scenario import build

CUT = 1
METHODS = ("PSL", "PSL-drop(0.5)", "EPSL(0.5)", "EPSL(0.5) inject", "EPSL(1)", "EPSL(1) inject")
SIZES: Mapping[str, Mapping[str, Any]] = {
    "ham10000": {"clients": 5, "rounds": 400, "precision": "bf16"},
    "digits": {"clients": 10, "rounds": 300, "precision": "fp32"},
}
"""Clients, training rounds and precision of each task."""
MEASUREMENTS = 10
"""Of a run."""


@dataclass(frozen=True)
class Cases:
    """Methods on tasks."""

    tasks: tuple[Literal["ham10000", "digits"], ...] = ("ham10000", "digits")
    """What is learnt; ham10000 needs SPLITGYM_DATA. The short form has digits only."""
    methods: tuple[str, ...] = ()
    """Names as in the table; none: all."""
    rounds: int | None = None
    """Training rounds; none: 400 of ham10000, 300 of digits; 20 in the short form."""
    precision: Literal["fp32", "bf16"] | None = None
    """Of the training; none: bf16, which the processor must have, for ham10000, fp32 for digits."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them."""
        for name in self.methods:
            if name not in METHODS:
                raise ValueError(f"--methods {name!r} is unknown, {suggest(name, METHODS)}")
        own: dict[str, Any] = {"rounds": 20 if quick else self.rounds, "precision": self.precision}
        own = {name: value for name, value in own.items() if value is not None}
        at_least(1, rounds=own.get("rounds", 1))
        tasks = ("digits",) if quick else self.tasks
        return [
            {"task": task, "method": method, **SIZES[task], **own}
            for task in tasks
            for method in self.methods or METHODS
        ]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy, training loss and the agreement of both readings, over the rounds."""
    method, task = methods(case["rounds"])[case["method"]], TASKS[case["task"]]
    every = max(case["rounds"] // MEASUREMENTS, 1)
    schedule = {"learning_rate_schedule": "one-cycle", "schedule_rounds": case["rounds"]}
    scenario = build(
        "edge6g",
        {
            "task": {**task["task"], "partition": "iid", "evaluation_samples": None, "evaluate_every": every},
            "training": {**task["training"], **schedule, "precision": case["precision"], **method.training},
            "clients": {"count": case["clients"]},
        },
    )
    found = {"server_cosine": nan, "cut_cosine": nan}
    framework = get(method.framework)
    # What is left out goes back in no reading.
    if method.framework == "epsl":
        framework = watched(framework, agreement, found, every)
    learner = Learner(scenario, framework, seed)
    decision, losses, rows = everybody(scenario, CUT, method.aggregation_ratio), list[float](), list[Row]()
    for number in range(1, case["rounds"] + 1):
        outcome = learner.round(decision)
        losses.append(outcome.loss)
        if outcome.evaluated:
            accuracies = {"accuracy": outcome.accuracy, "balanced_accuracy": outcome.balanced_accuracy}
            rows.append({"round": number, **accuracies, "loss": float(np.mean(losses)), **found})
            losses.clear()
    return rows


def agreement(nodes: Nodes, round_batch: RoundBatch) -> dict[str, float]:
    """Cosine between the gradients of both readings: of the server's weights, and at the cut; nothing is trained."""
    clients = [nodes.clients[i] for i in round_batch.participants]
    for node in (*clients, nodes.server):
        node.set_mode(True)
    statistics = Snapshot(buffers_of([unit for node in (*clients, nodes.server) for unit in node.units]))
    smashed = run_clients(clients, round_batch.images).smashed
    readings = [reading(nodes, smashed, round_batch) for reading in (virtual, inject)]
    statistics.restore()
    pairs = {"server_cosine": map(of_server, readings), "cut_cosine": map(_common, readings)}
    return {name: torch.cosine_similarity(*pair, dim=0).item() for name, pair in pairs.items()}


def _common(gradients: CutGradients) -> Tensor:
    """The broadcast gradients at the cut in one row."""
    return gradients.common.float().flatten()


def ends(rows: pd.DataFrame) -> pd.DataFrame:
    """The last measurement of each run, in per cent, beside the same seed's PSL and control."""
    keys = ["task", "method", "seed"]
    last = rows.sort_values("round", kind="stable").groupby(keys, sort=False).last().reset_index()
    last = last.assign(percent=100 * last["accuracy"], balanced=100 * last["balanced_accuracy"])
    for other, name in (("PSL", "psl"), ("PSL-drop(0.5)", "drop")):
        theirs = last[last["method"] == other].set_index(["task", "seed"])["percent"].rename(name)
        last = last.join(theirs, on=["task", "seed"])
    return last


def report(rows: pd.DataFrame) -> str:
    """A table for each task."""
    parts, last, seeds = [], ends(rows), rows["seed"].nunique()
    for task, own in last.groupby("task", sort=False):
        run = own.iloc[0]
        parts += [
            f"### {task}",
            f"{run['clients']} IID clients, cut {CUT}, {run['round']} rounds, one-cycle rate, {run['precision']}; mean "
            f"± half width of the 95 % interval, seeds: {seeds}. Loss: training loss, mean of the last tenth. Cosine: "
            "between the gradients of the mean field and of `inject`, at the end and at the first measurement.",
            markdown(_lines(own, rows[rows["task"] == task])),
        ]
    return "\n\n".join(parts)


def _lines(last: pd.DataFrame, rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for method, own in last.groupby("method", sort=False):
        first = rows[rows["method"] == method].sort_values("round").groupby("seed").first()
        yield {
            "method": method,
            "accuracy %": estimate(own["percent"]),
            "balanced %": estimate(own["balanced"]),
            "points against PSL": _points(own, "PSL", "psl"),
            "against PSL-drop(0.5)": _points(own, "PSL-drop(0.5)", "drop"),
            "loss": estimate(own["loss"], 2),
            "cosine, server": _cosine(own, first, "server_cosine"),
            "cosine at the cut": _cosine(own, first, "cut_cosine"),
        }


def _points(own: pd.DataFrame, other: str, column: str) -> str:
    points = (own["percent"] - own[column]).dropna()
    return "" if other in set(own["method"]) or points.empty else estimate(points)


def _cosine(last: pd.DataFrame, first: pd.DataFrame, column: str) -> str:
    return "" if last[column].isna().all() else f"{last[column].mean():.2f} ({first[column].mean():.2f})"


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy, balanced accuracy and training loss over the rounds, a row of panels for each task."""
    columns = {"accuracy": "test accuracy (%)", "balanced_accuracy": "balanced accuracy (%)", "loss": "training loss"}
    tasks = list(dict.fromkeys(rows["task"]))
    figure.set_size_inches(12, 3.8 * len(tasks) + 0.8)
    for panels, task in zip(figure.subplots(len(tasks), 3, squeeze=False), tasks, strict=True):
        own = rows[rows["task"] == task]
        own = own.assign(accuracy=100 * own["accuracy"], balanced_accuracy=100 * own["balanced_accuracy"])
        for axes, (column, label) in zip(panels, columns.items(), strict=True):
            draw_curves(axes, own, "round", column, "method", {name: name for name in METHODS})
            axes.set(xlabel="rounds", ylabel=label, title=task, ylim=(0, None if column == "loss" else 100))
        for axes, part in zip(panels, MAJORITY.get(task, ()), strict=False):
            axes.axhline(100 * part, color="0.4", linewidth=1, linestyle=":")
    title = f"mean and 95 % interval, seeds: {rows['seed'].nunique()}; dotted: always the majority class"
    legend_below(figure, title)


EXPERIMENT = Experiment(
    title="Does EPSL learn by the mean field? Both readings of aggregated rows beside PSL and the control",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"accuracy": plot},
    seeds=3,
)
