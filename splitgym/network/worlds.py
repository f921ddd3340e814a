"""What it takes to hold many worlds in one array: drawing for each of them, taking some out, putting them back."""

from collections.abc import Sequence
from math import prod, sqrt
from typing import TypeVar

import numpy as np
from scipy.special import ndtr

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, kernel

Generators = Sequence[np.random.Generator]

State = TypeVar("State")
"""A frozen dataclass of arrays with a leading axis N, or of such dataclasses."""

DRAWN_AHEAD = 1024
"""Numbers of a world that are drawn at a time, if they last for several rounds."""


class Row:
    """Standard normal numbers of N worlds for one purpose, handed out in the order in which they are asked for.

    Args:
        numbers: [N, n].
    """

    def __init__(self, numbers: Floats) -> None:
        self._numbers = numbers
        self._used = 0

    @classmethod
    def draw(cls, rngs: Generators, numbers: int) -> "Row":
        """So many new numbers of each world, from its generator."""
        drawn = np.empty((len(rngs), numbers))
        for rng, own in zip(rngs, drawn, strict=True):
            rng.standard_normal(out=own)
        return cls(drawn)

    @property
    def left(self) -> int:
        """How many numbers have not been handed out."""
        return self._numbers.shape[1] - self._used

    def __len__(self) -> int:
        """Number of worlds."""
        return len(self._numbers)

    def take(self, shape: tuple[int, ...]) -> Floats:
        """The next numbers of each world, [N, *shape]."""
        begin = self._used
        self._used += prod(shape)
        assert self._used <= self._numbers.shape[1], "more numbers are used than were drawn"
        # One layout, whatever the number of worlds: of another one every kernel would be compiled again.
        return np.ascontiguousarray(self._numbers[:, begin : self._used]).reshape(len(self), *shape)


def child_of(parent: np.random.Generator) -> np.random.Generator:
    """A new child of a generator, of the kind that draws fastest."""
    seeds = parent.bit_generator.seed_seq.spawn(1)  # type: ignore[attr-defined]
    return np.random.Generator(np.random.SFC64(seeds[0]))


class NormalBuffer:
    """Standard normal numbers of N worlds, drawn ahead for several rounds: a generator is slow to ask, not to draw.

    A world's numbers come from a child of its generator, one round after the other, whatever other worlds do.

    Args:
        worlds: N.
        numbers: How many a world needs for a round.
    """

    def __init__(self, worlds: int, numbers: int) -> None:
        rounds = max(1, DRAWN_AHEAD // max(numbers, 1))
        self._drawn = np.empty((worlds, rounds, numbers))
        self._parents: list[np.random.Generator | None] = [None] * worlds
        self._children: list[np.random.Generator] = []
        # Of idle worlds: numbers for which there was no place.
        self._left: dict[int, list[Floats]] = {}
        self._round = 0

    def follow(self, world: int, parent: np.random.Generator) -> None:
        """From the next round on a world's numbers come from this generator, if they do not yet; first in order."""
        if self._parents[world] is not parent:
            self._parents[world] = parent
            child = child_of(parent)
            self._children[world : world + 1] = [child]
            self._left.pop(world, None)
            child.standard_normal(out=self._drawn[world, self._round :])

    def next(self, idle: Bools | None = None) -> Row:
        """The numbers of the next round of all worlds; valid until the next call.

        Args:
            idle: [N] worlds that do not use theirs; they are the first ones of their next round.
        """
        if self._round == self._drawn.shape[1]:
            self._round = 0
            for world, (child, drawn) in enumerate(zip(self._children, self._drawn, strict=True)):
                left = self._left.pop(world, [])
                for own, numbers in zip(drawn, left, strict=False):
                    own[:] = numbers
                child.standard_normal(out=drawn[len(left) :])
        if idle is not None:
            self._put_off(np.flatnonzero(idle))
        self._round += 1
        return Row(self._drawn[:, self._round - 1])

    def _put_off(self, worlds: Ints) -> None:
        """Makes the numbers of the coming rounds those of the rounds after them."""
        for world in worlds.tolist():
            coming = self._drawn[world, self._round :]
            self._left[world] = [coming[-1].copy(), *self._left.get(world, [])]
            coming[1:] = coming[:-1].copy()


def standard_normal(rngs: Generators | Row, shape: tuple[int, ...]) -> Floats:
    """Standard normal numbers [N, *shape], those of world i from generator i; nothing is drawn for an empty shape."""
    if isinstance(rngs, Row):
        return rngs.take(shape)
    drawn = np.empty((len(rngs), *shape))
    if drawn.size:
        for rng, world in zip(rngs, drawn, strict=True):
            rng.standard_normal(out=world)
    return drawn


def uniform(rngs: Generators | Row, shape: tuple[int, ...]) -> Floats:
    """Uniform numbers in [0, 1) [N, *shape], those of world i from generator i."""
    if isinstance(rngs, Row):
        return ndtr(rngs.take(shape))
    drawn = np.empty((len(rngs), *shape))
    for i, rng in enumerate(rngs):
        drawn[i] = rng.random(shape)
    return drawn


def gauss_markov(rngs: Generators | Row, previous: Floats, correlation: float | Floats) -> Floats:
    """The next value of a stationary first-order process: x' = rho x + sqrt(1 - rho^2) w, w standard normal.

    Args:
        rngs: One generator per world, or the numbers of a round.
        previous: [N, ...] values of unit variance.
        correlation: rho in [-1, 1], one number or broadcastable to `previous`.

    Returns:
        [N, ...] values of unit variance, correlated with `previous` by rho.
    """
    new = standard_normal(rngs, previous.shape[1:])
    if isinstance(correlation, float):
        worlds = len(previous)
        return _mixed(previous.reshape(worlds, -1), new.reshape(worlds, -1), correlation).reshape(previous.shape)
    mixed: Floats = correlation * previous + np.sqrt(1 - np.square(correlation)) * new
    return mixed


@kernel(COMPILED)
def _mixed(previous: Floats, new: Floats, correlation: float) -> Floats:
    """As `gauss_markov`, of [N, n] values in one pass: fading is most of what a round draws."""
    mixed, innovation = np.empty(previous.shape), sqrt(1 - correlation * correlation)
    for n in range(previous.shape[0]):
        for k in range(previous.shape[1]):
            mixed[n, k] = correlation * previous[n, k] + innovation * new[n, k]
    return mixed


def put(state: State, worlds: Ints, part: State) -> None:
    """Replaces some worlds of the state by those of `part`, in place."""
    for name, values in vars(state).items():
        if isinstance(values, np.ndarray):
            values[worlds] = getattr(part, name)
        else:
            put(values, worlds, getattr(part, name))
