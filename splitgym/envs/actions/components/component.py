"""A component of an action: some of its entries, that say one thing of a decision."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.types import Decision, RoundState

Said = dict[str, Any]
"""What actions say in N worlds, by name. Fields of `Decision` have their names there, with a leading axis N."""


class Component(ABC):
    """Some entries of an action, and what they say.

    Attributes:
        entries: How many entries it has; 0: an action does not say it.
    """

    entries: int

    def names(self) -> tuple[str, ...]:
        """What each entry says; of one for each client or subchannel with its index, `NAME[i]`."""
        return indexed(type(self).__name__, self.entries)

    @abstractmethod
    def read(self, entries: NDArray[Any]) -> Said:
        """What [N, entries] of N actions say; of a `Continuous` one as numbers from `low` to `high`."""

    @abstractmethod
    def write(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """[entries] that say what a decision does, or nearly so; both of one world."""


class Discrete(Component):
    """A component in whole numbers from 0.

    Args:
        values: How many values each entry has.
    """

    def __init__(self, values: Sequence[int]) -> None:
        self.values = tuple(values)
        self.entries = len(self.values)

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """[N, sum of values] which values can be useful; here all of them.

        Args:
            available: [N, C] clients that are available and have the memory for any plan.
            deepest: [N, C] the deepest cut layer for which each client has the memory.
        """
        return np.ones((len(available), sum(self.values)), bool)


class Continuous(Component):
    """A component in numbers -1..1, which it reads as numbers of a range of its own.

    Args:
        entries: How many.
        low: What -1 means.
        high: What 1 means.
    """

    def __init__(self, entries: int, low: float = -1.0, high: float = 1.0) -> None:
        self.entries, self.low, self.high = entries, low, high


class EqualParts(Continuous):
    """-1..1 in equal parts, one for each value of a component in whole numbers.

    Args:
        levels: That component; all its entries have equally many values.
    """

    def __init__(self, levels: Discrete) -> None:
        self._levels, self._values = levels, max(levels.values, default=1)
        super().__init__(levels.entries, 0.0, float(self._values))

    def names(self) -> tuple[str, ...]:
        """Those of the component in whole numbers."""
        return self._levels.names()

    def read(self, entries: NDArray[Any]) -> Said:
        """As the component in whole numbers."""
        return self._levels.read(np.minimum(entries.astype(np.int64), self._values - 1))

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """The middle of each part."""
        return (2 * self._levels.write(decision, state) + 1) / self._values - 1


def indexed(name: str, count: int) -> tuple[str, ...]:
    """Names of entries that say the same of one client or subchannel each."""
    return tuple(f"{name}[{i}]" for i in range(count))


def nearest(levels: Floats, value: Any) -> NDArray[np.intp]:
    """Index of the nearest level, for a value or for each of an array."""
    return np.abs(levels - np.asarray(value)[..., None]).argmin(-1)
