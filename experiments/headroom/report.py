"""Tables and plot of the head-room in episodes."""

from collections.abc import Sequence
from functools import partial
from math import ceil, sqrt

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.headroom.methods import ORACLE, SETTINGS
from splitgym.evaluation.look import COLOURS
from splitgym.evaluation.statistics import Bootstrap

ORACLE_COLOUR, RULE_COLOUR, PLAIN_COLOUR = COLOURS[1], COLOURS[0], "0.55"
PLAIN = ("fixed", "random", "greedy", "two-timescale")
"""Methods that select everybody or anybody, drawn in grey."""


def summary(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row per method of one preset, fastest first; over the seeds on which every method has run."""
    means = (
        _common(episodes)
        .groupby("method")
        .agg(
            oracle=("oracle", "first"),
            target_s=("target_s", "mean"),
            low_s=("target_s", partial(_end, 0)),
            high_s=("target_s", partial(_end, 1)),
            lasting_s=("lasting_s", "mean"),
            reached=("reached", "sum"),
            episodes=("seed", "count"),
            accuracy=("accuracy", "mean"),
            rounds=("rounds", "mean"),
        )
    )
    best_s = means.loc[means["oracle"], "target_s"].min()
    lasting_s = means.loc[means["oracle"], "lasting_s"].min()
    means["headroom"] = 100 * (1 - best_s / means["target_s"])
    means["lasting_headroom"] = 100 * (1 - lasting_s / means["lasting_s"])
    return means.sort_values(["target_s", "accuracy"], ascending=[True, False])


def _end(which: int, seconds: pd.Series) -> float:
    """Low (0) or high (1) end of the 95 % interval of the mean."""
    bootstrap = Bootstrap([len(seconds)], seed=0)
    return float(bootstrap.interval(lambda sample: sample[0].mean(-1), [seconds.to_numpy()])[which])


def best_of_each_seed(episodes: pd.DataFrame, measure: str) -> float:
    """Mean over the seeds of what the best rule of the seed needs, s: a rule chosen anew for every cell."""
    rules = _common(episodes).query("not oracle")
    return float(rules.groupby("seed")[measure].min().mean())


def _common(episodes: pd.DataFrame) -> pd.DataFrame:
    """Episodes of the seeds on which every method has run."""
    runs = episodes.groupby("seed")["method"].nunique()
    return episodes[episodes["seed"].isin(runs.index[runs == runs.max()])]


def episode_report(episodes: pd.DataFrame) -> str:
    """Time to target of every method, and how much less of it the best oracle needs; a table for each preset."""
    parts = _captions(list(dict.fromkeys(episodes["preset"])))
    for preset, own in episodes.groupby("preset", sort=False):
        table = summary(own)
        lines = [
            f"### {preset}: {int(table['episodes'].iloc[0])} seeds",
            "",
            f"The best rule of each seed: {best_of_each_seed(own, 'target_s'):.1f} s to the target, "
            f"{best_of_each_seed(own, 'lasting_s'):.1f} s lastingly.",
            "",
            "| method | time to target (s) | reached | head-room % | lasting (s) | head-room % | rounds |",
            "|---|" + "---:|" * 6,
        ]
        for name, row in table.iterrows():
            missed = "≥ " if row["reached"] < row["episodes"] else ""
            label = f"**{name}**" if row["oracle"] else name
            lines.append(
                f"| {label} | {missed}{row['target_s']:.1f} | {row['reached']} of {row['episodes']} | "
                f"{round(row['headroom'])} | {row['lasting_s']:.1f} | {round(row['lasting_headroom'])} | "
                f"{row['rounds']:.0f} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _captions(presets: Sequence[str]) -> list[str]:
    settings = "; ".join(f"{preset} {SETTINGS[preset]}" for preset in presets)
    return [
        "Mean over common held-out seeds; an episode that misses the target counts with the whole time budget (≥). "
        "Head-room: how much less time the best oracle needs. Lasting: until the mean of five measurements is at the "
        "target, which luck in one measurement does not bring about. The oracle looks for the first measurement only: "
        "where it leads in that and not lastingly, it foresaw luck. phi: the scenario's where none is said; oracles "
        "try 0 and, on digits, 0.5. All rules have the descent for everything but who takes part.",
        f"Settings that differ from the presets: {settings}.",
    ]


def plot(episodes: pd.DataFrame, figure: Figure) -> None:
    """Time to target by method, a panel for each preset, with the best oracle as a line."""
    presets = list(dict.fromkeys(episodes["preset"]))
    tables = [summary(episodes[episodes["preset"] == preset]) for preset in presets]
    columns, longest = ceil(sqrt(len(presets))), max(map(len, tables))
    rows = ceil(len(presets) / columns)
    figure.set_size_inches(5.2 * columns, 1.2 + (0.6 + 0.22 * longest) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for unused in list(panels)[len(presets) :]:
        unused.set_axis_off()
    for axes, preset, table in zip(figure.axes, presets, tables, strict=False):
        place = np.arange(len(table))
        colours = [_colour(str(name)) for name in table.index]
        axes.hlines(place, table["low_s"], table["high_s"], color=colours, alpha=0.35, linewidth=4)
        every = (table["reached"] == table["episodes"]).to_numpy()
        for marks, filled in ((every, True), (~every, False)):
            own = np.array(colours)[marks]
            axes.scatter(
                table["target_s"][marks], place[marks], s=34, color=own if filled else "white", edgecolors=own, zorder=3
            )
        axes.axvline(table.loc[table["oracle"], "target_s"].min(), color=ORACLE_COLOUR, linewidth=1.2)
        axes.set_yticks(place, [str(name) for name in table.index], fontsize=8)
        axes.set(xlabel="simulated time to target (s)", title=preset, xscale="log", ylim=(longest - 0.3, -0.7))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="x", which="both", alpha=0.25)
    marks = [
        Line2D([], [], color=ORACLE_COLOUR, marker="o", label="look-ahead oracle; line: the best of them"),
        Line2D([], [], color=RULE_COLOUR, marker="o", linestyle="", label="selection rule with the descent"),
        Line2D([], [], color=PLAIN_COLOUR, marker="o", linestyle="", label="everybody, or at random"),
        Line2D([], [], color="0.3", marker="o", markerfacecolor="white", linestyle="", label="not always reached"),
    ]
    figure.legend(
        handles=marks, loc="outside lower center", ncols=columns, title="dot: mean; bar: 95 % interval over seeds"
    )


def _colour(method: str) -> str:
    if method.startswith(ORACLE):
        return ORACLE_COLOUR
    return PLAIN_COLOUR if method.startswith(PLAIN) else RULE_COLOUR
