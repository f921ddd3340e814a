"""Table and plots of the comparison."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.frameworks.methods import TARGETS
from splitgym.evaluation.plots import COLOURS, STYLES


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
    """Mean test accuracy over rounds and over simulated time, a row of plots for each partition."""
    partitions = list(dict.fromkeys(curves["partition"]))
    names = list(dict.fromkeys(curves["method"]))
    figure.set_size_inches(12, 4.6 * len(partitions))
    task = curves["task"].iloc[0]
    for row, partition in zip(figure.subplots(len(partitions), 2, squeeze=False), partitions, strict=True):
        own = curves[curves["partition"] == partition]
        for number, name in enumerate(names):
            mean = own[own["method"] == name].groupby("round")[["elapsed_s", "accuracy"]].mean()
            look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number // len(COLOURS)]}
            row[0].plot(mean.index, 100 * mean["accuracy"], linewidth=1.8, label=name, **look)
            later = mean[mean["elapsed_s"] > 0]  # time zero is nowhere on a logarithmic axis
            row[1].plot(later["elapsed_s"], 100 * later["accuracy"], linewidth=1.8, **look)
        lowest = 100 * own[own["round"] > 0].groupby("method")["accuracy"].median().min() - 10
        for axes, label in zip(row, ("rounds", "simulated time (s)"), strict=True):
            axes.axhline(100 * TARGETS[task], color="0.4", linewidth=1)
            axes.set(
                xlabel=label, ylabel="test accuracy (%)", title=f"{task}, {partition}", ylim=(max(lowest, 0), None)
            )
            axes.grid(alpha=0.3)
        row[1].set_xscale("log")
    seeds = curves["seed"].nunique()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    runs = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    title = f"{runs}; grey line: {100 * TARGETS[task]:g} %"
    figure.legend(handles, labels, loc="outside lower center", ncols=6, title=title)
