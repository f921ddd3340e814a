"""`partition="dirichlet"` for kernels: the counts of `class_counts`, by the same law, drawn from a world's stream."""

from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import exp
from splitgym.random import Purpose, Streams, fill_log_gammas, fill_uniforms, room_for

DATA, MOVED_DATA = int(Purpose.DATA), int(Purpose.MOVED_DATA)


class Room(NamedTuple):
    """Workspace for C clients and K classes."""

    share: Floats
    """[room for C K] of each client in a class, class by class."""
    numbers: Floats
    """[2, room for C K]."""
    left: Ints
    """[C K]."""
    size: Ints
    """[C] samples of each client."""

    @classmethod
    def empty(cls, clients: int, classes: int) -> Self:
        """Made once."""
        length = room_for(clients * classes)
        return cls(
            np.zeros(length), np.zeros((2, length)), np.zeros(clients * classes, np.int64), np.zeros(clients, np.int64)
        )


@kernel(INLINED)
def draw_counts(
    streams: Streams, n: int, class_sizes: Ints, clients: int, alpha: float, least: int, counts: Ints, room: Room
) -> None:
    """Draws how many samples of each class the clients of world n get.

    Args:
        streams: Of N worlds.
        n: The world.
        class_sizes: [K] samples of each class.
        clients: How many of the C clients there are; the others get nothing.
        alpha: Concentration, above 0.
        least: Samples that every client has in the end, see `splitgym.data.partitioning.least_samples`.
        counts: [C, K] filled.
        room: Workspace.
    """
    share, size = room.share, room.size
    fill_log_gammas(streams, n, DATA, alpha, class_sizes.shape[0] * clients, share, room.numbers, room.left)
    for c in range(counts.shape[0]):
        size[c] = 0
    for label in range(class_sizes.shape[0]):
        _divide(class_sizes[label], share[label * clients : (label + 1) * clients])
        given = 0
        for c in range(counts.shape[0]):
            bound = int(share[label * clients + c]) if c < clients else given
            counts[c, label] = bound - given
            size[c] += bound - given
            given = bound
    _raise_to(streams, n, least, counts, size[:clients], room.numbers[0])


@kernel(INLINED)
def _divide(samples: int, share: Floats) -> None:
    """Makes of the logarithms of gammas the last sample of each client, counted from 1: Dir(alpha) are their shares."""
    highest, total = -np.inf, 0.0
    for c in range(share.shape[0]):
        highest = max(highest, share[c])
    for c in range(share.shape[0]):
        share[c] = exp(share[c] - highest)
    for c in range(share.shape[0]):
        total += share[c]
    so_far = 0.0
    for c in range(share.shape[0]):
        so_far += share[c] / total
        share[c] = np.rint(so_far * samples)
    # The last bound may miss 1 by a rounding error.
    share[share.shape[0] - 1] = samples


@kernel(INLINED)
def _raise_to(streams: Streams, n: int, least: int, counts: Ints, size: Ints, numbers: Floats) -> None:
    """Moves single samples from the richest client to the poorest until all have the least, as `class_counts` does."""
    moved = 0
    while True:
        poorest = richest = 0
        for c in range(size.shape[0]):
            poorest = c if size[c] < size[poorest] else poorest
            richest = c if size[c] > size[richest] else richest
        if size[poorest] >= least:
            return
        if moved % 4 == 0:
            fill_uniforms(streams, n, MOVED_DATA, 4, numbers, moved // 4)
        place, label = int(numbers[moved % 4] * size[richest]), 0
        while place >= counts[richest, label]:
            place -= counts[richest, label]
            label += 1
        counts[poorest, label] += 1
        counts[richest, label] -= 1
        size[poorest] += 1
        size[richest] -= 1
        moved += 1
