"""What does it cost and save to aggregate a share phi of the last-layer gradients, with few clients and with many?

    python -m experiments aggregation

Accuracy: digits, IID clients, real training, cut after the first convolution. Beside EPSL stands its control, PSL on
the rows that EPSL does not aggregate (PSL-drop), since every claim about phi has to hold against that; beside phi = 1,
where no row would be left, with some of them. Time: mean latency of a round with everybody in random cells, with
resource management by the descent.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from math import nan

import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import mean_latency_s, random_states
from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS, Method
from experiments.latency.sweeps import endless, with_clients
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.frameworks import get
from splitgym.learning import Learner
from splitgym.scenario import build
from splitgym.schedulers.allocations import Allocation

CUT = 1
TARGET = 0.9
"""Test accuracy to which rounds are counted; looked at every tenth round."""
CELLS_PER_SEED = 10
PRESETS = {"epsl": Allocation(), "edge6g": Allocation(), "bandwidth-limited": Allocation(cut_layer=CUT)}
"""In whose cells rounds are timed: ResNet-18, cut where the round is shortest, and the network that is trained here."""

_AT_LOWER_RATES = {"aggregation_correction": "unbiased", "client_learning_rate": 0.02, "server_learning_rate": 0.02}
METHODS: Mapping[str, Method] = {
    "EPSL": Method("epsl"),
    "EPSL, injected": Method("epsl", training={"aggregation_reading": "inject"}),
    # Its gradients have n times the noise.
    "EPSL, corrected": Method("epsl", training=_AT_LOWER_RATES),
    "PSL-drop": Method("psl-drop"),
}
RATIOS = {
    "EPSL": (0.0, 0.25, 0.5, 0.75, 1.0),
    "EPSL, injected": (1.0,),
    "EPSL, corrected": (1.0,),
    "PSL-drop": (0.5, 0.75, 0.9375),
}
"""phi = 0 is PSL with all of them."""


def cases(quick: bool) -> list[Case]:
    """Methods with their aggregation ratios, by number of clients."""
    return [
        {"clients": clients, "method": method, "aggregation_ratio": phi, "rounds": 30 if quick else 150}
        for clients, method in product((2, 5) if quick else (2, 5, 10), METHODS)
        for phi in RATIOS[method]
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy after the last round, rounds to the target, and the latency of a round in each preset."""
    method, phi = METHODS[case["method"]], case["aggregation_ratio"]
    task = TASKS["digits"]
    scenario = build(
        "bandwidth-limited",
        {
            "task": {**task["task"], "partition": "iid", "evaluation_samples": None, "evaluate_every": 10},
            "training": {**task["training"], **method.training},
            "clients": {"count": case["clients"]},
        },
    )
    learner = Learner(scenario, method.framework, seed)
    decision, rounds_to_target = everybody(scenario, CUT, phi), nan
    for number in range(1, case["rounds"] + 1):
        outcome = learner.round(decision)
        if outcome.evaluated and outcome.accuracy >= TARGET and not rounds_to_target <= number:
            rounds_to_target = number
    latencies = {f"{preset}_s": _latency_s(preset, method, case, seed) for preset in PRESETS}
    return [{"accuracy": outcome.accuracy, "rounds_to_target": rounds_to_target, **latencies}]


def _latency_s(preset: str, method: Method, case: Case, seed: int) -> float:
    """Mean latency of a round in random cells of a preset, s."""
    scenario = endless(preset)
    scenario = build(scenario, with_clients(scenario, case["clients"]))
    cells = range(CELLS_PER_SEED * seed, CELLS_PER_SEED * (seed + 1))
    states = random_states(scenario, get(method.framework), cells)
    return mean_latency_s(states, case["aggregation_ratio"], PRESETS[preset])


def report(rows: pd.DataFrame) -> str:
    """Accuracy, and latency relative to PSL, for each number of clients."""
    rows = with_psl(rows)
    rounds, seeds = rows["rounds"].iloc[0], rows["seed"].nunique()
    parts = [
        f"Digits, IID, cut {CUT}, {rounds} rounds; mean ± half width of the 95 % interval over {seeds} seeds. "
        f"Round latency: relative to PSL in the same {CELLS_PER_SEED * seeds} random cells of each preset. "
        f"To {100 * TARGET:g} %: simulated time in bandwidth-limited relative to PSL, of the runs that reach it.",
        *findings(rows),
    ]
    for clients, own in rows.groupby("clients"):
        parts += [f"### {clients} clients", markdown(_lines(own))]
    return "\n\n".join(parts)


def with_psl(rows: pd.DataFrame) -> pd.DataFrame:
    """What is measured beside PSL of the same seed and number of clients: points lost and relative latency."""
    psl = rows[(rows["method"] == "EPSL") & (rows["aggregation_ratio"] == 0)].set_index(["clients", "seed"])
    beside = rows.join(psl.add_prefix("psl_"), on=["clients", "seed"])
    relative = {f"{preset}_relative": beside[f"{preset}_s"] / beside[f"psl_{preset}_s"] for preset in PRESETS}
    points = 100 * (beside["accuracy"] - beside["psl_accuracy"])
    rounds = beside["rounds_to_target"] / beside["psl_rounds_to_target"]
    to_target = rounds * relative["bandwidth-limited_relative"]
    return rows.assign(percent=100 * rows["accuracy"], points=points, to_target=to_target, **relative)


def findings(rows: pd.DataFrame) -> Iterator[str]:
    """What aggregation costs in accuracy and saves in time, beside its control, and what is fastest to the target."""
    for phi, left_out in ((0.5, 0.5), (1.0, 0.75)):
        sentences = []
        for clients, own in rows.groupby("clients"):
            costs = [
                f"{name} {estimate(each['points'])} points and {100 * each['epsl_relative'].mean():.0f} % of the round"
                for name, each in (
                    (f"EPSL({phi:g})", _of(own, "EPSL", phi)),
                    (f"PSL-drop({left_out:g})", _of(own, "PSL-drop", left_out)),
                )
            ]
            sentences.append(f"{clients} clients: {', '.join(costs)}")
        yield f"**phi = {phi:g}**, against PSL, rounds in epsl. {'; '.join(sentences)}."
    for clients, own in rows.groupby("clients"):
        runs = own.groupby(["method", "aggregation_ratio"])["to_target"]
        always = runs.mean()[runs.count() == runs.size()].sort_values()
        named = [f"{_name(*key)} {share:.2f}" for key, share in always.items()]
        yield f"**To {100 * TARGET:g} % with {clients} clients**, of PSL's time: {', '.join(named) or 'not reached'}."


def _name(method: str, phi: float) -> str:
    """PSL is phi = 0 of EPSL."""
    return "PSL" if phi == 0 else f"{method}, phi = {phi:g}"


def _of(rows: pd.DataFrame, method: str, phi: float) -> pd.DataFrame:
    return rows[(rows["method"] == method) & (rows["aggregation_ratio"] == phi)]


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for (method, phi), own in rows.groupby(["method", "aggregation_ratio"], sort=False):
        reached = own["to_target"].dropna()
        to_target = f"{estimate(reached, 2)} ({len(reached)} of {len(own)})" if len(reached) else "never"
        yield {
            "method": _name(method, phi),
            "accuracy %": estimate(own["percent"]),
            "points against PSL": "" if phi == 0 else estimate(own["points"]),
            **{f"round in {preset}": f"{own[f'{preset}_relative'].mean():.2f}" for preset in PRESETS},
            f"to {100 * TARGET:g} %": to_target,
        }


def plot_accuracy(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over phi, a panel for each number of clients."""
    rows = with_psl(rows)
    psl = rows[rows["aggregation_ratio"] == 0]
    # PSL-drop, too, begins at PSL.
    rows = pd.concat([rows, psl.assign(method="PSL-drop")])
    clients = sorted(rows["clients"].unique())
    figure.set_size_inches(3.4 * len(clients) + 0.6, 4.4)
    panels = figure.subplots(1, len(clients), sharey=True, squeeze=False)[0]
    for axes, count in zip(panels, clients, strict=True):
        own = rows[rows["clients"] == count]
        draw_curves(axes, own, "aggregation_ratio", "percent", "method", {name: name for name in METHODS})
        axes.set(xlabel="aggregation ratio phi", title=f"{count} clients")
    panels[0].set(ylabel="test accuracy (%)", ylim=(None, 100))
    rounds, seeds = rows["rounds"].iloc[0], rows["seed"].nunique()
    figure.suptitle(f"Digits: test accuracy after {rounds} rounds over the aggregation ratio, by number of clients")
    legend_below(figure, f"mean and 95 % interval over {seeds} seeds; PSL-drop leaves a share phi of the rows out")


def plot_latency(rows: pd.DataFrame, figure: Figure) -> None:
    """Round latency over phi relative to PSL, a panel for each preset."""
    rows = with_psl(rows)
    epsl, psl = rows[rows["method"] == "EPSL"], rows[rows["aggregation_ratio"] == 0]
    control = pd.concat([psl, rows[rows["method"] == "PSL-drop"]]).groupby("aggregation_ratio")
    labels = {count: f"EPSL, {count} clients" for count in sorted(rows["clients"].unique())}
    figure.set_size_inches(11, 4.4)
    panels = figure.subplots(1, len(PRESETS), sharey=True)
    for axes, preset in zip(panels, PRESETS, strict=True):
        column = f"{preset}_relative"
        draw_curves(axes, epsl, "aggregation_ratio", column, "clients", labels)
        axes.plot(control[column].mean(), color="0.5", label="PSL-drop, any number")
        axes.set(xlabel="aggregation ratio phi", title=preset)
    panels[0].set(ylabel="round latency / PSL's", ylim=(0, None))
    figure.suptitle("What a round takes of PSL's time if a share phi of the rows is aggregated, or left out (PSL-drop)")
    legend_below(figure, f"mean and 95 % interval over blocks of {CELLS_PER_SEED} random cells")


EXPERIMENT = Experiment(
    title="What does aggregating last-layer gradients cost and save, over phi and the number of clients?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"accuracy": plot_accuracy, "latency": plot_latency},
    seeds=3,
    quick_seeds=1,
)
