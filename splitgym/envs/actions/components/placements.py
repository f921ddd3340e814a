"""Which nodes train the units behind the cut; no entries where nobody decides it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said, indexed
from splitgym.types import Decision, RoundState, SystemParameters


class PlacementLevels(Discrete):
    """Index among the placements."""

    def __init__(self, system: SystemParameters) -> None:
        count = system.program.plans.placements
        self._memory = system.memory
        super().__init__((count,) * (count > 1))

    def names(self) -> tuple[str, ...]:
        """One entry, if there is any."""
        return ("placement",) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """`placement`, [N]."""
        return {"placement": entries[:, 0].astype(np.int64)} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """As it is."""
        return np.full(self.entries, decision.placement, np.int64)

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """Placements for which no node, or no client, can have the memory are of no use."""
        if self._memory is None or not self.entries:
            return super().masks(available, deepest)
        useful: Bools = np.any(self._memory.placements_until(deepest) & available[..., None], axis=1)
        # Something has to be said also where nothing is of use.
        return useful | ~useful.any(-1, keepdims=True)


class PlacementScores(Continuous):
    """A score of each placement: the highest one is taken, of equal ones the first. Placements have no order."""

    def __init__(self, system: SystemParameters) -> None:
        count = system.program.plans.placements
        super().__init__(count * (count > 1))

    def names(self) -> tuple[str, ...]:
        """One for each placement, if there are several."""
        return indexed("placement", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`placement`, [N]."""
        return {"placement": entries.argmax(1).astype(np.int64)} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """1 for the placement, -1 for the others."""
        return np.where(np.arange(self.entries) == decision.placement, 1.0, -1.0)
