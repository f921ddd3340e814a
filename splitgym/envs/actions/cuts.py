"""Where the network is cut, as a component of actions: one entry, or one of each client; another for a second cut."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.types import Decision, SystemParameters
from splitgym.types.legal import cuts_differ


class Cuts(NamedTuple):
    """What a component says in N worlds."""

    cut_layer: Ints
    """[N], or [N, C] where clients have their own."""
    second_cut: Ints
    """[N], 0: nobody decides it."""

    def allowed(self, aggregation_ratio: Any, selected: Bools) -> Any:
        """[N] phi that goes with them: 0 where clients that take part are cut differently."""
        if self.cut_layer.ndim == 1:
            return aggregation_ratio
        return np.where(cuts_differ(self.cut_layer, selected), 0.0, aggregation_ratio)


class CutComponent:
    """The component, in discrete form (cut layer - 1) and continuous (-1..1 in L - 1 equal parts).

    Attributes:
        entries: How many entries of an action it has, the first ones.
        cut_layers: Values of each entry, L - 1.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        grid = system.program.plans
        self.cut_layers = system.cut_layers
        self._by_client = grid.by_client
        self._first = clients if grid.by_client else 1
        self.entries = self._first + (grid.second_cuts > 1)

    @property
    def values(self) -> int:
        """Values of all entries together, for flat masks."""
        return self.entries * self.cut_layers

    def from_levels(self, levels: NDArray[Any]) -> Cuts:
        """What [N, entries] whole numbers 0..L-2 say."""
        cuts = levels.astype(np.int64) + 1
        first = cuts[:, : self._first] if self._by_client else cuts[:, 0]
        second = cuts[:, -1] if self.entries > self._first else np.zeros(len(cuts), np.int64)
        return Cuts(first, second)

    def from_shares(self, values: NDArray[Any]) -> Cuts:
        """What [N, entries] numbers -1..1 say."""
        part = ((values.astype(np.float64) + 1) / 2 * self.cut_layers).astype(np.int64)
        return self.from_levels(np.minimum(part, self.cut_layers - 1))

    def to_levels(self, decision: Decision) -> Ints:
        """[entries] of one world; a second cut that nobody has decided goes to the cut layer."""
        levels = np.broadcast_to(np.asarray(decision.cut_layer) - 1, self._first)
        if self.entries == self._first:
            return levels
        return np.append(levels, max(int(decision.second_cut), int(levels.min()) + 1) - 1)

    def to_shares(self, decision: Decision) -> Floats:
        """[entries] of one world, in the middle of their parts."""
        return (2 * self.to_levels(decision) + 1) / self.cut_layers - 1
