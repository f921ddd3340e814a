"""Pictures of the rounds and the trainings."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from experiments.tables import half_width
from experiments.three_tier.architectures import ARCHITECTURES
from experiments.three_tier.report import (
    LABELS,
    OWN,
    SIZES,
    passes,
    rounds_at_preset,
    rows_of,
    seconds_to_target,
)
from experiments.three_tier.rounds import BUSY
from experiments.three_tier.training import TARGET
from splitgym.evaluation.look import COLOURS

LOOKS = {
    name: {"color": colour, "marker": marker, "linestyle": style}
    for name, colour, marker, style in zip(ARCHITECTURES, COLOURS, "osD", ("-", "--", ":"), strict=False)
}


def training_set(rows: pd.DataFrame, figure: Figure) -> None:
    """A pass over HAM10000 and time to the target with digits, over the size of the training set."""
    figure.set_size_inches(11, 4.8)
    left, right = figure.subplots(1, 2)
    own = rounds_at_preset(rows)
    for name in ARCHITECTURES:
        latency = own.loc[own["architecture"] == name, "latency_s"]
        rounds = np.array([passes(samples) for samples in SIZES])
        left.errorbar(
            SIZES, rounds * latency.mean(), rounds * half_width(latency), capsize=3, label=name, **LOOKS[name]
        )
    left.set(xlabel="training samples of HAM10000", ylabel="simulated time of one pass (s)", ylim=(0, None))
    left.set_title(f"One pass, ResNet-18: mean and 95 % interval of {own['cell'].nunique()} cells", fontsize="medium")
    times = seconds_to_target(rows)
    for name in ARCHITECTURES:
        by_size = times[times["architecture"] == name].groupby("samples")["elapsed_s"]
        right.errorbar(by_size.mean().index, by_size.mean(), by_size.agg(half_width), capsize=3, **LOOKS[name])
    seeds = times["seed"].nunique()
    right.set(xlabel="training samples of digits", ylabel=f"simulated time to {100 * TARGET:g} % (s)", ylim=(0, None))
    right.set_title(f"Real training, small CNN: mean and 95 % interval of {seeds} seeds", fontsize="medium")
    _finish(figure, [left, right], "Edge-cloud link 1/20 of the user-edge link")


def third_tier(rows: pd.DataFrame, figure: Figure) -> None:
    """Latency of a round over what decides whether a third tier pays."""
    figure.set_size_inches(11, 4.8)
    panels = figure.subplots(1, 2)
    for axes, (varied, label) in zip(panels, LABELS.items(), strict=True):
        axes.axvline(OWN[varied], color="0.85", linewidth=7, zorder=0)
        at = rows[rows["varied"] == varied]
        for name in ARCHITECTURES:
            by_value = at[at["architecture"] == name].groupby("value")["latency_s"]
            axes.errorbar(
                by_value.mean().index, by_value.mean(), by_value.agg(half_width), capsize=3, label=name, **LOOKS[name]
            )
        axes.set(xlabel=label, ylabel="latency of a round (s)", xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FormatStrFormatter("%g"))
            axis.set_minor_formatter(NullFormatter())
    cells = rows_of(rows, "round")["cell"].nunique()
    _finish(figure, list(panels), f"Grey: the preset; mean and 95 % interval of {cells} cells")


def busy(rows: pd.DataFrame, figure: Figure) -> None:
    """Who is busy on the critical path of a round."""
    figure.set_size_inches(8, 3.2)
    axes = figure.subplots()
    own = rounds_at_preset(rows)
    left = np.zeros(len(ARCHITECTURES))
    for colour, who in zip(COLOURS, BUSY, strict=False):
        seconds = np.array([own.loc[own["architecture"] == name, f"{who} (s)"].mean() for name in ARCHITECTURES])
        axes.barh(ARCHITECTURES, seconds, left=left, color=colour, label=who, edgecolor="white")
        left += seconds
    axes.invert_yaxis()
    axes.set_xlabel("time on the critical path of a round (s)")
    cells = own["cell"].nunique()
    _finish(figure, [axes], f"Edge-cloud link 1/20 of the user-edge link; mean of {cells} cells")


def accuracy(rows: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over simulated time with the largest training set."""
    figure.set_size_inches(8, 4.8)
    axes = figure.subplots()
    training = rows_of(rows, "training")
    training = training[training["samples"] == training["samples"].max()]
    for name in ARCHITECTURES:
        by_round = training[training["architecture"] == name].groupby("round")
        look = {key: value for key, value in LOOKS[name].items() if key != "marker"}
        mean = by_round[["elapsed_s", "accuracy"]].mean()
        axes.plot(mean["elapsed_s"], 100 * mean["accuracy"], linewidth=2, label=name, **look)
    axes.axhline(100 * TARGET, color="0.4", linewidth=1)
    axes.set(xlabel="simulated time (s)", ylabel="test accuracy (%)", ylim=(0, 100), xlim=(0, None))
    samples, seeds = training["samples"].iloc[0], training["seed"].nunique()
    _finish(figure, [axes], f"Digits, {samples:.0f} training samples, mean of {seeds} seeds; grey: the target")


def _finish(figure: Figure, panels: list[Axes], title: str) -> None:
    for axes in panels:
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
