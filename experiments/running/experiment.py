"""What an experiment says: what is varied, what is measured, what the numbers mean."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from splitgym.inputs import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Case = Mapping[str, Any]
"""Settings of a measurement, by name: texts and numbers, as they stand in JSON and in the columns of a table."""
Row = Mapping[str, Any]
"""What was measured, by name: texts and numbers."""


@dataclass(frozen=True)
class Experiment:
    """A result that can be repeated: every case is measured with every seed, and rows become tables and plots.

    A file `experiments/NAME.py` that holds one as `EXPERIMENT` is run by `python -m experiments NAME`.
    """

    title: str
    """What is asked, in one line."""
    cases: Callable[[bool], Sequence[Case]]
    """What is varied, in its short form if the argument is true; a dataclass whose instances are called so has its
    fields as options of the command."""
    measure: Callable[[Case, int], Sequence[Row]]
    """Rows of a case and a seed, and nothing else decides them; runs in a process of its own, with one torch thread."""
    report: "Callable[[pd.DataFrame], str]"
    """Markdown tables and what they say; its table has the columns of the cases, `seed`, and what was measured."""
    plots: "Mapping[str, Callable[[pd.DataFrame, Figure], None]]" = field(default_factory=dict)
    """What draws the same table on an empty figure, by the name of the image without its ending."""
    seeds: int = 5
    """Runs of every case."""
    quick_seeds: int = 1
    """Runs of every case in the short form."""
    first_seed: int = 0
    """Seeds count from here."""

    def jobs(self, quick: bool, seeds: int) -> list["Job"]:
        """All measurements, seed by seed, so that a stopped run leaves whole comparisons.

        Raises:
            ValueError: two cases are the same.
        """
        cases = self.cases(quick)
        found = [Job(case, self.first_seed + number) for number in range(seeds) for case in cases]
        ((key, times),) = Counter(job.key for job in found).most_common(1)
        if times > 1:
            raise ValueError(f"case {key} is there {times} times, allowed: once")
        return found


@dataclass(frozen=True)
class Job:
    """One measurement."""

    case: Case
    seed: int

    @property
    def key(self) -> str:
        """What tells it from others."""
        return json.dumps({**self.case, "seed": self.seed}, sort_keys=True)

    def rows(self, measured: Sequence[Row]) -> list[Row]:
        """What was measured, beside what it was measured of."""
        return [{**self.case, "seed": self.seed, **row} for row in measured]


def at_least(least: float, **options: float) -> None:
    """Checks options of cases.

    Raises:
        InputError: one of them is less.
    """
    for name, value in options.items():
        if value < least:
            raise InputError(f"--{name.replace('_', '-')} {value}, allowed: {least} or more")
