"""How near the surrogate comes to real runs that it was not fitted to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from experiments.calibrate.jobs import group
from experiments.calibrate.logs import Log
from experiments.calibrate.replays import Replay
from splitgym.arrays import Floats, Ints
from splitgym.evaluation.figures import save
from splitgym.evaluation.look import COLOURS
from splitgym.learning.surrogate.parameters import Parameters

EARLY = 0.75
"""Share of the target that is looked at as well: more runs reach it."""
MISSED = 1.2
"""A run that misses the target counts, in a rank, as so many times its rounds."""
DRAWS = 9
SHOWN = 12
"""Runs in the plot."""


@dataclass(frozen=True)
class Comparison:
    """Real runs beside the expectation of the surrogate; N runs, E evaluations."""

    logs: Sequence[Log]
    real: Floats
    """[N, E] accuracy."""
    expected: Floats
    """[N, E]"""
    samples: Sequence[Floats]
    """Of [N, E]: draws of the surrogate with all chance in it."""

    @classmethod
    def of(cls, replay: Replay, parameters: Parameters) -> "Comparison":
        """Plays the runs without chance, and some times with."""
        rng = np.random.default_rng(0)
        return cls(
            replay.logs,
            replay.accuracy,
            replay.mean(replay.play(parameters).client_accuracy),
            [replay.mean(replay.play(parameters, rng).client_accuracy) for _ in range(DRAWS)],
        )

    @property
    def rounds(self) -> int:
        """R."""
        return len(self.logs[0].cut_layer)

    def drawn(self) -> "Comparison":
        """One of the draws alone."""
        return replace(self, expected=self.samples[0], samples=self.samples[:1])

    def rows(self, target: float) -> pd.DataFrame:
        """One row per run: what it was, the error, and rounds to the target."""
        ends = self.logs[0].evaluated + 1
        return pd.DataFrame(
            [
                {
                    "number": log.job["number"],
                    "pattern": log.job["pattern"],
                    "group": group(log),
                    "clients": log.job["clients"],
                    "dirichlet_alpha": log.job["dirichlet_alpha"],
                    "participants": log.selected.sum(1).mean(),
                    "cut_layer": str(log.cut_layer[0, 0]) if np.all(log.cut_layer == log.cut_layer[0, 0]) else "moves",
                    "aggregation_ratio": log.aggregation_ratio.mean(),
                    "error": np.abs(expected - real).mean(),
                    "bias": (expected - real).mean(),
                    "real_rounds": rounds_to(real, ends, target),
                    "surrogate_rounds": np.median([rounds_to(sample[n], ends, target) for sample in self.samples]),
                }
                for n, (log, real, expected) in enumerate(zip(self.logs, self.real, self.expected, strict=True))
            ]
        )


def rounds_to(accuracy: Floats, rounds: Ints, target: float) -> float:
    """Rounds until [E] accuracy is at the target, measured after `rounds`, by linear interpolation; inf: never."""
    reached = np.flatnonzero(accuracy >= target)
    if not len(reached):
        return np.inf
    first = reached[0]
    if first == 0:
        return float(rounds[0])
    above, below = accuracy[first], accuracy[first - 1]
    return float(rounds[first - 1] + (target - below) / (above - below) * (rounds[first] - rounds[first - 1]))


def errors(rows: pd.DataFrame, rounds: int) -> dict[str, float]:
    """Mean error of accuracy, errors of the rounds to the target, rank correlation of the runs by them."""
    real, own = rows["real_rounds"].to_numpy(), rows["surrogate_rounds"].to_numpy()
    both = np.isfinite(real) & np.isfinite(own)
    relative = np.abs(own[both] - real[both]) / real[both]
    ranked = np.minimum(real, MISSED * rounds), np.minimum(own, MISSED * rounds)
    ranks_differ = all(len(np.unique(each)) > 1 for each in ranked)
    return {
        "runs": len(rows),
        "accuracy_mae": float(rows["error"].mean()),
        "accuracy_bias": float(rows["bias"].mean()),
        "reached_by_both": int(both.sum()),
        "agree_on_reaching": float((np.isfinite(real) == np.isfinite(own)).mean()),
        "rounds_error_median": float(np.median(relative)) if both.any() else float("nan"),
        "rounds_error_mean": float(relative.mean()) if both.any() else float("nan"),
        "rank_correlation": float(spearmanr(*ranked).statistic) if ranks_differ else float("nan"),
    }


def twins(once: Replay, twice: Replay, target: float) -> dict[str, float]:
    """The same errors of a real run as a forecast of the same run with other initial weights."""
    ends = once.evaluated + 1
    rows = pd.DataFrame(
        {
            "error": np.abs(once.accuracy - twice.accuracy).mean(1),
            "bias": (twice.accuracy - once.accuracy).mean(1),
            "real_rounds": [rounds_to(own, ends, target) for own in once.accuracy],
            "surrogate_rounds": [rounds_to(own, ends, target) for own in twice.accuracy],
        }
    )
    return errors(rows, once.rounds)


def table(parts: dict[str, dict[str, float]]) -> str:
    """Markdown: errors of each group."""
    lines = [
        "| runs | number | accuracy MAE | bias | rounds error, median | mean | agree on reaching | rank correlation |",
        "|---|" + "---:|" * 7,
    ]
    for name, own in parts.items():
        lines.append(
            f"| {name} | {own['runs']} | {own['accuracy_mae']:.3f} | {own['accuracy_bias']:+.3f} | "
            f"{100 * own['rounds_error_median']:.0f} % | {100 * own['rounds_error_mean']:.0f} % | "
            f"{100 * own['agree_on_reaching']:.0f} % | {own['rank_correlation']:.2f} |".replace("nan %", "-").replace(
                "nan", "-"
            )
        )
    return "\n".join(lines)


def where(rows: pd.DataFrame) -> str:
    """Markdown: mean error by kind of run."""
    lines = ["| by | is | runs | accuracy MAE | bias |", "|---|---|---:|---:|---:|"]
    for by, kind, own in by_kind(rows):
        lines.append(f"| {by} | {kind} | {len(own)} | {own['error'].mean():.3f} | {own['bias'].mean():+.3f} |")
    return "\n".join(lines)


def by_kind(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """What may decide how large an error is: by what runs are told apart, their kind, and the runs of that kind."""
    share = rows["participants"] / rows["clients"]
    kinds = {
        "pattern": rows["pattern"],
        "cut layer": rows["cut_layer"].astype(str),
        "mean phi": pd.cut(rows["aggregation_ratio"], [-1, 0.1, 0.4, 0.6, 0.9, 1.0]).astype(str),
        "mean share of clients": pd.cut(share, [-1, 0.3, 0.6, 0.95, 1.0]).astype(str),
        "dirichlet_alpha": pd.cut(rows["dirichlet_alpha"], [0, 0.2, 0.35, 0.6, 100.0]).astype(str),
    }
    for by, kind in kinds.items():
        for value, own in rows.groupby(kind):
            # What no range holds.
            if value != "nan":
                yield by, str(value), own


def plot(comparison: Comparison, path: Path) -> None:
    """Held-out runs: real, expected, and two draws."""
    step = max(len(comparison.logs) // SHOWN, 1)
    shown = range(0, len(comparison.logs), step)[:SHOWN]
    figure = Figure(figsize=(13, 2.6 * ceil(len(shown) / 4)), layout="constrained")
    panels = figure.subplots(ceil(len(shown) / 4), 4, sharex=True, sharey=True, squeeze=False).flat
    for axes, n in zip(panels, shown, strict=False):
        log = comparison.logs[n]
        rounds = log.evaluated + 1
        for sample in comparison.samples[:2]:
            axes.plot(rounds, 100 * sample[n], color=COLOURS[0], alpha=0.35, linewidth=1)
        axes.plot(rounds, 100 * comparison.expected[n], color=COLOURS[0], label="surrogate, expected (thin: draws)")
        axes.plot(rounds, 100 * comparison.real[n], color="black", label="real run")
        axes.set_title(
            f"{log.job['pattern']}, {log.job['clients']} clients, alpha {log.job['dirichlet_alpha']:.2f}", fontsize=9
        )
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylim(0, 100)
    for axes in figure.axes[-4:]:
        axes.set_xlabel("round")
    for axes in figure.axes[::4]:
        axes.set_ylabel("test accuracy (%)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    save(figure, path)
