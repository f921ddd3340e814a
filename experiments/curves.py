"""Curves of means with their 95 % intervals."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.tables import half_width
from splitgym.evaluation.look import COLOURS, STYLES

MARKERS = "osD^vPX*"


def draw_curves(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, by: str, labels: Mapping[Any, str], interval: bool = True
) -> None:
    """Draws y over x, a curve for each value of the column `by`, in the order and with the names of `labels`.

    Args:
        axes: Where.
        rows: Those with equal x and `by` are repetitions: their mean is drawn, shaded its 95 % interval.
        x: Column.
        y: Column.
        by: Column.
        labels: Name of each curve in the legend by its value of `by`; values without rows are left out.
        interval: False: the mean alone.
    """
    for number, (value, label) in enumerate(labels.items()):
        own = rows[rows[by] == value].groupby(x)[y]
        if own.ngroups == 0:
            continue
        mean, width = own.mean(), own.agg(half_width).fillna(0.0)
        look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}
        marker = MARKERS[number % len(MARKERS)] if own.ngroups <= 8 else None
        axes.plot(mean.index, mean, marker=marker, markersize=5, linewidth=1.8, label=label, **look)
        if interval:
            axes.fill_between(mean.index, mean - width, mean + width, color=look["color"], alpha=0.15, linewidth=0)
    axes.grid(alpha=0.3)


def legend_below(figure: Figure, title: str, columns: int = 4) -> None:
    """One legend for all panels, which draw the same curves, below them."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, title=title)
