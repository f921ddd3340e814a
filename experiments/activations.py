"""Does aggregating last-layer gradients depend on how linear the activation functions are?

    python -m experiments activations

Digits, five IID clients, real training, all ReLUs of the network replaced. Every tenth round the gradient with which
EPSL trains the server is compared with the exact one, that of PSL at the same weights and on the same mini-batches:
cosine of the angle between them, and length of their difference relative to the exact one. "Injected": with the exact
Jacobian of every row, which is what activation functions bear on. The control PSL-drop has the gradient of the rows
that are left. "identity": no activation functions, only the pooling is not linear.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS, methods
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from experiments.watched import of_server, watched
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import inject, virtual
from splitgym.learning import Learner
from splitgym.scenario import build

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
METHODS = ("PSL", "PSL-drop(0.5)", "EPSL(0.5)", "EPSL(1)")
CUT = 1
LEARNT = 50.0
"""Test accuracy (%) below which PSL has not learnt, so that nothing can be lost."""


def cases(quick: bool) -> list[Case]:
    """Methods by activation function."""
    names = ("ReLU", "tanh") if quick else tuple(ACTIVATIONS)
    rounds, every = (20, 10) if quick else (60, 10)
    return [
        {"activation": name, "method": method, "rounds": rounds, "every": every}
        for name, method in product(names, METHODS)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy, and the quality of the server's gradient, over the rounds."""
    method, task = methods(case["rounds"])[case["method"]], TASKS["digits"]
    fields = {"partition": "iid", "evaluation_samples": None, "evaluate_every": case["every"]}
    scenario = build(
        "edge6g", {"task": {**task["task"], **fields}, "training": {**task["training"], **method.training}}
    )
    quality: dict[str, float] = {}
    look = partial(gradient_quality, drops=method.framework == "psl-drop")
    learner = Learner(scenario, watched(get(method.framework), look, quality, case["every"]), seed)
    replace_activations(learner.nodes.server.units, ACTIVATIONS[case["activation"]])
    decision, rows = everybody(scenario, CUT, method.aggregation_ratio), []
    for number in range(1, case["rounds"] + 1):
        outcome = learner.round(decision)
        if outcome.evaluated:
            rows.append({"round": number, "accuracy": outcome.accuracy, **quality})
    return rows


def replace_activations(units: Sequence[nn.Module], make: Callable[[], nn.Module]) -> None:
    """Puts other activation functions in the place of all ReLUs."""
    for unit in units:
        for holder in list(unit.modules()):
            for name, layer in holder.named_children():
                if isinstance(layer, nn.ReLU):
                    setattr(holder, name, make())


def gradient_quality(nodes: Nodes, round_batch: RoundBatch, drops: bool) -> dict[str, float]:
    """How near the gradient of the server's weights comes to the exact one; nothing is trained.

    Args:
        nodes: Their networks have no batch norm, whose running statistics would move.
        round_batch: With the rows that are aggregated.
        drops: These are left out instead.
    """
    smashed = run_clients([nodes.clients[i] for i in round_batch.participants], round_batch.images).smashed
    exact = of_server(virtual(nodes, smashed, replace(round_batch, aggregated_rows=0)))
    if drops:
        left = round_batch.labels.shape[1] - round_batch.aggregated_rows
        smashed, round_batch = (
            smashed[:, :left],
            replace(round_batch, labels=round_batch.labels[:, :left], aggregated_rows=0),
        )
    found = of_server(virtual(nodes, smashed, round_batch))
    injected = of_server(inject(nodes, smashed, round_batch))
    return {
        "cosine": torch.cosine_similarity(found, exact, dim=0).item(),
        "injected_cosine": torch.cosine_similarity(injected, exact, dim=0).item(),
        "relative_error": ((found - exact).norm() / exact.norm()).item(),
    }


def report(rows: pd.DataFrame) -> str:
    """Accuracy and gradients for each activation function."""
    ends = summary(rows)
    last, seeds = rows["round"].max(), rows["seed"].nunique()
    accuracy = [
        {"activation": name, **{method: _cell(own, method, "percent", 1) for method in METHODS}}
        for name, own in ends.groupby("activation", sort=False)
    ]
    gradient = [
        {
            "activation": name,
            **{f"cosine, {method}": _cell(own, method, "cosine", 2) for method in METHODS[1:]},
            "cosine, EPSL(1) injected": _cell(own, "EPSL(1)", "injected_cosine", 2),
            **{f"error, {method}": _cell(own, method, "relative_error", 2) for method in METHODS[1:]},
        }
        for name, own in ends.groupby("activation", sort=False)
    ]
    return "\n\n".join(
        [
            f"Digits, five IID clients, cut {CUT}; mean ± half width of the 95 % interval over {seeds} seeds.",
            *findings(ends),
            f"### Test accuracy (%) after {last} rounds",
            markdown(accuracy),
            "### The server's gradient against the exact one, mean over the rounds",
            markdown(gradient),
        ]
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: accuracy at the end, points against PSL, gradients over all rounds."""
    keys = ["activation", "method", "seed"]
    runs = rows.sort_values("round").groupby(keys, sort=False)
    gradients = {name: (name, "mean") for name in ("cosine", "injected_cosine", "relative_error")}
    ends = runs.agg(percent=("accuracy", "last"), **gradients)
    ends = (ends.assign(percent=100 * ends["percent"])).reset_index()
    psl = ends[ends["method"] == "PSL"].set_index(["activation", "seed"])["percent"].rename("psl")
    return ends.join(psl, on=["activation", "seed"]).assign(points=lambda each: each["percent"] - each["psl"])


def findings(ends: pd.DataFrame) -> Iterator[str]:
    """What aggregation costs where it costs least and most, and whether near gradients mean little cost."""
    psl = ends[ends["method"] == "PSL"].groupby("activation", sort=False)["percent"].mean()
    learnt = ends[ends["activation"].map(psl) >= LEARNT]
    for method in METHODS[1:] if len(learnt) else ():
        own = learnt[learnt["method"] == method]
        points = own.groupby("activation", sort=False)["points"]
        mean = points.mean()
        best, worst = str(mean.idxmax()), str(mean.idxmin())
        yield (
            f"**{method}.** Against PSL with the same activation function it ends between "
            f"{estimate(points.get_group(best))} ({best}) and {estimate(points.get_group(worst))} points ({worst}); "
            f"its gradient has a cosine of {own['cosine'].mean():.2f} to the exact one on average, "
            f"{own[own['activation'] == best]['cosine'].mean():.2f} with {best} and "
            f"{own[own['activation'] == worst]['cosine'].mean():.2f} with {worst}."
        )
    for name, percent in psl[psl < LEARNT].items():
        yield f"**{name}** is left out of this: PSL itself ends at {percent:.1f} %."


def _cell(rows: pd.DataFrame, method: str, column: str, digits: int) -> str:
    return estimate(rows[rows["method"] == method][column], digits)


def plot_accuracy(rows: pd.DataFrame, figure: Figure) -> None:
    """Points lost against PSL with the same activation function."""
    ends = summary(rows)
    names, shown = list(dict.fromkeys(ends["activation"])), METHODS[1:]
    figure.set_size_inches(9, 0.6 * len(names) + 2)
    axes = figure.subplots()
    for number, method in enumerate(shown):
        own = ends[ends["method"] == method]
        for place, name in enumerate(names):
            points = own[own["activation"] == name]["points"]
            height = place + (number - (len(shown) - 1) / 2) * 0.18
            label = method if place == 0 else None
            axes.plot(points, [height] * len(points), "osD^"[number], color=COLOURS[number], alpha=0.35, markersize=4)
            axes.plot(points.mean(), height, "osD^"[number], color=COLOURS[number], label=label)
    axes.axvline(0, color="0.4", linewidth=1)
    psl = ends[ends["method"] == "PSL"].groupby("activation")["percent"].mean()
    axes.set_yticks(range(len(names)), [f"{name} (PSL {psl[name]:.0f} %)" for name in names])
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy against PSL with the same activation function (points)")
    axes.grid(axis="x", alpha=0.3)
    figure.suptitle(f"Digits, five clients: what aggregation costs after {rows['round'].max()} rounds, by activation")
    legend_below(figure, f"mean of {rows['seed'].nunique()} seeds; small: each seed")


def plot_gradients(rows: pd.DataFrame, figure: Figure) -> None:
    """Cosine and relative error over the rounds, a column of panels for each method."""
    shown = METHODS[1:]
    figure.set_size_inches(3.2 * len(shown) + 0.6, 7)
    panels = figure.subplots(2, len(shown), sharex=True, sharey="row")
    labels = {name: name for name in dict.fromkeys(rows["activation"])}
    for column, method in zip(panels.T, shown, strict=True):
        own = rows[rows["method"] == method]
        for axes, name in zip(column, ("cosine", "relative_error"), strict=True):
            draw_curves(axes, own, "round", name, "activation", labels, interval=False)
        column[0].set_title(method)
        column[1].set_xlabel("rounds")
    panels[0, 0].set(ylabel="cosine to the exact gradient", ylim=(None, 1.02))
    panels[1, 0].set(ylabel="relative error", ylim=(0, None))
    figure.suptitle("The server's gradient against the exact one of the same weights and mini-batches")
    legend_below(figure, f"mean over {rows['seed'].nunique()} seeds")


EXPERIMENT = Experiment(
    title="Does last-layer aggregation depend on how linear the activation functions are?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"accuracy": plot_accuracy, "gradients": plot_gradients},
    seeds=3,
    quick_seeds=1,
)
