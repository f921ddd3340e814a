"""Mini-batches in flight: what a step of an asynchronous framework leaves unfinished, for the next to go on with."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.asynchrony import Asynchrony

IDLE = -1
"""Instead of a row: the client has nothing to do."""


class Flights(NamedTuple):
    """How far clients are with their mini-batches. Shapes are those of one world; a batch has a leading axis N."""

    row: Ints
    """[C] row of the timeline that the client is at, see `splitgym.timing.RoundCost`; at the server's first row its
    smashed data wait there; IDLE: nothing is left to do."""
    left: Floats
    """[C] cycles or bits of that row that are left."""
    waited_s: Floats
    """[C] seconds for which its smashed data have waited at the server."""
    plan: Ints
    """[C] how the client trains on the mini-batch: a plan's index in the system's grid."""
    returned_s: Floats
    """[C] when the client was back from an update in the step that ended so, s from its start; inf: it was not."""
    began_s: Floats
    """[C] likewise when it began a mini-batch."""
    server_left: Any
    """Cycles that the server has still to do for generated rows of the last update, see `training.label_balancing`."""

    @classmethod
    def idle(cls, *shape: int) -> Self:
        """Nobody has anything to do; of shape [C] or [N, C]."""
        row, plan = np.full(shape, IDLE), np.zeros(shape, np.int64)
        left, waited_s = np.zeros((2, *shape))
        returned_s, began_s = np.full((2, *shape), np.inf)
        return cls(row, left, waited_s, plan, returned_s, began_s, np.zeros(shape[:-1]))

    def in_flight(self, asynchrony: Asynchrony) -> Bools:
        """[C] clients at work on a mini-batch that the server has not taken up, or whose smashed data wait there."""
        return np.asarray((self.row >= 0) & (self.row < asynchrony.return_row))

    def world(self, index: int, clients: int) -> Self:
        """One world of a batch, of its first so many clients."""
        return self.each(lambda array: array[index, :clients] if array.ndim > 1 else array[index])

    def each(self, of: Callable[[Any], Any]) -> Self:
        """With another array in the place of each."""
        return type(self)(*map(of, self))

    def forget(self, which: Any) -> None:
        """Nobody has anything to do in these of N worlds."""
        for array, idle in zip(self, (IDLE, 0.0, 0.0, 0, np.inf, np.inf, 0.0), strict=True):
            array[which] = idle

    def follow(self, after: "Flights") -> None:
        """Goes on to what is in flight after a round."""
        for array, new in zip(self, after, strict=True):
            array[:] = new
