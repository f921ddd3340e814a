"""How many mini-batches an update waits for: one entry with an asynchronous framework; none where nobody decides it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Ints
from splitgym.envs.actions.components.component import Discrete, EqualParts, Said
from splitgym.types import Decision, RoundState, SystemParameters


class QuorumLevels(Discrete):
    """K - 1, from 0 to C - 1.

    Args:
        system: Says whether it is decided.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        asynchrony = system.asynchrony
        super().__init__((clients,) * (asynchrony is not None and asynchrony.decides_quorum))

    def names(self) -> tuple[str, ...]:
        """One entry, if there is any."""
        return ("quorum",) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """`quorum`, [N]."""
        return {"quorum": entries[:, 0].astype(np.int64) + 1} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """K - 1; of a decision that leaves it to the scenario, that of the scenario, C - 1 for all."""
        asynchrony = state.system.asynchrony
        if not self.entries or asynchrony is None:
            return np.zeros(0, np.int64)
        quorum = asynchrony.quorum_of(decision.quorum, worlds=1)
        return np.where(quorum > 0, quorum, self.values[0]) - 1


class QuorumParts(EqualParts):
    """-1..1 in equal parts, one for each value of `QuorumLevels`.

    Args:
        system: See `QuorumLevels`.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        super().__init__(QuorumLevels(system, clients))
