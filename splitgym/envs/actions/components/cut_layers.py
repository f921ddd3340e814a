"""Where the network is cut: one entry, or one for each client; another for the second cut, where it is decided."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints
from splitgym.envs.actions.components.component import Discrete, EqualParts, Said, indexed
from splitgym.types import Decision, RoundState, SystemParameters


class CutLevels(Discrete):
    """Cut layer - 1; behind the cut layers the place of the second cut among those there are, where it is decided.

    Args:
        system: Says which cuts there are, and which of them are decided.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        grid = system.program.plans
        self._by_client = grid.cut_by_client
        self._first = clients if grid.cut_by_client else 1
        self._second = grid.second_cuts > 1
        self._grid = grid
        self._cut_layers, self._memory = system.cut_layers, system.memory
        super().__init__((system.cut_layers,) * (self._first + self._second))

    def names(self) -> tuple[str, ...]:
        """`cut_layer`, of each client if these have their own, and `second_cut`."""
        return (
            *(indexed("cut_layer", self._first) if self._by_client else ("cut_layer",)),
            *("second_cut",) * self._second,
        )

    def read(self, entries: NDArray[Any]) -> Said:
        """`cut_layer`, [N] or [N, C]; and `second_cut`, [N], if it is decided, behind the cut where there are tails."""
        cuts = np.asarray(entries, np.int64) + 1
        said = {"cut_layer": cuts[:, : self._first] if self._by_client else cuts[:, 0]}
        if self._second:
            second = cuts[:, -1]
            said["second_cut"] = self._grid.second_of(cuts[:, 0], second + 1) if self._grid.tails else second
        return said

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """A second cut that is not decided is the first that the cut layer allows."""
        levels = np.broadcast_to(np.asarray(decision.cut_layer) - 1, self._first)
        if not self._second:
            return levels
        second = int(self._grid.second_of(int(levels.min()) + 1, int(decision.second_cut)))
        return np.append(levels, second - int(self._grid.second_values[0]))

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """Cut layers that no client can hold, or the server cannot train behind, are of no use."""
        masks = np.ones((len(available), self.entries, self._cut_layers), bool)
        if self._memory is not None:
            useful: Bools = self._memory.cuts_until(deepest) & available[..., None]
            if not self._by_client:
                useful = np.any(useful, axis=1, keepdims=True)
            # Something has to be said also where nothing is of use.
            masks[:, : self._first] = useful | ~useful.any(-1, keepdims=True)
        return masks.reshape(len(available), -1)


class CutParts(EqualParts):
    """-1..1 in equal parts, one for each value of `CutLevels`.

    Args:
        system: See `CutLevels`.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        super().__init__(CutLevels(system, clients))
