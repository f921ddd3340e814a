"""Plots of a comparison: accuracy over simulated time, times to target, performance profiles."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from splitgym.arrays import Floats
from splitgym.evaluation.comparison import ALL, TIME, Comparison
from splitgym.evaluation.episodes import Episode
from splitgym.evaluation.statistics import Bootstrap, profile
from splitgym.outputs import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")

BASELINE, OTHERS = COLOURS[1], (COLOURS[0], *COLOURS[2:])
"""Colour of the baseline, and those of what is compared with it."""

IN_COLOUR = 5
"""Number of agents, the fastest ones, that profiles colour beside the baseline: more are hard to tell apart."""


@contextmanager
def text_as_it_is() -> Iterator[None]:
    """Names that are drawn inside are shown as they are: a $ in them begins no formula."""
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import, only needed here

    with rc_context({"text.parse_math": False, "text.usetex": False}):
        yield


def number_log_axes(figure: "Figure") -> None:
    """Writes the numbers of logarithmic axes as they are, 100 instead of a formula for it."""
    from matplotlib.ticker import LogFormatter  # noqa: PLC0415 - as above

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                axis.set_major_formatter(Plain(labelOnlyBase=False))
            if isinstance(axis.get_minor_formatter(), LogFormatter):
                axis.set_minor_formatter(Plain(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


@text_as_it_is()
def plot_accuracy(episodes: Sequence[Episode], path: Path, title: str) -> None:
    """Draws each agent's mean test accuracy over simulated time, with the range over its episodes, to an image file."""
    # The object interface draws without a display and leaves the user's pyplot state alone.
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    names = list(dict.fromkeys(e.agent for e in episodes))
    rows_of_legend = -(-len(names) // _side_by_side(names))
    figure = Figure(figsize=(8, 4.8 + 0.2 * rows_of_legend), layout="constrained")
    axes = figure.subplots()
    end_s = min(episodes[0].time_budget_s, max(e.elapsed_s[-1] for e in episodes))
    time_s = np.linspace(0, end_s, 400)
    for number, name in enumerate(sorted(names)):
        curves = np.stack([_at(e, time_s) for e in episodes if e.agent == name])
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        axes.plot(time_s, 100 * curves.mean(0), style, color=colour, label=name, linewidth=2)
        axes.fill_between(time_s, 100 * curves.min(0), 100 * curves.max(0), color=colour, alpha=0.12, linewidth=0)
    target = 100 * episodes[0].target_accuracy
    axes.axhline(target, color="0.4", linewidth=1)
    axes.annotate(f"target {target:g} %", (0.01 * end_s, target), va="bottom", color="0.3")
    axes.set(xlabel="simulated time (s)", ylabel="test accuracy (%)", title=title, xlim=(0, end_s), ylim=(0, 100))
    axes.grid(alpha=0.3)
    count = sum(e.agent == names[0] for e in episodes)
    figure.legend(
        loc="outside lower center", ncols=_side_by_side(names), title=f"mean, and range over {count} episodes"
    )
    _save(figure, path, dpi=150)


def _at(episode: Episode, time_s: np.ndarray) -> np.ndarray:
    """Accuracy at given times; before the end of the first round its value stands."""
    last_round = np.searchsorted(episode.elapsed_s, time_s, side="right") - 1
    return episode.accuracy[np.maximum(last_round, 0)]


@text_as_it_is()
def plot_times(comparison: Comparison, summary: pd.DataFrame, scenario: str, path: Path) -> None:
    """Draws times to target and what is saved of the baseline's, with intervals, to an image file.

    Args:
        comparison: Of the agents.
        summary: Its summary.
        scenario: Name, or `ALL`: savings only, as times of several scenarios have no common unit.
        path: Of the image.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above
    from matplotlib.lines import Line2D  # noqa: PLC0415

    rows = summary[summary["scenario"] == scenario]
    columns = {"saving": (100, f"time saved against {comparison.baseline} (%)")}
    if scenario != ALL:
        columns = {TIME: (1, "simulated time to target (s)"), **columns}
    widest = rows["agent"].str.len().max()
    figure = Figure(
        figsize=(1 + 0.07 * widest + max(5.0, 3.2 * len(columns)), 1.7 + 0.26 * len(rows)), layout="constrained"
    )
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    place = np.arange(len(rows))
    colours = np.where(rows["agent"] == comparison.baseline, BASELINE, OTHERS[0])
    fill = np.where(rows["bound"].astype(bool), "white", colours)
    for axes, (column, (unit, label)) in zip(panels, columns.items(), strict=True):
        value, low, high = (unit * rows[name].to_numpy() for name in (column, f"{column}_low", f"{column}_high"))
        axes.hlines(place, low, high, color=colours, linewidth=3, alpha=0.45)
        axes.scatter(value, place, s=36, color=fill, edgecolors=colours, zorder=3)
        axes.axvline(value[colours == BASELINE][0], color=BASELINE, linewidth=1)
        axes.set_xlabel(label)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(place, list(rows["agent"]))
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(_title(comparison.baseline, rows), fontsize="medium")
    marks = [
        Line2D([], [], color=OTHERS[0], marker="o", label="interquartile mean, 95 % interval"),
        Line2D([], [], color=BASELINE, marker="o", label=comparison.baseline),
    ]
    if rows["bound"].any():
        missed = "target missed too often: at least so long"
        marks.append(Line2D([], [], color="0.3", marker="o", markerfacecolor="white", linestyle="", label=missed))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(columns) + 1, fontsize="small")
    _save(figure, path, dpi=130)


@text_as_it_is()
def plot_profiles(comparison: Comparison, summary: pd.DataFrame, scenario: str, path: Path) -> None:
    """Draws each agent's share of episodes that reached the target by a time, to an image file.

    Baseline and fastest agents are in colours, with 95 % intervals; the others are grey.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    ranked = list(summary.loc[summary["scenario"] == scenario, "agent"])
    shown = [agent for agent in ranked if agent == comparison.baseline or agent in ranked[:IN_COLOUR]]
    budget_s = float(comparison.values("time_budget_s", scenario, comparison.baseline)[0])
    grid = np.linspace(0, budget_s, 300)
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots()
    for agent in [each for each in ranked if each not in shown]:
        axes.plot(grid, 100 * profile([_reached_at(comparison, scenario, agent)], grid), color="0.75", linewidth=1)
    if len(shown) < len(ranked):
        axes.plot([], [], color="0.75", linewidth=1, label=f"{len(ranked) - len(shown)} others")
    for number, agent in enumerate(shown):
        times = [_reached_at(comparison, scenario, agent)]
        colour = BASELINE if agent == comparison.baseline else OTHERS[number]
        style = STYLES[number % len(STYLES)]
        bootstrap = Bootstrap([len(times[0])], comparison.seed)
        axes.fill_between(
            grid, *(100 * bootstrap.interval(partial(profile, grid=grid), times)), color=colour, alpha=0.15, linewidth=0
        )
        axes.plot(grid, 100 * profile(times, grid), style, color=colour, linewidth=2, label=agent)
    axes.set(
        xlabel="simulated time (s)",
        ylabel="episodes that reached the target (%)",
        title=f"{scenario}: share of {len(times[0])} episodes that are at the target, by time",
        xlim=(0, budget_s),
        ylim=(0, 101),
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=_side_by_side(shown), title="95 % intervals shaded")
    _save(figure, path, dpi=130)


def _save(figure: "Figure", path: Path, dpi: int) -> None:
    """In the format that the path ends with, or as PNG."""
    write(path, partial(figure.savefig, dpi=dpi, format=path.suffix.removeprefix(".") or "png"))


def _side_by_side(names: Sequence[str]) -> int:
    """How many of them a row of a legend has place for."""
    return max(1, min(len(names), 4, 90 // (max(map(len, names)) + 6)))


def _title(baseline: str, rows: pd.DataFrame) -> str:
    """What is seen: which agent is fastest, and by how much."""
    best = rows.iloc[0]
    where = "All scenarios" if best["scenario"] == ALL else best["scenario"]
    if best["agent"] == baseline:
        return f"{where}: nobody is faster to the target than {baseline}"
    return f"{where}: {best['agent']} is fastest to the target, {100 * best['saving']:.0f} % less time than {baseline}"


def _reached_at(comparison: Comparison, scenario: str, agent: str) -> Floats:
    """Times to target, s; infinite where it was missed."""
    reached = comparison.values("reached", scenario, agent).astype(bool)
    return np.where(reached, comparison.values(TIME, scenario, agent), np.inf)
