"""Plots of a comparison: accuracy over simulated time, times and energy to target, performance profiles."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from splitgym.arrays import Floats
from splitgym.evaluation.comparison import ALL, ENERGY, TIME, Comparison
from splitgym.evaluation.episodes import Episode
from splitgym.evaluation.figures import save, text_as_it_is
from splitgym.evaluation.look import MOST_CURVES, STYLES, LineStyle, looks
from splitgym.evaluation.statistics import Bootstrap, half_width, profile

_MARKS: Mapping[LineStyle, str] = dict(zip(STYLES, "osD^v", strict=True))
"""Of a point, by the line style of its agent."""


@text_as_it_is()
def plot_accuracy(episodes: Sequence[Episode], path: Path, title: str) -> None:
    """Draws mean test accuracy over simulated time, with its 95 % interval over the episodes, to an image file.

    Of more than eight agents those whose mean over the time is the highest are drawn.
    """
    # The object interface draws without a display and leaves the user's pyplot state alone.
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    end_s = min(episodes[0].time_budget_s, max(e.elapsed_s[-1] for e in episodes))
    time_s = np.linspace(0, end_s, 400)
    names = sorted({e.agent for e in episodes})
    curves = {name: 100 * np.stack([_at(e, time_s) for e in episodes if e.agent == name]) for name in names}
    shown = sorted(sorted(names, key=lambda name: -float(curves[name].mean()))[:MOST_CURVES])
    rows_of_legend = -(-len(shown) // _side_by_side(shown))
    figure = Figure(figsize=(8, 4.8 + 0.2 * rows_of_legend), layout="constrained")
    axes = figure.subplots()
    for name, look in looks(shown).items():
        mean, width = curves[name].mean(0), half_width(curves[name])
        axes.plot(time_s, mean, linestyle=look.style, color=look.colour, label=name, linewidth=2)
        axes.fill_between(time_s, mean - width, mean + width, color=look.colour, alpha=0.15, linewidth=0)
    target = 100 * episodes[0].target_accuracy
    axes.axhline(target, color="0.4", linewidth=1)
    axes.annotate(f"target {target:g} %", (0.01 * end_s, target), va="bottom", color="0.3")
    axes.set(xlabel="simulated time (s)", ylabel="test accuracy (%)", title=title, xlim=(0, end_s), ylim=(0, 100))
    axes.grid(alpha=0.3)
    count = len(curves[names[0]])
    said = f"mean of {count} episodes, 95 % intervals shaded" if count > 1 else "one episode"
    said += _left_out(len(names) - len(shown))
    figure.legend(loc="outside lower center", ncols=_side_by_side(shown), title=said)
    save(figure, path, dpi=150)


def _at(episode: Episode, time_s: np.ndarray) -> np.ndarray:
    """Accuracy at given times: that of the last round that has ended, before the first one the initial one."""
    accuracy = np.concatenate([[episode.initial_accuracy], episode.accuracy])
    return accuracy[np.searchsorted(episode.elapsed_s, time_s, side="right")]


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
    colours = np.array([look.colour for look in looks(rows["agent"]).values()])
    fill = np.where(rows["bound"].astype(bool), "white", colours)
    (baseline,) = np.flatnonzero(rows["agent"] == comparison.baseline)
    for axes, (column, (unit, label)) in zip(panels, columns.items(), strict=True):
        value, low, high = (unit * rows[name].to_numpy() for name in (column, f"{column}_low", f"{column}_high"))
        axes.hlines(place, low, high, color=colours, linewidth=3, alpha=0.45)
        axes.scatter(value, place, s=36, color=fill, edgecolors=colours, zorder=3)
        axes.axvline(value[baseline], color=colours[baseline], linewidth=1)
        axes.set_xlabel(label)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(place, list(rows["agent"]))
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(_title(comparison, rows), fontsize="medium")
    marks = [
        Line2D([], [], color="0.3", marker="o", label="interquartile mean, 95 % interval"),
        Line2D([], [], color=colours[baseline], label=comparison.baseline),
    ]
    if rows["bound"].any():
        missed = "target missed too often: at least so long"
        marks.append(Line2D([], [], color="0.3", marker="o", markerfacecolor="white", linestyle="", label=missed))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(columns) + 1, fontsize="small")
    save(figure, path)


@text_as_it_is()
def plot_trade_off(comparison: Comparison, summary: pd.DataFrame, scenario: str, path: Path) -> None:
    """Draws energy over time to target, with intervals, to an image file; agents that none beats in both are joined.

    Args:
        comparison: Of the agents.
        summary: Its summary.
        scenario: Name.
        path: Of the image.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    rows = summary[summary["scenario"] == scenario].sort_values([TIME, ENERGY])
    figure = Figure(figsize=(7, 5.4), layout="constrained")
    axes = figure.subplots()
    for (name, look), row in zip(looks(rows["agent"]).items(), rows.to_dict("records"), strict=True):
        ends = [[[row[c] - row[f"{c}_low"]], [row[f"{c}_high"] - row[c]]] for c in (TIME, ENERGY)]
        axes.errorbar(row[TIME], row[ENERGY], ends[1], ends[0], color=look.colour, linestyle="", elinewidth=0.8)
        fill = "white" if row["bound"] else look.colour
        axes.plot(row[TIME], row[ENERGY], _MARKS[look.style], color=look.colour, markerfacecolor=fill, label=name)
    best = rows[rows[ENERGY] <= rows[ENERGY].cummin()]
    axes.step(best[TIME], best[ENERGY], where="post", color="0.6", linewidth=1, zorder=0)
    axes.set(
        xlabel="simulated time to target (s)",
        ylabel="energy to target (J)",
        title=f"{scenario}: time and energy to target, {rows['episodes'].iloc[0]} episodes",
        xlim=(0, None),
        ylim=(0, None),
    )
    axes.grid(alpha=0.3)
    said = "interquartile means, 95 % intervals; grey line: those that none beats in both; hollow: at least so long"
    figure.legend(
        loc="outside lower center", ncols=_side_by_side(list(rows["agent"])), title=said, title_fontsize="small"
    )
    save(figure, path)


@text_as_it_is()
def plot_profiles(comparison: Comparison, summary: pd.DataFrame, scenario: str, path: Path) -> None:
    """Draws each agent's share of episodes that reached the target by a time, with 95 % intervals, to an image file.

    Of more than eight agents the baseline and the fastest ones are drawn.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    ranked = list(summary.loc[summary["scenario"] == scenario, "agent"])
    fastest = [agent for agent in ranked if agent != comparison.baseline][: MOST_CURVES - 1]
    shown = [agent for agent in ranked if agent in (comparison.baseline, *fastest)]
    budget_s = float(comparison.values("time_budget_s", scenario, comparison.baseline)[0])
    grid = np.linspace(0, budget_s, 300)
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots()
    for agent, look in looks(shown).items():
        times = [_reached_at(comparison, scenario, agent)]
        bootstrap = Bootstrap([len(times[0])], comparison.seed)
        ends = 100 * bootstrap.interval(partial(profile, grid=grid), times)
        axes.fill_between(grid, *ends, color=look.colour, alpha=0.15, linewidth=0)
        axes.plot(grid, 100 * profile(times, grid), linestyle=look.style, color=look.colour, linewidth=2, label=agent)
    axes.set(
        xlabel="simulated time (s)",
        ylabel="episodes that reached the target (%)",
        title=f"{scenario}: share of {len(times[0])} episodes that are at the target, by time",
        xlim=(0, budget_s),
        ylim=(0, 101),
    )
    axes.grid(alpha=0.3)
    said = f"95 % intervals shaded{_left_out(len(ranked) - len(shown))}"
    figure.legend(loc="outside lower center", ncols=_side_by_side(shown), title=said)
    save(figure, path)


def _left_out(others: int) -> str:
    return f"; {others} {'other is' if others == 1 else 'others are'} left out" if others else ""


def _side_by_side(names: Sequence[str]) -> int:
    """How many of them a row of a legend has place for."""
    return max(1, min(len(names), 4, 90 // (max(map(len, names)) + 6)))


def _title(comparison: Comparison, rows: pd.DataFrame) -> str:
    """What the intervals support: which agent is fastest, if the next one can be told from it, and by how much."""
    scenario, best = rows["scenario"].iloc[0], rows.iloc[0]
    where = "All scenarios" if scenario == ALL else scenario
    if len(rows) == 1:
        return f"{where}: {best['agent']}"
    if not comparison.lead(scenario).low > 0:
        return f"{where}: {best['agent']} needs the least time, but {rows.iloc[1]['agent']} cannot be told from it"
    if best["agent"] == comparison.baseline:
        return f"{where}: nobody is faster to the target than {comparison.baseline}"
    less = f"{100 * best['saving']:.0f} % less time than {comparison.baseline}"
    return f"{where}: {best['agent']} is fastest to the target, {less}"


def _reached_at(comparison: Comparison, scenario: str, agent: str) -> Floats:
    """Times to target, s; infinite where it was missed."""
    reached = comparison.values("reached", scenario, agent).astype(bool)
    return np.where(reached, comparison.values(TIME, scenario, agent), np.inf)
