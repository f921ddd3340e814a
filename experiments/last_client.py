"""Does vanilla split learning lean to the client that it trained with last?

    python -m experiments last_client

In SL the model is handed from client to client, and each trains it with all its data before the next one does. What
the last client has is fresh in it. Accuracy *of a client* is that on test images whose classes are as frequent as in
its own data. CPSL trains clusters one after the other, SFL everybody at the same time; there, too, clients are counted
by their place in the order of SL.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.learning import Learner
from splitgym.scenario import build

METHODS: Mapping[str, tuple[str, int]] = {"SL": ("sl", 1), "CPSL": ("cpsl", 5), "SFL-V1": ("sfl-v1", 10)}
"""Framework, and clients that train at the same time."""
PARTITIONS: Mapping[str, Mapping[str, Any]] = {
    "IID": {"partition": "iid"},
    "Dirichlet 0.3": {"partition": "dirichlet", "dirichlet_alpha": 0.3},
    "Dirichlet 0.1": {"partition": "dirichlet", "dirichlet_alpha": 0.1},
}
TRAINING = {**TASKS["digits"]["training"], "momentum": 0.0}
"""Plain SGD: with momentum of each client's own, handing on does not converge at this rate when clients differ."""
CLIENTS, CUT, TURN = 10, 1, 5
"""Mini-batches of a client's turn: about all that it has."""
LOOKS = 5
"""Passes over all clients, the last ones, after which accuracy is measured; a row is the mean of them."""


def cases(quick: bool) -> list[Case]:
    """Methods by partition."""
    passes = 6 if quick else 20
    return [
        {"partition": partition, "method": method, "passes": passes} for partition in PARTITIONS for method in METHODS
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each place in the order of clients."""
    framework, at_once = METHODS[case["method"]]
    of_task = {"evaluation_samples": None, "evaluate_every": TURN * CLIENTS * case["passes"]}
    scenario = build(
        "edge6g",
        {
            "task": {**TASKS["digits"]["task"], **PARTITIONS[case["partition"]], **of_task},
            "training": TRAINING,
            "clients": {"count": CLIENTS},
        },
    )
    learner, decision, looks = Learner(scenario, framework, seed), everybody(scenario, CUT, 0.0), []
    for number in range(case["passes"]):
        for first in range(0, CLIENTS, at_once):
            decision.selected[:] = (np.arange(CLIENTS) >= first) & (np.arange(CLIENTS) < first + at_once)
            for _ in range(TURN):
                learner.round(decision)
        if number >= case["passes"] - LOOKS:
            looks.append(accuracy_of_clients(learner))
    own = np.mean(looks, 0)
    return [{"place": place, "accuracy": float(own[place])} for place in range(CLIENTS)]


def accuracy_of_clients(learner: Learner) -> np.ndarray:
    """[C] accuracy of each client's network on test images with the classes of its own data."""
    recall = learner.evaluator.correct(learner.nodes) / np.maximum(learner.evaluator.class_counts, 1)
    share = learner.class_counts / learner.class_counts.sum(1, keepdims=True)
    return np.asarray((recall * share).sum(1))


def report(rows: pd.DataFrame) -> str:
    """Accuracy by place, and how far the last client is ahead of the others."""
    rows = rows.assign(percent=100 * rows["accuracy"])
    seeds, passes = rows["seed"].nunique(), rows["passes"].max()
    parts = [
        f"Digits, {CLIENTS} clients, cut {CUT}, {passes} passes over all clients with {TURN} mini-batches each; "
        f"accuracy (%) on a client's own classes, mean of the last {LOOKS} passes; mean ± half width of the "
        f"95 % interval over {seeds} seeds. CPSL has two clusters, places 1 to 5 and 6 to 10.",
        *(f"**{partition}.** {lead}" for partition, lead in findings(rows)),
    ]
    for partition, own in rows.groupby("partition", sort=False):
        lines = (
            {
                "place": place + 1,
                **{
                    name: estimate(own[(own["method"] == name) & (own["place"] == place)]["percent"])
                    for name in METHODS
                },
            }
            for place in range(CLIENTS)
        )
        parts += [f"### {partition}", markdown(lines)]
    return "\n\n".join(parts)


def findings(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """By partition: points of the last client above the mean of the others, and the mean over all clients."""
    for partition, own in rows.groupby("partition", sort=False):
        told = []
        for method, each in own.groupby("method", sort=False):
            table = each.pivot_table(index="seed", columns="place", values="percent")
            lead = table[CLIENTS - 1] - table.drop(columns=CLIENTS - 1).mean(axis=1)
            told.append(f"{method} {estimate(lead)} points (all clients {estimate(table.mean(axis=1))} %)")
        yield str(partition), f"The last client against the mean of the others: {', '.join(told)}."


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over the place in the order, a panel for each partition."""
    rows = rows.assign(percent=100 * rows["accuracy"], order=rows["place"] + 1)
    worlds = list(rows.groupby("partition", sort=False))
    figure.set_size_inches(3.6 * len(worlds) + 0.6, 4.4)
    panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
    for axes, (partition, own) in zip(panels, worlds, strict=True):
        draw_curves(axes, own, "order", "percent", "method", {name: name for name in METHODS})
        axes.set(xlabel="place in the order of clients", title=partition)
    panels[0].set(ylabel="accuracy on own classes (%)")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds")


EXPERIMENT = Experiment(
    title="Does vanilla split learning lean to the client that it trained with last?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"accuracy": plot},
    seeds=10,
    quick_seeds=2,
)
