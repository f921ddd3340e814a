"""Tables and figures: mean round latency over one quantity after the other."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.latency.comparisons import Comparison
from experiments.latency.sweeps import SWEEPS, Sweep, endless
from experiments.tables import half_width
from splitgym.evaluation.look import COLOURS, STYLES

MARKERS = "osD^vPX*<>"
COLUMNS = 4
"""Of a figure's panels; the legend has the place after the last one."""


def table(rounds: pd.DataFrame, comparison: Comparison, varied: str) -> str:
    """Mean latency ± half width of its 95 % interval, and the typical ratio to the reference; a row for each value."""
    sweep, labels = SWEEPS[varied], comparison.labels
    lines = ["| " + " | ".join([sweep.label, *labels.values()]) + " |", "|" + "---:|" * (1 + len(labels))]
    for value, at_value in rounds[rounds["varied"] == varied].groupby("value"):
        by_method = at_value.groupby(comparison.by)
        cells = [_cell(by_method.get_group(name)) for name in labels]
        lines.append("| " + " | ".join([f"{value / sweep.unit:.4g}", *cells]) + " |")
    return "\n".join(lines)


def _cell(rounds: pd.DataFrame) -> str:
    """Three digits of the mean, and the half width as exactly."""
    mean = rounds["latency_s"].mean()
    decimals = max(0, 2 - int(np.floor(np.log10(mean))))
    width = half_width(rounds["latency_s"])
    return f"{mean:.{decimals}f} ± {width:.{decimals}f} ({_typical(rounds['relative']):.2f})"


def _typical(ratios: pd.Series) -> float:
    """Geometric mean."""
    return float(np.exp(np.log(ratios).mean()))


def plot(rounds: pd.DataFrame, comparison: Comparison, preset: str, figure: Figure) -> None:
    """Draws a panel for each quantity, with the preset's own value of it as a grey bar."""
    names = list(dict.fromkeys(rounds["varied"]))
    own = [SWEEPS[name].of(endless(preset)) for name in names]
    rows = len(names) // COLUMNS + 1
    figure.set_size_inches(4 * COLUMNS, 3.9 * rows + 0.4)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, name, value in zip(panels, names, own, strict=False):
        axes.axvline(value / SWEEPS[name].unit, color="0.85", linewidth=7, zorder=0)
        _panel(axes, rounds[rounds["varied"] == name], comparison, SWEEPS[name])
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    in_preset = rounds[(rounds["varied"] == names[0]) & (rounds["value"] == own[0])]
    _legend(panels[len(names)], panels[0], in_preset, comparison)
    cells = rounds["cell"].nunique()
    figure.suptitle(f"Preset {preset}: {comparison.title} (median and quartiles over {cells} random cells)")


def _panel(axes: Axes, rounds: pd.DataFrame, comparison: Comparison, sweep: Sweep) -> None:
    """One curve for each method; that of the reference is broad and lies below."""
    for number, name in enumerate(comparison.drawn):
        by_value = rounds[rounds[comparison.by] == name].groupby("value")["latency_s"]
        # Some cells have a round many times the usual one, which a mean would show alone.
        low, median, high = (by_value.quantile(part) for part in (0.25, 0.5, 0.75))
        below = name == comparison.reference
        axes.errorbar(
            median.index / sweep.unit,
            median,
            (median - low, high - median),
            label=name,
            color=(*COLOURS, "0.5")[number],
            linestyle="-" if below else STYLES[(number + 1) % 2],
            marker=MARKERS[number],
            linewidth=4 if below else 1.5,
            markersize=7 if below else 5,
            alpha=0.5 if below else 1,
            elinewidth=1,
            zorder=1 if below else 2,
        )
    by_point = rounds[rounds[comparison.by].isin(comparison.drawn)].groupby([comparison.by, "value"])["latency_s"]
    axes.set_yscale("log")
    if rounds["value"].min() > 0:
        axes.set_xscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    axes.set(
        ylim=(0.8 * by_point.quantile(0.25).min(), 1.25 * by_point.quantile(0.75).max()),
        xlabel=sweep.label,
        ylabel="round latency (s)",
    )
    axes.grid(alpha=0.3)


def _legend(place: Axes, panel: Axes, in_preset: pd.DataFrame, comparison: Comparison) -> None:
    """Names of the curves, and how long their rounds typically take, relative to the reference."""
    handles, names = panel.get_legend_handles_labels()
    ratios = in_preset.groupby(comparison.by)["relative"].agg(_typical)
    labels = [f"{comparison.labels[name]} ({ratios[name]:.2f})" for name in names]
    reference = comparison.labels[comparison.reference]
    title = f"(latency in the preset, grey bar, relative to\n{reference}, in the same cell; geometric mean)"
    place.legend(handles, labels, title=title, loc="center", frameon=False)
