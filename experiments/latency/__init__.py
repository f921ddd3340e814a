"""Mean latency of a round over clients, band, compute and their spread, by allocation and by framework; no training.

    python -m experiments latency

Everybody takes part in every round (the presets' round timeout is taken away), in the first round of random cells,
which are the same for all methods.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.latency.comparisons import COMPARISONS, Comparison
from experiments.latency.report import plot, table
from experiments.latency.rounds import measure, points
from experiments.latency.sweeps import SWEEPS
from experiments.running import Case, Experiment, at_least
from splitgym.inputs import InputError
from splitgym.parts import suggest

QUICK_CELLS = 3


@dataclass(frozen=True)
class Cases:
    """Values of quantities."""

    cells: int = 100
    """Random cells at each value; 3 in the short form."""
    only: tuple[str, ...] = ()
    """Quantities to vary; none: all."""

    def __call__(self, quick: bool) -> list[Case]:
        """All values, in all presets."""
        at_least(2, cells=self.cells)  # for an interval
        for name in self.only:
            if name not in SWEEPS:
                raise InputError(f"--only {name!r} is unknown, {suggest(name, SWEEPS)}")
        cells = QUICK_CELLS if quick else self.cells
        return [{**vars(point), "cells": cells} for point in points(self.only or tuple(SWEEPS))]


def figures() -> Iterator[tuple[str, str, Comparison]]:
    """Each comparison in each of its presets: name of the image, preset, comparison."""
    for comparison in COMPARISONS:
        for preset in comparison.presets:
            yield f"{comparison.name}-{preset}", preset, comparison


def draw(rounds: pd.DataFrame, figure: Figure, preset: str, comparison: Comparison) -> None:
    """A panel for each quantity."""
    plot(comparison.of(rounds[rounds["preset"] == preset]), comparison, preset, figure)


def report(rounds: pd.DataFrame) -> str:
    """The tables of each comparison in each preset, one for each quantity."""
    parts = [caption(rounds)]
    for _, preset, comparison in figures():
        compared = comparison.of(rounds[rounds["preset"] == preset])
        parts.append(f"## {preset}: {comparison.title}")
        parts += [table(compared, comparison, varied) for varied in compared["varied"].unique()]
    return "\n\n".join(parts)


def caption(rounds: pd.DataFrame) -> str:
    """What the numbers are."""
    left_out = int((rounds["participants"] < rounds["clients"]).sum())
    return (
        f"Mean latency (s) of the first round ± half width of its 95 % interval (Student's t) over "
        f"{rounds['cell'].nunique()} random cells, the same ones for all methods; in parentheses the geometric mean of "
        "the latency relative to that of the reference, e) or PSL, in the same cell. One quantity of the preset is "
        "varied at a time. More clients than subchannels divide the same band into as many subchannels as they are; "
        "the spread of gains is stretched in dB around their mean. Rounds of all frameworks train one mini-batch of "
        "each client, those of PSL-drop(0.5) half of it. The presets' round timeout is taken away; "
        f"{left_out or 'none'} of {len(rounds)} rounds left somebody out."
    )


PLOTS: dict[str, Callable[[pd.DataFrame, Figure], None]] = {
    name: partial(draw, preset=preset, comparison=comparison) for name, preset, comparison in figures()
}
EXPERIMENT = Experiment(
    title="How long is a round over clients, band, compute and their spread, by allocation and by framework?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots=PLOTS,
    seeds=1,
)
