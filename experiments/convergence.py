"""Does parallel split learning converge without client synchronisation, as FL and SFL do that average every round?

    python -m experiments convergence

The devices of `iot`, everybody in every round, real training on digits, IID and non-IID. What is learnt does not depend
on the clients' speeds, as nobody is left out; how long it takes does: simulated time is rounds times the mean latency
of a round in random cells, with clients that are equally fast and with clients of which the fastest has ten times the
speed of the slowest. Drift is how far clients' own models are from their mean, relative to the length of that.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.cells import mean_latency_s, random_states
from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import methods
from experiments.latency.sweeps import endless, with_compute_ratio
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.learning import Learner
from splitgym.scenario import build
from splitgym.schedulers.allocations import Allocation

METHODS = ("FL", "SFL-V1", "SFL-V2", "PSL", "EPSL(0.5)", "PSL-drop(0.5)")
REFERENCE = "PSL"
PARTITIONS: Mapping[str, Mapping[str, Any]] = {
    "IID": {"partition": "iid"},
    "Dirichlet 0.3": {"partition": "dirichlet", "dirichlet_alpha": 0.3},
}
WORLDS = (("IID", 2), ("Dirichlet 0.3", 1), ("Dirichlet 0.3", 2))
"""Partition and cut layer: one or both of the network's convolutions are on the clients, synchronised or not."""
SPREADS = {"equal": 1.0, "mixed": 10.0}
"""Speed of the fastest client over that of the slowest, their mean kept."""
CELLS_PER_SEED = 10
TARGET = 0.8


def cases(quick: bool) -> list[Case]:
    """Methods by partition and cut layer."""
    worlds = WORLDS[-1:] if quick else WORLDS
    rounds, every = (20, 10) if quick else (100, 10)
    return [
        {"partition": partition, "cut_layer": cut_layer, "method": method, "rounds": rounds, "every": every}
        for (partition, cut_layer), method in product(worlds, METHODS)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy and drift over the rounds, and the latency of a round."""
    method = methods(case["rounds"])[case["method"]]
    task = {**PARTITIONS[case["partition"]], "evaluation_samples": None, "evaluate_every": case["every"]}
    fields = {"task": task, "training": dict(method.training), "clients": {"compute_spread": "uniform"}}
    scenario = build(endless("iot"), fields)
    learner, cut_layer = Learner(scenario, method.framework, seed), case["cut_layer"]
    decision = everybody(scenario, cut_layer, method.aggregation_ratio)
    cells = range(CELLS_PER_SEED * seed, CELLS_PER_SEED * (seed + 1))
    latencies = {}
    for name, ratio in SPREADS.items():
        states = random_states(build(scenario, with_compute_ratio(scenario, ratio)), get(method.framework), cells)
        latencies[f"{name}_s"] = mean_latency_s(states, method.aggregation_ratio, Allocation(cut_layer=cut_layer))
    rows = []
    for number in range(1, case["rounds"] + 1):
        outcome = learner.round(decision)
        if outcome.evaluated:
            rows.append(
                {
                    "round": number,
                    "accuracy": outcome.accuracy,
                    "worst_accuracy": outcome.worst_accuracy,
                    "drift": drift(learner.nodes),
                    **latencies,
                }
            )
    return rows


def drift(nodes: Nodes) -> float:
    """Mean distance of the clients' own models from their mean, relative to the length of that; 0 if they share one."""
    if not nodes.own_units:
        return 0.0
    models = torch.stack([torch.cat([p.detach().flatten() for p in node.parameters]) for node in nodes.clients])
    mean = models.mean(0)
    return float(((models - mean).norm(dim=1).mean() / mean.norm()).item())


def report(rows: pd.DataFrame) -> str:
    """A table for each partition and cut layer, and what it says of synchronisation."""
    rows = with_percent(rows)
    end = last_rounds(rows)
    seeds, last = rows["seed"].nunique(), rows["round"].max()
    parts = [
        f"Digits, the devices of iot; accuracy after {last} rounds, mean ± half width of the 95 % interval "
        f"over {seeds} seeds; points against {REFERENCE} on the same seeds. Simulated time to {100 * TARGET:g} % with "
        f"equally fast and with mixed clients (fastest / slowest {SPREADS['mixed']:g}, same mean), of the runs that "
        "reach it.",
        *findings(end),
    ]
    for world, own in rows.groupby("world", sort=False):
        parts += [f"### {world}", markdown(_lines(own, end[end["world"] == world]))]
    return "\n\n".join(parts)


def with_percent(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracies in percent, partition and cut as one name, and simulated time with either kind of clients."""
    world = rows["partition"] + ", cut " + rows["cut_layer"].astype(str)
    elapsed = {f"{name}_elapsed_s": rows["round"] * rows[f"{name}_s"] for name in SPREADS}
    return rows.assign(world=world, percent=100 * rows["accuracy"], worst=100 * rows["worst_accuracy"], **elapsed)


def last_rounds(rows: pd.DataFrame) -> pd.DataFrame:
    """The end of each run, and how many points it is above PSL's of the same seed."""
    end = rows[rows["round"] == rows["round"].max()]
    psl = end[end["method"] == REFERENCE].set_index(["world", "seed"])["percent"].rename("psl")
    return end.join(psl, on=["world", "seed"]).assign(points=lambda each: each["percent"] - each["psl"])


def findings(end: pd.DataFrame) -> Iterator[str]:
    """What a lack of synchronisation costs, by partition and cut layer."""
    for world, own in end.groupby("world", sort=False):
        points = {name: estimate(own[own["method"] == name]["points"]) for name in METHODS if name != REFERENCE}
        psl = own[own["method"] == REFERENCE]
        yield (
            f"**{world}.** {REFERENCE}, whose clients are never averaged, ends at {estimate(psl['percent'])} %, "
            f"worst client {psl['worst'].mean():.1f} %, with a drift of {psl['drift'].mean():.2f}; against it "
            + ", ".join(f"{name} {value}" for name, value in points.items())
            + " points."
        )


def _lines(rows: pd.DataFrame, end: pd.DataFrame) -> Iterator[dict[str, str]]:
    for method in METHODS:
        own, ends = rows[rows["method"] == method], end[end["method"] == method]
        yield {
            "method": method,
            "accuracy %": estimate(ends["percent"]),
            f"points against {REFERENCE}": "" if method == REFERENCE else estimate(ends["points"]),
            "worst client %": estimate(ends["worst"]),
            "drift": f"{ends['drift'].mean():.2f}",
            **{f"round, {name} (s)": f"{ends[f'{name}_s'].mean():.2f}" for name in SPREADS},
            **{f"to {100 * TARGET:g} %, {name} (s)": _to_target(own, f"{name}_elapsed_s") for name in SPREADS},
        }


def _to_target(rows: pd.DataFrame, elapsed: str) -> str:
    first = rows[rows["accuracy"] >= TARGET].groupby("seed")[elapsed].min()
    runs = rows["seed"].nunique()
    if len(first) == 0:
        return "never"
    return f"{first.mean():.0f}" + ("" if len(first) == runs else f" ({len(first)} of {runs})")


def plot_accuracy(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over rounds and over simulated time with mixed clients, a row of panels for each partition and cut."""
    rows = with_percent(rows)
    # Latencies differ a little between seeds, as cells do: curves are means over seeds at the same round.
    mean_s = rows.groupby(["world", "method"])["mixed_s"].transform("mean")
    rows = rows.assign(simulated_s=rows["round"] * mean_s)
    worlds = list(dict.fromkeys(rows["world"]))
    figure.set_size_inches(11, 3.2 * len(worlds) + 1.2)
    panels = figure.subplots(len(worlds), 2, sharey=True, squeeze=False)
    for line, world in zip(panels, worlds, strict=True):
        own = rows[rows["world"] == world]
        for axes, x in zip(line, ("round", "simulated_s"), strict=True):
            draw_curves(axes, own, x, "percent", "method", {name: name for name in METHODS})
            axes.axhline(100 * TARGET, color="0.4", linewidth=1)
            axes.set_title(world)
        line[0].set_ylabel("test accuracy (%)")
        line[1].set_xscale("log")
    panels[0, 0].set_ylim(0, 100)
    panels[-1, 0].set_xlabel("rounds")
    panels[-1, 1].set_xlabel(f"simulated time (s), fastest client / slowest {SPREADS['mixed']:g}")
    figure.suptitle("Digits, eight iot devices: accuracy with client models averaged (FL, SFL) and never averaged")
    seeds = rows["seed"].nunique()
    legend_below(figure, f"mean over {seeds} seeds, shaded: 95 % interval; grey line: {100 * TARGET:g} %", columns=3)


def plot_drift(rows: pd.DataFrame, figure: Figure) -> None:
    """Drift over rounds, a panel for each partition and cut."""
    rows = with_percent(rows)
    worlds = list(dict.fromkeys(rows["world"]))
    drifting = rows[rows["drift"] > 0]
    figure.set_size_inches(3.2 * len(worlds) + 0.6, 4.4)
    panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
    for axes, world in zip(panels, worlds, strict=True):
        own = drifting[drifting["world"] == world]
        draw_curves(axes, own, "round", "drift", "method", {name: name for name in METHODS})
        axes.set(xlabel="rounds", title=world)
    panels[0].set(ylabel="distance of client models\nfrom their mean / its length", ylim=(0, None))
    figure.suptitle("How far client models drift apart that are never averaged")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds; others average: no drift")


EXPERIMENT = Experiment(
    title="Does parallel split learning converge without client synchronisation, as FL and SFL do that average?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"accuracy": plot_accuracy, "drift": plot_drift},
    seeds=3,
    quick_seeds=1,
)
