"""How fast each client computes: an entry for each client; none where a scenario leaves clocks at their full speed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said, indexed, nearest
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState

LEAST = 0.1
"""The slowest clock that numbers can say."""


def entries_of(scenario: Scenario) -> int:
    """How many entries say clocks."""
    return scenario.clients.count if scenario.plan.clock == "decided" else 0


class ClockLevels(Discrete):
    """Index of a level: fraction of the speed that the client has to spare."""

    def __init__(self, scenario: Scenario) -> None:
        self._levels = np.array(scenario.actions.clock_levels)
        super().__init__((len(self._levels),) * entries_of(scenario))

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("clock", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`clock`, [N, C]."""
        return {"clock": self._levels[entries]} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """The nearest levels."""
        return nearest(self._levels, _of_clients(decision)[: self.entries])


class ClockFractions(Continuous):
    """-1..1 as `LEAST` to 1."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(entries_of(scenario), LEAST, 1.0)

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("clock", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`clock`, [N, C]."""
        return {"clock": np.clip(entries, LEAST, 1.0)} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """As it is, at least `LEAST`."""
        clock: Floats = np.maximum(_of_clients(decision)[: self.entries], LEAST)
        return 2 * (clock - LEAST) / (1.0 - LEAST) - 1


def _of_clients(decision: Decision) -> Floats:
    """[C] clock of each client."""
    return np.broadcast_to(decision.clock, decision.selected.shape)
