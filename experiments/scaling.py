"""How does split learning scale to 200 clients: accuracy after a fixed number of rounds, and latency of a round?

    python -m experiments scaling

Accuracy: the digits divided among ever more IID clients, eight rows of each in a round, real training, learning rates
of one cycle. Latency: mean of a round with everybody in random cells of `epsl` (ResNet-18 on HAM10000), with resource
management by the descent; more clients than subchannels divide the same band into as many subchannels as they are. What
the resource management itself takes is measured by `python -m experiments benchmarks.descent`.
"""

from collections.abc import Callable, Iterator
from itertools import product

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.cells import mean_latency_s, random_states
from experiments.curves import draw_curves, legend_below
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS, methods
from experiments.latency.sweeps import endless, with_clients
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.frameworks import get
from splitgym.learning import Learner
from splitgym.scenario import build

METHODS = ("PSL", "EPSL(0.5)", "EPSL(1)", "PSL-drop(0.5)")
CLIENTS = (5, 20, 50, 200)
BATCH = 8
CUT = 1
CELLS_PER_SEED = 10


def cases(quick: bool) -> list[Case]:
    """Methods by number of clients."""
    clients = (5, 50) if quick else CLIENTS
    return [
        {"clients": count, "method": method, "rounds": 20 if quick else 40}
        for count, method in product(clients, METHODS)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Accuracy after the last round, and mean latency of a round."""
    method, task = methods(case["rounds"])[case["method"]], TASKS["digits"]
    # With a constant rate accuracy goes up and down where clients have few samples.
    schedule = {"learning_rate_schedule": "one-cycle", "schedule_rounds": case["rounds"]}
    scenario = build(
        "edge6g",
        {
            "task": {**task["task"], "evaluation_samples": None, "evaluate_every": case["rounds"]},
            "training": {**task["training"], **schedule, "batch_size": BATCH},
            "clients": {"count": case["clients"]},
        },
    )
    learner = Learner(scenario, method.framework, seed)
    for _ in range(case["rounds"]):
        outcome = learner.round(everybody(scenario, CUT, method.aggregation_ratio))
    cell = endless("epsl")
    cells = range(CELLS_PER_SEED * seed, CELLS_PER_SEED * (seed + 1))
    states = random_states(build(cell, with_clients(cell, case["clients"])), get(method.framework), cells)
    return [
        {
            "accuracy": outcome.accuracy,
            "worst_accuracy": outcome.worst_accuracy,
            "samples_per_client": float(learner.class_counts.sum() / case["clients"]),
            "latency_s": mean_latency_s(states, method.aggregation_ratio),
        }
    ]


def report(rows: pd.DataFrame) -> str:
    """Accuracy and latency by number of clients."""
    rows = with_relatives(rows)
    rounds, seeds = rows["rounds"].iloc[0], rows["seed"].nunique()
    return "\n\n".join(
        [
            f"Digits, IID, {BATCH} rows a round of each client, cut {CUT}, {rounds} rounds of one cycle; latency in "
            f"epsl, in parentheses relative to PSL. Mean ± half width of the 95 % interval over {seeds} seeds, "
            f"each with {CELLS_PER_SEED} random cells.",
            *findings(rows),
            "### Test accuracy (%)",
            markdown(_lines(rows, lambda own: estimate(own["percent"]))),
            "### Round latency (s)",
            markdown(_lines(rows, lambda own: f"{estimate(own['latency_s'], 2)} ({own['to_psl'].mean():.2f})")),
        ]
    )


def with_relatives(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent and points, and latency, beside those of PSL with the same clients and seed."""
    psl = rows[rows["method"] == "PSL"].set_index(["clients", "seed"])[["accuracy", "latency_s"]].add_prefix("psl_")
    beside = rows.join(psl, on=["clients", "seed"])
    return rows.assign(
        percent=100 * rows["accuracy"],
        points=100 * (beside["accuracy"] - beside["psl_accuracy"]),
        to_psl=beside["latency_s"] / beside["psl_latency_s"],
    )


def findings(rows: pd.DataFrame) -> Iterator[str]:
    """How accuracy and latency of each method go from the fewest to the most clients."""
    few, many = rows["clients"].min(), rows["clients"].max()
    for method in METHODS:
        first, last = (rows[(rows["method"] == method) & (rows["clients"] == count)] for count in (few, many))
        growth = last["latency_s"].mean() / first["latency_s"].mean()
        against = "" if method == "PSL" else f" ({estimate(last['points'])} points against PSL)"
        yield (
            f"**{method}.** From {few} to {many} clients accuracy goes from {estimate(first['percent'])} to "
            f"{estimate(last['percent'])} %{against}, and a round takes {growth:.1f} times as long."
        )


def _lines(rows: pd.DataFrame, cell: Callable[[pd.DataFrame], str]) -> Iterator[dict[str, str]]:
    for clients, own in rows.groupby("clients"):
        yield {"clients": f"{clients}", **{method: cell(own[own["method"] == method]) for method in METHODS}}


def plot_scaling(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy, latency, and latency relative to PSL over the number of clients."""
    rows = with_relatives(rows)
    figure.set_size_inches(12, 4.6)
    names, panels = {name: name for name in METHODS}, figure.subplots(1, 3)
    curves = {
        "percent": f"test accuracy (%) after {rows['rounds'].iloc[0]} rounds, digits",
        "latency_s": "mean round latency (s), epsl",
        "to_psl": "round latency / PSL's, epsl",
    }
    for axes, (column, label) in zip(panels, curves.items(), strict=True):
        draw_curves(axes, rows, "clients", column, "method", names)
        axes.set(xscale="log", xlabel="number of clients", ylabel=label)
        axes.set_xticks(sorted(rows["clients"].unique()), sorted(rows["clients"].unique()))
        axes.xaxis.set_minor_formatter(NullFormatter())
    panels[0].set_ylim(0, 100)
    panels[1].set_yscale("log")
    panels[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[1].yaxis.set_major_formatter("{x:g}")
    panels[1].yaxis.set_minor_formatter(NullFormatter())
    panels[2].set_ylim(0, None)
    figure.suptitle("More clients: accuracy on divided digits, and latency of a round")
    legend_below(figure, f"mean and 95 % interval over {rows['seed'].nunique()} seeds")


EXPERIMENT = Experiment(
    title="How does split learning scale to 200 clients: accuracy and round latency?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"scaling": plot_scaling},
    seeds=3,
    quick_seeds=1,
)
