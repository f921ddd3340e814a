"""Which client uses a subchannel: an entry for each subchannel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.components.component import Discrete, Said, indexed
from splitgym.types import Decision, RoundState


class OwnerLevels(Discrete):
    """Index of the client; C: the subchannel is unused."""

    def __init__(self, clients: int, subchannels: int) -> None:
        self._clients, self._subchannels = clients, subchannels
        super().__init__((clients + 1,) * subchannels)

    def names(self) -> tuple[str, ...]:
        """Of each subchannel."""
        return indexed("assignment", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`assignment`, [N, M]."""
        return {"assignment": np.where(entries == self._clients, -1, entries)}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """See `common_row`."""
        assignment, _ = common_row(decision, state)
        return np.where(assignment < 0, self._clients, assignment)

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """Unavailable clients use no subchannel."""
        owner = np.concatenate([available, np.ones((len(available), 1), bool)], axis=1)
        return np.tile(owner, self._subchannels)


def common_row(decision: Decision, state: RoundState) -> tuple[Ints, Floats]:
    """[M] owners and [M] W/Hz of a decision of one world; of several slots the first that uses a subchannel counts."""
    assignment, power_w_per_hz = decision.assignment, decision.power_w_per_hz
    if not decision.by_slot:
        return assignment, power_w_per_hz
    used = decision.used(state.system.program.access)
    first = used.argmax(0), np.arange(assignment.shape[-1])
    return np.where(used.any(0), assignment[first], -1), power_w_per_hz[first]
