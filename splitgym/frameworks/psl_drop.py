"""PSL on the first b - m rows of every mini-batch: the control of EPSL, which costs even less.

What aggregation gains shows only beside leaving the same rows out.
"""

from dataclasses import replace

from splitgym.frameworks import epsl, psl
from splitgym.frameworks.framework import Framework
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.phases import Phase, Workload
from splitgym.frameworks.round_batch import RoundBatch

ROWS_LEFT = 2
"""Batch norm needs two rows."""


def phases(w: Workload) -> tuple[Phase, ...]:
    """The PSL round of a mini-batch without the m rows."""
    return psl.phases(replace(w, batch_size=w.batch_size - w.aggregated_rows))


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One PSL round on the first b - m rows; see `splitgym.frameworks.epsl.train`."""
    rows = round_batch.labels.shape[1] - round_batch.aggregated_rows
    rest = replace(
        round_batch, images=round_batch.images[:, :rows], labels=round_batch.labels[:, :rows], aggregated_rows=0
    )
    return epsl.train(nodes, rest)


def highest_ratio(batch_size: int) -> float:
    """Largest share of the rows that may be left out."""
    return max(batch_size - ROWS_LEFT, 0) / batch_size


FRAMEWORK = Framework(
    name="psl-drop", phases=phases, train=train, aggregates=True, highest_ratio=highest_ratio, joint_batch=True
)
