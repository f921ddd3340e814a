"""Numbers as text: means with their 95 % intervals, and Markdown tables."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from splitgym.evaluation.statistics import Estimate


def half_width(values: pd.Series) -> float:
    """Half width of the 95 % interval of the mean (Student's t); not a number for a single value."""
    return float(stats.t.ppf(0.975, len(values) - 1) * values.sem()) if len(values) > 1 else float("nan")


def estimate(values: pd.Series, digits: int = 1) -> str:
    """Mean ± half width of its 95 % interval, which a single value does not have."""
    # Without a minus sign before zero.
    mean, width = round(values.mean(), digits) + 0.0, half_width(values)
    return f"{mean:.{digits}f}" if np.isnan(width) else f"{mean:.{digits}f} ± {width:.{digits}f}"


def if_reached(values: pd.Series, digits: int = 1) -> str:
    """`estimate` if all values are finite, else how many of them are: infinite ones stand for what was not reached."""
    reached = int(np.isfinite(values).sum())
    return estimate(values, digits) if reached == len(values) else f"{reached} of {len(values)}"


def percent(found: Estimate) -> str:
    """A fraction and its interval, in per cent."""
    return f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def with_interval(found: Estimate, digits: int) -> str:
    """A number and its interval."""
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def markdown(rows: Iterable[Mapping[str, object]]) -> str:
    """A table with a column for each key of the first row; the first column to the left, the others to the right."""
    rows = list(rows)
    names = list(rows[0])
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
