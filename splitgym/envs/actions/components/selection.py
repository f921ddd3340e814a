"""Which clients are selected: an entry for each client."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said, indexed
from splitgym.types import Decision, RoundState


class SelectionLevels(Discrete):
    """0: not selected; 1: selected."""

    def __init__(self, clients: int) -> None:
        super().__init__((2,) * clients)

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("selected", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`selected`, [N, C]."""
        return {"selected": entries.astype(bool)}

    def write(self, decision: Decision, state: RoundState) -> Bools:
        """As it is."""
        return decision.selected

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """Unavailable clients cannot be selected."""
        return np.stack([np.ones_like(available), available], axis=-1).reshape(len(available), -1)


class SelectionSigns(Continuous):
    """Above 0: selected."""

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("selected", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`selected`, [N, C]."""
        return {"selected": entries > 0}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """1 or -1."""
        return 2 * decision.selected.astype(float) - 1
