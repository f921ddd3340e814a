"""The plot of a comparison: accuracy over simulated time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitgym.evaluation.episodes import Episode

# Okabe and Ito's colours, told apart by colour-blind readers; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")


def plot_accuracy(episodes: Sequence[Episode], path: Path, title: str) -> None:
    """Draws each agent's mean test accuracy over simulated time, with the range over its episodes, to an image file."""
    # The object interface draws without a display and leaves the user's pyplot state alone.
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    names = list(dict.fromkeys(e.agent for e in episodes))
    rows_of_legend = -(-len(names) // 4)
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
    figure.legend(loc="outside lower center", ncols=min(len(names), 4), title=f"mean, and range over {count} episodes")
    figure.savefig(path, dpi=150)


def _at(episode: Episode, time_s: np.ndarray) -> np.ndarray:
    """Accuracy at given times; before the end of the first round its value stands."""
    last_round = np.searchsorted(episode.elapsed_s, time_s, side="right") - 1
    return episode.accuracy[np.maximum(last_round, 0)]
