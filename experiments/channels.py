"""What do unequal channels cost, by framework and by how subchannels are dealt?

    python -m experiments channels

Mean latency of a round with everybody in random cells. Clients' mean gains are stretched in dB around their common
mean: at 0 dB all clients have the same mean gain and only fading tells them apart. What is learnt in a round does not
depend on the channels, as nobody is left out: time to an accuracy grows as the latency does.
"""

from collections.abc import Iterator
from itertools import product

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.cells import mean_latency_s, random_states
from experiments.curves import draw_curves, legend_below
from experiments.frameworks.methods import methods
from experiments.latency.sweeps import endless, spread_gains
from experiments.running import Case, Experiment, Row
from experiments.tables import estimate, markdown
from splitgym.frameworks import get
from splitgym.schedulers.allocations import ALLOCATIONS

PRESETS = ("epsl", "bandwidth-limited")
METHODS = ("PSL", "EPSL(0.5)", "EPSL(1)", "PSL-drop(0.5)")
DEALS = {
    "descent": "descent",
    "received-signal-strength": "received signal strength",
    "equal-shares": "equal shares",
}
"""Names as in `splitgym.schedulers.allocations`; the last two have even power and, as the first, the best cut layer."""
DEVIATIONS_DB = (0, 4, 8, 12, 16)
CELLS_PER_SEED = 25


def cases(quick: bool) -> list[Case]:
    """Frameworks and allocations by preset and spread of the gains."""
    deviations_db = (0, 8) if quick else DEVIATIONS_DB
    return [
        {"preset": preset, "deviation_db": deviation_db, "method": method, "allocation": allocation}
        for preset, deviation_db, method, allocation in product(PRESETS, deviations_db, METHODS, DEALS)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """Mean latency over a block of cells, s."""
    method = methods(rounds=1)[case["method"]]
    cells = range(CELLS_PER_SEED * seed, CELLS_PER_SEED * (seed + 1))
    states = random_states(endless(case["preset"]), get(method.framework), cells)
    states = spread_gains(states, case["deviation_db"])
    return [{"latency_s": mean_latency_s(states, method.aggregation_ratio, ALLOCATIONS[case["allocation"]])}]


def report(rows: pd.DataFrame) -> str:
    """Latency by spread, and what it costs relative to equal channels."""
    rows = with_relatives(rows)
    blocks = rows["seed"].nunique()
    parts = [
        f"Mean latency (s) of a round ± half width of its 95 % interval over {blocks} blocks of {CELLS_PER_SEED} "
        "random cells; in parentheses relative to the same with equal mean gains.",
        *findings(rows),
    ]
    for (preset, method), own in rows.groupby(["preset", "method"], sort=False):
        parts += [f"### {preset}, {method}", markdown(_lines(own))]
    return "\n\n".join(parts)


def with_relatives(rows: pd.DataFrame) -> pd.DataFrame:
    """Latency relative to equal channels, to the descent and to PSL, each in the same cells."""
    keys = ["preset", "deviation_db", "method", "allocation", "seed"]

    def relative(column: str, value: object) -> pd.Series:
        others = [key for key in keys if key != column]
        reference = rows[rows[column] == value].set_index(others)["latency_s"].rename("reference_s")
        return rows["latency_s"] / rows.join(reference, on=others)["reference_s"]

    return rows.assign(
        to_equal=relative("deviation_db", rows["deviation_db"].min()),
        to_descent=relative("allocation", "descent"),
        to_psl=relative("method", "PSL"),
    )


def findings(rows: pd.DataFrame) -> Iterator[str]:
    """What the greatest spread costs with each way to deal, and what aggregation then saves."""
    widest = rows["deviation_db"].max()
    for preset, own in rows.groupby("preset", sort=False):
        far, even = own[own["deviation_db"] == widest], own[own["deviation_db"] == own["deviation_db"].min()]
        psl = far[far["method"] == "PSL"]
        costs = [
            f"{psl[psl['allocation'] == name]['to_equal'].mean():.2f} with {label} "
            f"({psl[psl['allocation'] == name]['to_descent'].mean():.2f} of the descent)"
            for name, label in DEALS.items()
        ]
        saved = [
            f"{method} {of(even, method)['to_psl'].mean():.2f} of PSL with equal channels and "
            f"{of(far, method)['to_psl'].mean():.2f} at {widest} dB"
            for method in METHODS[1:]
        ]
        yield (
            f"**{preset}.** A round of PSL at {widest} dB takes, relative to equal channels, {', '.join(costs)}. "
            f"With the descent a round takes: {'; '.join(saved)}."
        )


def of(rows: pd.DataFrame, method: str, allocation: str = "descent") -> pd.DataFrame:
    """The rows of a method and an allocation."""
    return rows[(rows["method"] == method) & (rows["allocation"] == allocation)]


def _lines(rows: pd.DataFrame) -> Iterator[dict[str, str]]:
    for deviation_db, own in rows.groupby("deviation_db"):
        cells = {
            label: f"{estimate(each['latency_s'], 3)} ({each['to_equal'].mean():.2f})"
            for name, label in DEALS.items()
            for each in [own[own["allocation"] == name]]
        }
        yield {"deviation of gains (dB)": f"{deviation_db:g}", **cells}


def plot_latency(rows: pd.DataFrame, figure: Figure) -> None:
    """Latency over the spread of the gains: a row of panels for each preset, a panel for each method."""
    figure.set_size_inches(3.2 * len(METHODS) + 0.6, 7)
    panels = figure.subplots(len(PRESETS), len(METHODS), sharex=True, sharey="row")
    for line, preset in zip(panels, PRESETS, strict=True):
        for axes, method in zip(line, METHODS, strict=True):
            own = rows[(rows["preset"] == preset) & (rows["method"] == method)]
            medians = own.groupby(["deviation_db", "allocation"], as_index=False)["latency_s"].median()
            draw_curves(axes, medians, "deviation_db", "latency_s", "allocation", DEALS, interval=False)
            axes.set_title(f"{preset}, {method}")
        line[0].set(ylabel="round latency (s)", yscale="log")
        line[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        line[0].yaxis.set_major_formatter("{x:g}")
        line[0].yaxis.set_minor_formatter(NullFormatter())
    for axes in panels[-1]:
        axes.set_xlabel("standard deviation of\nclients' mean gains (dB)")
    figure.suptitle("Round latency from equal (0 dB) to very unequal channels, mean gain in dB kept")
    blocks = rows["seed"].nunique()
    legend_below(figure, f"median over {blocks * CELLS_PER_SEED} random cells")


EXPERIMENT = Experiment(
    title="What do unequal channels cost, by framework and by how subchannels are dealt?",
    cases=cases,
    measure=measure,
    report=report,
    plots={"latency": plot_latency},
    seeds=4,
    quick_seeds=2,
)
