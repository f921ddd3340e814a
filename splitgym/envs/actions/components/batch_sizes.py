"""Samples of a client's mini-batch: one entry, or one for each client; none where nobody decides it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints
from splitgym.envs.actions.components.component import Discrete, Said, indexed, nearest
from splitgym.types import Decision, RoundState, SystemParameters


class BatchLevels(Discrete):
    """Index in the scenario's `plan.batch_sizes`.

    Args:
        system: Says which there are, and whether clients have batch sizes of their own.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        self._sizes, self._by_client = np.array(system.batch_sizes), system.program.plans.batch_by_client
        self._memory = system.memory
        entries = clients if self._by_client else 1
        super().__init__((len(self._sizes),) * (entries if len(self._sizes) > 1 else 0))

    def names(self) -> tuple[str, ...]:
        """Of each client, if these have batch sizes of their own."""
        return indexed("batch_size", self.entries) if self._by_client else ("batch_size",) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """`batch_size`, [N] or [N, C]."""
        if not self.entries:
            return {}
        sizes = self._sizes[entries.astype(np.int64)]
        return {"batch_size": sizes if self._by_client else np.ascontiguousarray(sizes[:, 0])}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """The nearest of the list."""
        return nearest(self._sizes, np.broadcast_to(decision.plan.sizes(state), self.entries))

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """Batch sizes for which no client can have the memory are of no use."""
        if self._memory is None:
            return super().masks(available, deepest)
        useful: Bools = self._memory.batches_until(deepest, self._sizes) & available[..., None]
        if not self._by_client:
            useful = np.any(useful, axis=1, keepdims=True)
        # Something has to be said also where nothing is of use.
        return (useful | ~useful.any(-1, keepdims=True)).reshape(len(available), -1)
