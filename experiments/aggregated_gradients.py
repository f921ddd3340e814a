"""What does aggregation keep of the gradient, layer by layer, and why does it cost accuracy where it does?

    python -m experiments aggregated_gradients

Everybody trains as PSL, so that all ways of aggregating are compared at the same weights and on the same mini-batches;
in one of so many rounds the gradient with which EPSL would train the server is compared with the exact one, for each
unit: cosine, and how much of it is kept (its projection on the exact one, relative to that). Of the last layer's
weights the gradient is the product of the mean activations and the mean gradient of the logits, and the covariance of
both over rows; of n independent rows aggregation keeps a share 1 - phi + phi / n of the covariance. With batch norm the
rows are normalised by the statistics of all of them, or of their client.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any, Literal

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS
from experiments.running import Case, Experiment, Row, at_least
from experiments.tables import estimate, markdown
from experiments.watched import watched
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import begin, run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import CutGradients, inject, virtual
from splitgym.learning import Learner
from splitgym.scenario import build

CUT = 1
RATIOS = (0.5, 1.0)
READINGS = {"mean field": virtual, "inject": inject}
LOOKS = 6
"""Of a run."""
SIZES: Mapping[str, Mapping[str, Any]] = {
    "digits": {"rounds": 120, "batch": 16, "clients": (2, 5, 10, 20, 50), "statistics": ("none",)},
    "ham10000": {"rounds": 60, "batch": 16, "clients": (2, 5, 10, 20), "statistics": ("joint", "per-client")},
}


@dataclass(frozen=True)
class Cases:
    """Tasks by number of clients, and by what batch norm normalises together."""

    tasks: tuple[Literal["digits", "ham10000"], ...] = ("digits", "ham10000")
    """What is learnt; ham10000 needs SPLITGYM_DATA. The short form has digits only."""
    rounds: int | None = None
    """Training rounds; none: 120 of digits, 60 of ham10000; 12 in the short form."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them."""
        at_least(LOOKS, rounds=self.rounds or LOOKS)
        return [
            {
                "task": task,
                "clients": n,
                "statistics": statistics,
                "rounds": 12 if quick else self.rounds or SIZES[task]["rounds"],
                "batch": SIZES[task]["batch"],
            }
            for task in (("digits",) if quick else self.tasks)
            for n in (SIZES[task]["clients"][:2] if quick else SIZES[task]["clients"])
            for statistics in SIZES[task]["statistics"]
        ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each look, phi, reading and unit."""
    task = TASKS[case["task"]]
    statistics = {} if case["statistics"] == "none" else {"batch_statistics": case["statistics"]}
    scenario = build(
        "edge6g",
        {
            "task": {**task["task"], "partition": "iid", "evaluate_every": case["rounds"]},
            "training": {**task["training"], "batch_size": case["batch"], **statistics},
            "clients": {"count": case["clients"]},
        },
    )
    every, rows = case["rounds"] // LOOKS, list[Row]()

    def look(nodes: Nodes, round_batch: RoundBatch) -> dict[str, float]:
        rows.extend({"round": every * (1 + len(looks)), **row} for row in compared(nodes, round_batch))
        looks.append(None)
        return {}

    looks: list[None] = []
    learner, decision = Learner(scenario, watched(get("psl"), look, {}, every), seed), everybody(scenario, CUT, 0.0)
    for _ in range(case["rounds"]):
        learner.round(decision)
    return rows


def compared(nodes: Nodes, round_batch: RoundBatch) -> Iterator[Row]:
    """The server's gradients of every phi and reading against the exact ones, by unit; nothing is trained."""
    clients = [nodes.clients[i] for i in round_batch.participants]
    statistics = begin([*clients, nodes.server])
    smashed = run_clients(clients, round_batch.images).smashed
    exact, inputs, logits = _with_last_layer(nodes, partial(inject, nodes, smashed, round_batch))
    means = product_of_means(inputs, logits, round_batch)
    b = round_batch.labels.shape[1]
    for phi in RATIOS:
        aggregated = replace(round_batch, aggregated_rows=ceil(phi * b))
        for name, reading in READINGS.items():
            found = reading(nodes, smashed, aggregated)
            covariance = kept(found.of_server[-2] - means, exact.of_server[-2] - means)
            for unit, (own, right) in by_unit(nodes, found, exact).items():
                cosine = torch.cosine_similarity(own, right, dim=0).item()
                yield {
                    "phi": phi,
                    "reading": name,
                    "unit": unit,
                    "cosine": cosine,
                    "kept": kept(own, right),
                    "covariance_kept": covariance,
                }
    statistics.restore()


def _with_last_layer(nodes: Nodes, run: Callable[[], CutGradients]) -> tuple[CutGradients, Tensor, Tensor]:
    """What a pass gives, and what went into the network's last layer in it and came out, [n b, ...]."""
    seen: list[tuple[Tensor, Tensor]] = []
    layer = [module for module in nodes.server.units[-1].modules() if isinstance(module, torch.nn.Linear)][-1]
    hook = layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].detach(), output.detach())))
    found = run()
    hook.remove()
    inputs, outputs = zip(*seen, strict=True)
    return found, torch.cat(inputs), torch.cat(outputs)


def product_of_means(inputs: Tensor, logits: Tensor, round_batch: RoundBatch) -> Tensor:
    """[classes, features] what the gradient of the last layer's weights would be without any covariance.

    Args:
        inputs: [n b, features] of the layer.
        logits: [n b, classes].
        round_batch: All clients have the same weight.
    """
    labels = torch.nn.functional.one_hot(round_batch.labels.flatten(), logits.shape[-1])
    z = torch.softmax(logits, -1) - labels
    return torch.outer(z.mean(0), inputs.mean(0))


def kept(found: Tensor, right: Tensor) -> float:
    """Projection of a gradient on another one, relative to that."""
    return float((found * right).sum() / right.square().sum())


def by_unit(nodes: Nodes, found: CutGradients, exact: CutGradients) -> dict[int, tuple[Tensor, Tensor]]:
    """Both gradients of each unit behind the cut that has weights, in one row; units are counted from 1."""
    pairs, parts = iter(zip(found.of_server, exact.of_server, strict=True)), {}
    for number, unit in enumerate(nodes.server.units[nodes.cut_layer :], nodes.cut_layer + 1):
        own = [next(pairs) for _ in unit.parameters()]
        if own:
            parts[number] = tuple(
                torch.cat([each.flatten().float() for each in side]) for side in zip(*own, strict=True)
            )
    return parts


def report(rows: pd.DataFrame) -> str:
    """Covariance kept beside what is expected, and the gradient by unit, for each task and kind of batch norm."""
    seeds = rows["seed"].nunique()
    parts = [
        f"IID clients, cut {CUT}, PSL trains; mean over {LOOKS} looks, ± half width of the 95 % interval over {seeds} "
        "seeds."
    ]
    for (task, statistics), own in rows.groupby(["task", "statistics"], sort=False):
        run = own.iloc[0]
        title = str(task) if statistics == "none" else f"{task}, batch norm {statistics}"
        parts += [
            f"### {title}",
            f"{run['rounds']} rounds, {run['batch']} rows of each client. Share of the last layer's covariance that is "
            "kept, expected and measured; of the units behind the cut, the first and the last: cosine to the exact "
            "gradient and how much of it is kept.",
            markdown(_lines(own)),
        ]
    return "\n\n".join(parts)


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    first, last = rows["unit"].min(), rows["unit"].max()
    by_seed = rows.groupby(["clients", "phi", "reading", "unit", "seed"], sort=False)
    means = by_seed[["cosine", "kept", "covariance_kept"]].mean().reset_index()
    for (n, phi, reading), own in means.groupby(["clients", "phi", "reading"], sort=False):
        ends = {name: own[own["unit"] == unit] for name, unit in (("first", first), ("last", last))}
        yield {
            "clients": str(n),
            "phi": f"{phi:g}",
            "reading": str(reading),
            "expected": f"{1 - phi + phi / n:.2f}",
            "covariance kept": estimate(ends["last"]["covariance_kept"], 2),
            **{f"cosine, {name}": estimate(each["cosine"], 2) for name, each in ends.items()},
            **{f"kept, {name}": estimate(each["kept"], 2) for name, each in ends.items()},
        }


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Cosine and share kept by unit with phi = 1, a curve for each number of clients."""
    rows = rows[rows["phi"] == 1].assign(
        world=rows["task"] + rows["statistics"].map(lambda s: "" if s == "none" else f", {s}")
    )
    worlds = list(dict.fromkeys(rows["world"]))
    figure.set_size_inches(4.4 * len(worlds) + 0.6, 7)
    panels = figure.subplots(2, len(worlds), sharey="row", squeeze=False)
    for column, world in zip(panels.T, worlds, strict=True):
        own = rows[(rows["world"] == world) & (rows["reading"] == "mean field")]
        labels = {n: f"{n} clients" for n in sorted(rows["clients"].unique())}
        for axes, quantity in zip(column, ("cosine", "kept"), strict=True):
            draw_curves(axes, own, "unit", quantity, "clients", labels, interval=False)
        column[0].set_title(f"{world}, mean field")
        column[1].set_xlabel("unit behind the cut")
    panels[0, 0].set(ylabel="cosine to the exact gradient", ylim=(None, 1.02))
    panels[1, 0].set_ylabel("share of the exact gradient kept")
    legend_below(figure, f"phi = 1, mean over looks and {rows['seed'].nunique()} seeds", columns=5)


EXPERIMENT = Experiment(
    title="What does aggregation keep of the gradient, layer by layer, with 2 to 50 clients?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"units": plot},
    seeds=3,
)
