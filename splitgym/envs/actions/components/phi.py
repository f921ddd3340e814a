"""The aggregation ratio phi: one entry; none in numbers -1..1 with a framework that does not aggregate."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said, nearest
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters
from splitgym.types.legal import ROUNDING


def levels_of(scenario: Scenario, system: SystemParameters, framework: Framework) -> Floats:
    """Values of phi to choose from: those of the scenario that the framework allows; only 0 if there are none."""
    levels = np.array(scenario.actions.aggregation_levels)
    allowed = levels[levels <= system.highest_ratio + ROUNDING] if framework.aggregates else levels[:0]
    return allowed if len(allowed) else np.zeros(1)


class PhiLevels(Discrete):
    """Index of a level of phi."""

    def __init__(self, levels: Floats) -> None:
        self._levels = levels
        super().__init__((len(levels),))

    def names(self) -> tuple[str, ...]:
        """One entry, if there is any."""
        return ("aggregation_ratio",) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """`aggregation_ratio`, [N]."""
        return {"aggregation_ratio": self._levels[entries[:, 0]]}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """The nearest level."""
        return nearest(self._levels, decision.aggregation_ratio)[None]


class PhiFraction(Continuous):
    """-1..1 as 0 to the highest phi that the framework allows.

    Args:
        framework: Says whether there is an entry.
        highest: The largest phi that it allows.
    """

    def __init__(self, framework: Framework, highest: float, lowest: float = 0.0) -> None:
        self._highest = highest
        super().__init__(int(framework.aggregates), lowest, highest)

    def names(self) -> tuple[str, ...]:
        """One entry, if there is any."""
        return ("aggregation_ratio",) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """`aggregation_ratio`, [N]."""
        return {"aggregation_ratio": np.ascontiguousarray(entries[:, 0])} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """At most the highest."""
        ratio = decision.aggregation_ratio / self._highest if self._highest > 0 else 0.0
        return self._entry(np.array([min(ratio, 1.0)] if self.entries else []))

    def _entry(self, of_highest: Floats) -> Floats:
        """The entry of a fraction of the highest phi."""
        return 2 * of_highest - 1


class PhiAboveZero(PhiFraction):
    """Up to 0 none, 0..1 as 0 to the highest phi that the framework allows."""

    def __init__(self, framework: Framework, highest: float) -> None:
        super().__init__(framework, highest, -highest)

    def read(self, entries: NDArray[Any]) -> Said:
        """`aggregation_ratio`, [N]."""
        return {"aggregation_ratio": np.maximum(entries[:, 0], 0.0)} if self.entries else {}

    def _entry(self, of_highest: Floats) -> Floats:
        return of_highest
