"""Table and figure: late rounds of the critical slice against the time to target of the other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from splitgym.arrays import Floats
from splitgym.evaluation.look import COLOURS

RESAMPLES = 2000
FAMILIES = {"static": "s", "priority": "^", "alpha-fair": "D", "random": "x", "untrained": "P", "learned": "o"}
"""Methods by how their names begin, and their marks."""


def interval(values: Sequence[float] | Floats, seed: int = 0) -> tuple[float, float, float]:
    """Mean of the episodes, and the 95 % bootstrap interval."""
    sample = np.asarray(values, float)
    drawn = np.random.default_rng(seed).integers(len(sample), size=(RESAMPLES, len(sample)))
    low, high = np.percentile(sample[drawn].mean(1), [2.5, 97.5])
    return float(sample.mean()), float(low), float(high)


def _said(values: Floats, digits: int, factor: float = 1.0) -> str:
    mean, low, high = interval(factor * values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def table(rows: pd.DataFrame) -> str:
    """A line for each method, as Markdown."""
    lines = [
        "| method | late rounds (%) | episodes within the allowed share | time to target (s) | target reached | "
        "subchannels of the critical slice | accuracy of the critical slice |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for method, own in rows.groupby("method", sort=False):
        within = int((own["late_share"] <= own["allowed"]).sum())
        lines.append(
            f"| {method} | {_said(own['late_share'].to_numpy(), 1, 100)} | {within} of {len(own)} | "
            f"{_said(own['time_s'].to_numpy(), 0)} | {int(own['reached'].sum())} of {len(own)} | "
            f"{own['subchannels'].mean():.1f} | {own['critical_accuracy'].mean():.2f} |"
        )
    return "\n".join(lines)


def report(rows: pd.DataFrame) -> str:
    """What the numbers are, and the table."""
    periods, allowed = int(rows["training_periods"].max()), 100 * rows["allowed"].iloc[0]
    trainings = rows["seed"].nunique()
    return (
        f"Means over {rows['episode'].nunique()} held-out episodes, with 95 % bootstrap intervals; {trainings} "
        f"trainings of each learned method on {periods} periods, each played on its own part of the episodes. An "
        "episode ends when the best-effort slice reaches its target or its time budget of 600 s, with which it then "
        f"counts. Allowed are {allowed:g} % late rounds.\n\n{table(rows)}"
    )


def plot(rows: pd.DataFrame, figure: Figure) -> None:
    """Draws every method with its intervals; methods of one family are joined."""
    figure.set_size_inches(8, 5)
    axes = figure.subplots()
    for colour, (family, mark) in zip(COLOURS, FAMILIES.items(), strict=False):
        points = [
            (method.partition("=")[2] or method, interval(100 * own["late_share"]), interval(own["time_s"]))
            for method, own in rows.groupby("method", sort=False)
            if str(method).startswith(family)
        ]
        late, time_s = (np.array([point[axis] for point in points]) for axis in (1, 2))
        if not points:
            continue
        axes.errorbar(
            late[:, 0],
            time_s[:, 0],
            xerr=np.abs(late[:, 1:] - late[:, :1]).T,
            yerr=np.abs(time_s[:, 1:] - time_s[:, :1]).T,
            fmt=mark if family == "learned" else f"{mark}-",
            color=colour,
            label=family,
            elinewidth=0.8,
            linewidth=1,
        )
        for (name, *_), x, y in zip(points, late[:, 0], time_s[:, 0], strict=True):
            if name != family:
                axes.annotate(name, (x, y), (5, 5), textcoords="offset points", fontsize=8, color=colour)
    axes.axvline(100 * rows["allowed"].iloc[0], color="0.4", linewidth=1, linestyle="--")
    axes.set_xlabel("late rounds of the latency-critical slice (%); dashed: allowed")
    axes.set_ylabel("time to target of the best-effort slice (s)")
    axes.set_title(f"Mean and 95 % interval over {rows['episode'].nunique()} episodes", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend()
