"""From which model and how much data on is splitting cheaper than federated learning?

    python -m experiments break_even

FL sends the model, however much data clients have; split learning sends activations and gradients of every row, however
large the model is. Per pass over the data of n clients with D rows each, W numbers in the network, W_c in front of the
cut, a numbers there, and 32 bits a number:

    FL    32 W (n + 1)                             one broadcast down, n models up
    SFL   32 W_c (n + 1) + 64 n a D
    SL    64 n W_c + 64 n a D                      handed on: down and up for each client
    EPSL  32 n a D (2 - phi) + 32 a phi D          phi = 0: PSL

so FL and PSL meet at D = W (n + 1) / (2 n a). Measured are bits and seconds of rounds in which every client's
mini-batch is all its data, in random cells, with the descent's allocation, each framework at its best cut layer. Data
decide traffic and time here, not what is learnt.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S, random_states
from experiments.curves import draw_curves, legend_below
from experiments.running import Case, Experiment, Row
from experiments.tables import markdown
from splitgym import data, models
from splitgym.allocation import descend
from splitgym.frameworks import get
from splitgym.models import Profile
from splitgym.scenario import Scenario, build
from splitgym.timing import round_cost

METHODS: Mapping[str, tuple[str, float]] = {
    "FL": ("fl", 0.0),
    "SL": ("sl", 0.0),
    "SFL": ("sfl-v1", 0.0),
    "PSL": ("psl", 0.0),
    "EPSL(0.5)": ("epsl", 0.5),
    "EPSL(1)": ("epsl", 1.0),
}
NETWORKS: Mapping[str, Mapping[str, str]] = {
    "MLP, 8 x 8": {"dataset": "digits", "model": "mlp"},
    "small CNN, 8 x 8": {"dataset": "digits", "model": "cnn"},
    "ResNet-18, 32 x 32": {"dataset": "ham10000", "model": "resnet18"},
    "VGG-19, 32 x 32": {"dataset": "ham10000", "model": "vgg19"},
}
ROWS = (4, 16, 64, 256, 1024, 4096, 16384, 65536)
CELLS = 4
BITS = 32


class Sizes(NamedTuple):
    """What the formulas read, in numbers."""

    clients: int
    network: float
    """W"""
    front: Any
    """[J] W_c"""
    at_cut: Any
    """[J] a"""


def cases(quick: bool) -> list[Case]:
    """Networks by rows of data of each client."""
    networks, rows = (tuple(NETWORKS)[:2], ROWS[1:4]) if quick else (tuple(NETWORKS), ROWS)
    return [{"network": network, "rows": count} for network in networks for count in rows]


def scenario_of(case: Case) -> Scenario:
    """The paper's cell, with mini-batches that are all of a client's data."""
    return build(
        "edge6g",
        {
            "task": dict(NETWORKS[case["network"]]),
            "training": {"batch_size": case["rows"]},
            "episode": {"round_timeout_s": ENDLESS_S},
        },
    )


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each method: bits and seconds of a pass, each at the cut layer that is best for it."""
    scenario = scenario_of(case)
    sizes = sizes_of(scenario)
    rows = []
    for name, (framework, phi) in METHODS.items():
        states = random_states(scenario, get(framework), range(CELLS * seed, CELLS * (seed + 1)))
        bits, seconds = [], []
        for state in states:
            layers = range(1, state.system.cut_layers + 1) if framework != "fl" else [1]
            costs = [round_cost(state, descend(state, state.available, phi, cut_layer=layer)) for layer in layers]
            bits.append(min(float(cost.traffic_bits) for cost in costs))
            seconds.append(min(float(cost.latency_s) for cost in costs))
        own = {"bits": np.mean(bits), "formula_bits": formula(name, sizes, case["rows"]), "seconds": np.mean(seconds)}
        rows.append({"method": name, "meets_rows": meets(sizes), **{key: float(value) for key, value in own.items()}})
    return rows


def sizes_of(scenario: Scenario) -> Sizes:
    """From the profile of its network."""
    shape, classes = data.dimensions(scenario.task.dataset)
    costs: Profile = models.profile(models.build(scenario.task.model, shape, classes, stem=scenario.task.stem), shape)
    cuts = costs.cut_layers
    return Sizes(
        scenario.clients.count,
        float(costs.model_bits.sum()) / BITS,
        costs.prefix_bits(cuts) / BITS,
        costs.activation_bits[cuts - 1] / BITS,
    )


def formula(method: str, sizes: Sizes, rows: int) -> float:
    """Bits of a pass over the data at the best cut layer, as the formulas say.

    Args:
        method: Name in `METHODS`.
        sizes: Of clients and network.
        rows: Of data, of each client.
    """
    n, w, front, a = sizes
    crossing = 2 * n * a * rows
    if method == "FL":
        return float(BITS * w * (n + 1))
    if method == "SFL":
        return float((BITS * (front * (n + 1) + crossing)).min())
    if method == "SL":
        return float((BITS * (2 * n * front + crossing)).min())
    phi = METHODS[method][1]
    return float((BITS * (n * a * rows * (2 - phi) + a * np.ceil(phi * rows))).min())


def meets(sizes: Sizes) -> float:
    """D, rows of each client at which FL and PSL send as much."""
    return float(sizes.network * (sizes.clients + 1) / (2 * sizes.clients * sizes.at_cut.min()))


def report(rows: pd.DataFrame) -> str:
    """Where FL meets the others, by network, and what the formulas miss."""
    error = (rows["bits"] / rows["formula_bits"] - 1).abs().max()
    parts = [
        f"Five clients of edge6g; means over {CELLS * rows['seed'].nunique()} cells. Measured bits differ from the "
        f"formulas by at most {100 * error:.2f} %. Rows of each client at which a method and FL send as much, and take "
        "as long; with fewer the method is ahead of FL.",
        "### Bits",
        markdown(_meetings(rows, "bits")),
        "### Seconds",
        markdown(_meetings(rows, "seconds")),
    ]
    return "\n\n".join(parts)


def _meetings(rows: pd.DataFrame, column: str) -> Iterator[dict[str, str]]:
    means = rows.groupby(["network", "method", "rows"], sort=False)[column].mean()
    for network, own in rows.groupby("network", sort=False):
        fl = means[network]["FL"]
        told = {"network": str(network)}
        if column == "bits":
            told["PSL, by the formula"] = f"{own['meets_rows'].iloc[0]:.0f}"
        yield {**told, **{method: _meeting(fl, means[network][method]) for method in METHODS if method != "FL"}}


def _meeting(fl: pd.Series, other: pd.Series) -> str:
    """Rows where a method gets as dear as FL, in a line through the logarithms of the two nearest counts."""
    ahead = (other < fl).to_numpy()
    counts, gap = np.log(fl.index.to_numpy(float)), np.log(other.to_numpy() / fl.to_numpy())
    if ahead.all() or not ahead.any():
        return f"more than {fl.index[-1]}" if ahead.all() else f"fewer than {fl.index[0]}"
    first = int(np.argmin(ahead))
    if not ahead[:first].all() or ahead[first:].any():
        return "more than once"
    share = gap[first - 1] / (gap[first - 1] - gap[first])
    return f"{np.exp(counts[first - 1] + share * (counts[first] - counts[first - 1])):.0f}"


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Megabits and seconds of a pass over the rows of each client, a column of panels for each network."""
    networks = list(dict.fromkeys(rows["network"]))
    figure.set_size_inches(3.4 * len(networks) + 0.6, 7)
    panels = figure.subplots(2, len(networks), sharex=True, squeeze=False)
    shown = {name: name for name in METHODS}
    rows = rows.assign(megabits=rows["bits"] / 1e6)
    for column, network in zip(panels.T, networks, strict=True):
        own = rows[rows["network"] == network]
        for axes, quantity in zip(column, ("megabits", "seconds"), strict=True):
            draw_curves(axes, own, "rows", quantity, "method", shown, interval=False)
            axes.set(xscale="log", yscale="log")
            axes.tick_params(labelsize="small")
        column[0].axvline(own["meets_rows"].iloc[0], color="0.4", linewidth=1, label="FL = PSL, formula")
        column[0].set_title(network)
        column[1].set_xlabel("rows of each client")
    panels[0, 0].set_ylabel("traffic of a pass (Mbit)")
    panels[1, 0].set_ylabel("time of a pass (s)")
    legend_below(figure, "mean over cells, each framework at its best cut layer")


EXPERIMENT = Experiment(
    title="From which model and how much data on is splitting cheaper than federated learning?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"traffic": plot},
    seeds=3,
    quick_seeds=1,
)
