"""Random numbers: for each of N worlds its own streams, from the generator that `reset(seed=)` seeds.

A number has a place (round, purpose, index), and is a function of the episode's key and that place: Philox 4x32-10 of
Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011. So nothing has to be drawn in an order, a new
purpose changes no other number, and a copy of a world is a copy of its numbers.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.kernels.functions import EXACT_ENOUGH, ln, turn

Generators = Sequence[np.random.Generator]
Words = NDArray[np.uint64]


class Purpose(IntEnum):
    """What numbers are for; those of different purposes are independent."""

    FAMILY = 0
    PLACE = 1
    SIGHT = 2
    SHADOWING = 3
    FADING = 4
    SPEED = 5
    LOAD = 6
    AVAILABILITY = 7
    ESTIMATE = 8
    DATA = 9
    RUN = 10
    LEARNING = 11
    MOVED_DATA = 12
    SKEW = 13
    MEMORY = 14
    STATION_SIGHT = 15
    STATION_SHADOWING = 16
    ROAD_SPEED = 17
    PLATOON = 18


class Streams(NamedTuple):
    """Where N worlds are in their streams."""

    key: Words
    """[N] of the episode."""
    round: Ints
    """[N] rounds of the episode."""

    @classmethod
    def empty(cls, worlds: int) -> "Streams":
        """Streams without keys."""
        return cls(np.zeros(worlds, np.uint64), np.zeros(worlds, np.int64))

    def begin_episodes(self, which: Ints, generators: Generators) -> None:
        """Starts episodes in some worlds ([W] indices): the key of each is the next number of its generator."""
        for world, generator in zip(which.tolist(), generators, strict=True):
            self.key[world] = generator.bit_generator.random_raw()
        self.round[which] = 0


_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_ROUNDS = 10
_TO_UNIT = 2.0**-32


@kernel(INLINED)
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, key: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Four random words of 32 bits from a counter of four such words and a key of 64 bits."""
    k0, k1 = key & _LOW, key >> _HALF
    for _ in range(_ROUNDS):
        first, second = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (second >> _HALF) ^ c1 ^ k0, second & _LOW, (first >> _HALF) ^ c3 ^ k1, first & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


@kernel(INLINED)
def unit(word: np.uint64) -> float:
    """A number in (0, 1) from 32 random bits, which may be one half of a step off 0 and 1."""
    return (np.float64(np.int64(word)) + 0.5) * _TO_UNIT


@kernel(INLINED)
def fill_uniforms(streams: Streams, n: int, purpose: int, count: int, numbers: Floats, attempt: int = 0) -> None:
    """Uniform numbers in (0, 1) of world n in its present round.

    Args:
        streams: Of N worlds.
        n: The world.
        purpose: A `Purpose`.
        count: How many.
        numbers: [`room_for(count)`] at least; the first `count` are filled, and what is behind them overwritten.
        attempt: Of another one there are other numbers.
    """
    key, blocks = streams.key[n], (count + 3) // 4
    c1, c2, c3 = np.uint64(streams.round[n]) & _LOW, np.uint64(attempt), np.uint64(purpose)
    for b in range(blocks):
        w0, w1, w2, w3 = philox(np.uint64(b), c1, c2, c3, key)
        numbers[b], numbers[blocks + b] = unit(w0), unit(w1)
        numbers[2 * blocks + b], numbers[3 * blocks + b] = unit(w2), unit(w3)


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def fill_normals(streams: Streams, n: int, purpose: int, count: int, numbers: Floats, attempt: int = 0) -> None:
    """Standard normal numbers by Box and Muller (1958); arguments as of `fill_uniforms`."""
    fill_uniforms(streams, n, purpose, count, numbers, attempt)
    half = 2 * ((count + 3) // 4)
    along, across = numbers[:half], numbers[half : 2 * half]
    for b in range(half):
        radius = np.sqrt(-2.0 * ln(along[b]))
        cosine, sine = turn(across[b] - 0.5)
        along[b], across[b] = radius * cosine, radius * sine


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def fill_log_gammas(
    streams: Streams, n: int, purpose: int, shape: float, count: int, logarithms: Floats, room: Floats, left: Ints
) -> None:
    """Logarithms of gamma numbers of unit scale, by Marsaglia and Tsang (ACM TOMS 26(3), 2000).

    Logarithms, because gammas of the smallest shapes are too small for a float.

    Args:
        streams: Of N worlds.
        n: The world.
        purpose: A `Purpose`.
        shape: Above 0.
        count: How many.
        logarithms: [`room_for(count)`] at least; the first `count` are filled.
        room: [2, `room_for(count)`] workspace.
        left: [count] workspace.
    """
    x, u = room[0], room[1]
    d = (shape + 1.0 if shape < 1.0 else shape) - 1.0 / 3.0
    c, log_d = 1.0 / np.sqrt(9.0 * d), ln(d)
    for i in range(count):
        left[i] = i
    missing, attempt = count, 1
    while missing > 0:
        fill_normals(streams, n, purpose, missing, x, 2 * attempt)
        fill_uniforms(streams, n, purpose, missing, u, 2 * attempt + 1)
        for i in range(missing):
            t = 1.0 + c * x[i]
            log_v = 3.0 * ln(max(t, 1e-300))
            accepted = t > 0.0 and ln(u[i]) < 0.5 * x[i] * x[i] + d * (1.0 - t * t * t + log_v)
            x[i] = log_d + log_v if accepted else np.inf
        still = 0
        for i in range(missing):
            if x[i] < np.inf:
                logarithms[left[i]] = x[i]
            else:
                left[still] = left[i]
                still += 1
        missing, attempt = still, attempt + 1
    if shape < 1.0:
        fill_uniforms(streams, n, purpose, count, u)
        for i in range(count):
            logarithms[i] += ln(u[i]) / shape


@kernel(NO_REFCOUNT)
def fill_normals_of_worlds(streams: Streams, purpose: int, numbers: Floats, room: Floats) -> None:
    """[N, n] standard normal numbers of all worlds in their present rounds; [`room_for(n)`] workspace."""
    for n in range(numbers.shape[0]):
        fill_normals(streams, n, purpose, numbers.shape[1], room)
        for k in range(numbers.shape[1]):
            numbers[n, k] = room[k]


def room_for(count: int) -> int:
    """Length of an array into which so many numbers are drawn."""
    return -(-count // 4) * 4
