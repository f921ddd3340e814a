"""Table and plots of the comparison."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.curves import draw_curves
from experiments.frameworks.methods import MAJORITY, TARGETS, methods
from splitgym.evaluation.look import MOST_CURVES

LEAST_SEEDS = 5
"""From which on intervals are drawn."""


def report(curves: pd.DataFrame) -> str:
    """What the numbers are, and the tables."""
    run, seeds = curves.iloc[0], curves["seed"].nunique()
    caption = (
        f"{run['task']}: {run['rounds']} rounds, {seeds} seeds, cut layer {run['cut_layer']}, "
        f"{run['precision']}. Accuracy: mean ± standard deviation after the last round, over all clients; "
        "differences: mean ± standard error on the same seeds. Times are simulated; `inject` is timed as EPSL, whose "
        "reference it is, though its server really back-propagates every row."
    )
    return f"{caption}\n\n{table(curves, run['task'])}"


def table(curves: pd.DataFrame, task: str) -> str:
    """One Markdown table for each partition: accuracy at the end, what it costs, simulated time."""
    parts = []
    for partition, own in curves.groupby("partition", sort=False):
        names = list(dict.fromkeys(own["method"]))
        final = own.sort_values("round").groupby(["method", "seed"]).last()
        common = _highest_common(own)
        lines = [
            f"### {task}, {partition}",
            "",
            "| method | accuracy % | balanced % | worst client % | points against PSL | against PSL-drop(0.5) | "
            f"s a round | s to {100 * TARGETS[task]:g} % | s to {100 * common:.1f} % |",
            "|---|" + "---:|" * 8,
        ]
        for name in names:
            end = final.loc[name]
            cells = [
                _spread(100 * end["accuracy"]),
                f"{100 * end['balanced_accuracy'].mean():.1f}",
                f"{100 * end['worst_accuracy'].mean():.1f}",
                *(_difference(final, name, other) for other in ("PSL", "PSL-drop(0.5)")),
                f"{(end['elapsed_s'] / end['round']).mean():.2f}",
                *(_time_to(own[own["method"] == name], target) for target in (TARGETS[task], common)),
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if task in MAJORITY:
            accuracy, balanced = MAJORITY[task]
            lines.append(f"| always the majority class | {100 * accuracy:.1f} | {100 * balanced:.1f} |" + " |" * 6)
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _highest_common(curves: pd.DataFrame) -> float:
    """The highest accuracy that every run reaches, rounded down to 0.1 %."""
    return float(np.floor(1000 * curves.groupby(["method", "seed"])["accuracy"].max().min()) / 1000)


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.1f} ± {values.std():.1f}" if len(values) > 1 else f"{values.mean():.1f}"


def _difference(final: pd.DataFrame, name: str, other: str) -> str:
    """Mean difference in points on the same seeds, ± its standard error."""
    if other == name or other not in final.index.get_level_values(0):
        return ""
    points = 100 * (final.loc[name]["accuracy"] - final.loc[other]["accuracy"]).dropna()
    return f"{points.mean():+.1f} ± {points.sem():.1f}" if len(points) > 1 else f"{points.mean():+.1f}"


def _time_to(curves: pd.DataFrame, target: float) -> str:
    """Mean simulated time at which a run first measures the target, and how many of the runs do."""
    reached = [own[own["accuracy"] >= target]["elapsed_s"].min() for _, own in curves.groupby("seed")]
    times = [seconds for seconds in reached if not np.isnan(seconds)]
    if not times:
        return "never"
    return f"{np.mean(times):.0f}" + ("" if len(times) == len(reached) else f" ({len(times)} of {len(reached)})")


def plot(curves: pd.DataFrame, figure: Figure) -> None:
    """Mean test accuracy over rounds, with intervals, and over simulated time; rows of plots for each partition.

    Where there are more methods than a panel can show, those that aggregate have a row of their own, with PSL.
    """
    curves = curves.assign(
        percent=100 * curves["accuracy"],
        # Latencies differ a little between seeds, as cells do: curves are means over seeds at the same round.
        simulated_s=curves.groupby(["partition", "method", "round"])["elapsed_s"].transform("mean"),
    )
    run = set(curves["method"])
    # In the order of all methods; only those that were run, as there are fewer colours than methods.
    names = {name: name for name in (*methods(int(curves["rounds"].iloc[0])), *curves["method"]) if name in run}
    groups = _groups(list(names))
    rows = [(partition, group) for partition in dict.fromkeys(curves["partition"]) for group in groups]
    figure.set_size_inches(12, 4.2 * len(rows))
    task, seeds = curves["task"].iloc[0], curves["seed"].nunique()
    # The interval of fewer runs is as wide as the panel.
    interval = seeds >= LEAST_SEEDS
    for row, (partition, group) in zip(figure.subplots(len(rows), 2, squeeze=False), rows, strict=True):
        own = curves[(curves["partition"] == partition) & curves["method"].isin(group)]
        draw_curves(row[0], own, "round", "percent", "method", names, interval)
        # Time zero is nowhere on a logarithmic axis.
        draw_curves(row[1], own[own["elapsed_s"] > 0], "simulated_s", "percent", "method", names, interval=False)
        lowest = max(own[own["round"] > 0].groupby("method")["percent"].median().min() - 10, 0)
        highest = min(own.groupby(["method", "round"])["percent"].mean().max() + 3, 100)
        for axes, label in zip(row, ("rounds", "simulated time (s)"), strict=True):
            axes.axhline(100 * TARGETS[task], color="0.4", linewidth=1)
            if task in MAJORITY:
                axes.axhline(100 * MAJORITY[task][0], color="0.4", linewidth=1, linestyle=":")
            axes.set(xlabel=label, ylabel="test accuracy (%)", title=f"{task}, {partition}", ylim=(lowest, highest))
        row[1].set_xscale("log")
        row[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5))
    runs = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    shaded = ", shaded: 95 % interval" if interval else ""
    majority = "; dotted: always the majority class" if task in MAJORITY else ""
    figure.suptitle(f"{runs}{shaded}; grey line: {100 * TARGETS[task]:g} %{majority}")


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Methods of each row of plots."""
    if len(names) <= MOST_CURVES:
        return [list(names)]
    return [[n for n in names if not n.startswith("EPSL")], [n for n in names if n.startswith("EPSL") or n == "PSL"]]
