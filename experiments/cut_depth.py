"""Does a deeper cut help or hurt what split learning learns?

    python -m experiments cut_depth

Publications disagree: with client models that are averaged a deeper cut is reported to cost nothing, to cost accuracy,
and to help. Here SFL-V1, SFL-V2 and PSL learn digits with the same mini-batches at every cut layer. Client models of
SFL are averaged after every mini-batch, and after every tenth, as after local epochs; those of PSL never. Clients share
the same data: of a hundred each has a tenth of what it has among ten.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.learning import Learner
from splitgym.scenario import build

METHODS: Mapping[str, tuple[str, int]] = {
    "SFL-V1": ("sfl-v1", 1),
    "SFL-V1, averaged every 10": ("sfl-v1", 10),
    "SFL-V2": ("sfl-v2", 1),
    "SFL-V2, averaged every 10": ("sfl-v2", 10),
    "PSL": ("psl", 1),
}
"""Framework, and mini-batches from one mean of the client models to the next."""
PARTITIONS: Mapping[str, Mapping[str, Any]] = {
    "IID": {"partition": "iid"},
    "Dirichlet 0.1": {"partition": "dirichlet", "dirichlet_alpha": 0.1},
}
BATCH = {10: 32, 100: 8}
"""Rows of a mini-batch by number of clients, of whom a hundred have 14 images each."""
CUT_LAYERS = (1, 2, 3)


def cases(quick: bool) -> list[Case]:
    """Methods by partition, number of clients and cut layer."""
    rounds, clients = (20, [10]) if quick else (100, list(BATCH))
    return [
        {"partition": partition, "clients": count, "method": method, "cut_layer": cut_layer, "rounds": rounds}
        for count, partition, method, cut_layer in product(clients, PARTITIONS, METHODS, CUT_LAYERS)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy at the end, after a mean of the client models where there is one."""
    framework, interval = METHODS[case["method"]]
    task = TASKS["digits"]
    of_task = {"evaluation_samples": None, "evaluate_every": case["rounds"], **PARTITIONS[case["partition"]]}
    scenario = build(
        "edge6g",
        {
            "task": {**task["task"], **of_task},
            "training": {**task["training"], "batch_size": BATCH[case["clients"]]},
            "clients": {"count": case["clients"]},
            "fed_server": {"interval_rounds": interval},
        },
    )
    learner, decision = Learner(scenario, framework, seed), everybody(scenario, case["cut_layer"], 0.0)
    for _ in range(case["rounds"]):
        outcome = learner.round(decision)
    return [{"accuracy": outcome.accuracy, "worst_accuracy": outcome.worst_accuracy, "loss": outcome.loss}]


def report(rows: pd.DataFrame) -> str:
    """A table for each partition and number of clients, and what the cut costs in each."""
    rows = with_points(rows)
    seeds, rounds = rows["seed"].nunique(), rows["rounds"].max()
    parts = [
        f"Digits, small CNN, everybody in each of {rounds} rounds of a mini-batch; test accuracy (%), mean ± half "
        f"width of the 95 % interval over {seeds} seeds. Last column: deepest against shallowest cut, same seeds.",
        *findings(rows),
    ]
    for (count, partition), own in rows.groupby(["clients", "partition"], sort=False):
        parts += [f"### {count} clients, {partition}", markdown(_lines(own))]
    return "\n\n".join(parts)


def with_points(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in per cent, and points above the shallowest cut of the same seed."""
    rows = rows.assign(percent=100 * rows["accuracy"])
    keys = ["clients", "partition", "method", "seed"]
    shallow = rows[rows["cut_layer"] == CUT_LAYERS[0]].set_index(keys)["percent"].rename("shallow")
    return rows.join(shallow, on=keys).assign(points=lambda each: each["percent"] - each["shallow"])


def findings(rows: pd.DataFrame) -> Iterator[str]:
    """What moving the cut from the shallowest to the deepest does to each method."""
    deep = rows[rows["cut_layer"] == rows["cut_layer"].max()]
    for method in METHODS:
        own = deep[deep["method"] == method].groupby(["clients", "partition"], sort=False)["points"]
        told = ", ".join(f"{estimate(points)} ({count} clients, {partition})" for (count, partition), points in own)
        yield f"**{method}.** The deepest cut against the shallowest, in points: {told}."


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    layers = sorted(rows["cut_layer"].unique())
    for method, own in rows.groupby("method", sort=False):
        yield {
            "method": str(method),
            **{f"cut {layer}": estimate(own[own["cut_layer"] == layer]["percent"]) for layer in layers},
            "deepest - shallowest": estimate(own[own["cut_layer"] == layers[-1]]["points"]),
        }


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over the cut layer, a panel for each partition and number of clients."""
    rows = with_points(rows)
    worlds = list(rows.groupby(["clients", "partition"], sort=False))
    figure.set_size_inches(3.2 * len(worlds) + 0.6, 4.8)
    panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
    for axes, ((count, partition), own) in zip(panels, worlds, strict=True):
        draw_curves(axes, own, "cut_layer", "percent", "method", {name: name for name in METHODS})
        axes.set(xlabel="cut layer", title=f"{count} clients, {partition}", xticks=CUT_LAYERS)
    panels[0].set(ylabel="test accuracy (%)", ylim=(0, 100))
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds", columns=3)


EXPERIMENT = Experiment(
    title="Does a deeper cut help or hurt? SFL-V1, SFL-V2 and PSL, IID and not, with few and many clients",
    cases=cases,
    measure=measure,
    report=report,
    plots={"accuracy": plot},
)
