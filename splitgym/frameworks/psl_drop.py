"""PSL on the first b - m rows of every mini-batch: the control of EPSL, which costs even less.

What aggregation gains shows only beside leaving the same rows out.
"""

from dataclasses import replace
from typing import Any

from splitgym.frameworks import psl
from splitgym.frameworks.framework import Framework, TrainedBy
from splitgym.frameworks.phases import Phase, Workload

ROWS_LEFT = 2
"""Batch norm needs two rows."""


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round of a mini-batch without the m rows."""
    return psl.phases(replace(w, batch_size=rows(w)))


def rows(w: Workload) -> Any:
    """Rows that are not left out, b - m."""
    return w.batch_size - w.aggregated_rows


def highest_ratio(batch_size: int) -> float:
    """Largest share of the rows that may be left out."""
    return max(batch_size - ROWS_LEFT, 0) / batch_size


FRAMEWORK = Framework(
    name="psl-drop",
    phases=phases,
    train=TrainedBy("splitgym.frameworks.parallel_round:train_other_rows"),
    aggregates=True,
    highest_ratio=highest_ratio,
    rows=rows,
    joint_batch=True,
    batches_by_client=True,
)
