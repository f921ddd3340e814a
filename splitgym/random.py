"""Streams of random numbers: for each of N worlds its own, from the generator that `reset(seed=)` seeds."""

from collections.abc import Sequence
from math import prod

import numpy as np
from scipy.special import ndtr

from splitgym.arrays import Bools, Floats, Ints

Generators = Sequence[np.random.Generator]

DRAWN_AHEAD = 1024
"""Numbers of a world that are drawn at a time, if they last for several rounds."""


class NormalBlock:
    """Standard normal numbers of N worlds for one purpose, handed out in the order in which they are asked for.

    Args:
        numbers: [N, n].
    """

    def __init__(self, numbers: Floats) -> None:
        self._numbers = numbers
        self._used = 0

    @classmethod
    def draw(cls, rngs: Generators, numbers: int) -> "NormalBlock":
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

    def next(self, idle: Bools | None = None) -> NormalBlock:
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
        return NormalBlock(self._drawn[:, self._round - 1])

    def _put_off(self, worlds: Ints) -> None:
        """Makes the numbers of the coming rounds those of the rounds after them."""
        for world in worlds.tolist():
            coming = self._drawn[world, self._round :]
            self._left[world] = [coming[-1].copy(), *self._left.get(world, [])]
            coming[1:] = coming[:-1].copy()


def standard_normal(rngs: Generators | NormalBlock, shape: tuple[int, ...]) -> Floats:
    """Standard normal numbers [N, *shape], those of world i from generator i; nothing is drawn for an empty shape."""
    if isinstance(rngs, NormalBlock):
        return rngs.take(shape)
    drawn = np.empty((len(rngs), *shape))
    if drawn.size:
        for rng, world in zip(rngs, drawn, strict=True):
            rng.standard_normal(out=world)
    return drawn


def uniform(rngs: Generators | NormalBlock, shape: tuple[int, ...]) -> Floats:
    """Uniform numbers in [0, 1) [N, *shape], those of world i from generator i."""
    if isinstance(rngs, NormalBlock):
        return ndtr(rngs.take(shape))
    drawn = np.empty((len(rngs), *shape))
    for i, rng in enumerate(rngs):
        drawn[i] = rng.random(shape)
    return drawn
