"""Information on N worlds: arrays with a leading axis N by name, or tables or dictionaries of such."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints

Info = dict[str, Any]


class Table(NamedTuple):
    """Numbers by name, as a dictionary of arrays that are rows of one."""

    names: tuple[str, ...]
    values: NDArray[Any]
    """[names, N]."""

    def by_name(self) -> Info:
        """That dictionary."""
        return dict(zip(self.names, self.values, strict=True))


def of_one(info: Info) -> dict[str, Any]:
    """The information of a single world: plain numbers, arrays of its own, dictionaries of these."""
    return {name: _of_one(value) for name, value in info.items()}


def _of_one(value: Any) -> Any:
    if type(value) is Table:
        return dict(zip(value.names, value.values[:, 0].tolist(), strict=True))
    if type(value) is dict:
        return of_one(value)
    return value.item() if value.ndim == 1 else value[0].copy()


class Place(NamedTuple):
    """Where an array stands in blocks, or the arrays of a dictionary."""

    name: str
    mask: str
    """Name of the array that says which worlds have it."""
    block: int
    row: int
    inner: tuple["Place", ...]
    """Of a dictionary; else empty."""


class Layout:
    """Where the arrays of an information stand in blocks: those of one shape and type are rows of one block.

    Args:
        info: Of any number of worlds.
    """

    def __init__(self, info: Info) -> None:
        self.kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = []
        self.rows: list[int] = []
        self.places = tuple(self._place(name, value) for name, value in info.items())

    def _place(self, name: str, value: Any) -> Place:
        if isinstance(value, Table):
            value = value.by_name()
        if isinstance(value, dict):
            return Place(name, f"_{name}", -1, -1, tuple(self._place(*each) for each in value.items()))
        kind = value.dtype, value.shape[1:]
        if kind not in self.kinds:
            self.kinds.append(kind)
            self.rows.append(0)
        block = self.kinds.index(kind)
        self.rows[block] += 1
        return Place(name, f"_{name}", block, self.rows[block] - 1, ())


class Columns:
    """Information on N worlds in blocks, because many small arrays cost more than the numbers in them.

    Args:
        layout: Of the blocks.
        blocks: [rows, N, ...] each.
    """

    def __init__(self, layout: Layout, blocks: Sequence[NDArray[Any]]) -> None:
        self._layout, self._blocks = layout, blocks

    @classmethod
    def of(cls, info: Info, layout: Layout) -> Self:
        """An information as it is now."""
        worlds = len(next(_leaves(info)))
        blocks = [
            np.empty((rows, worlds, *shape), dtype)
            for rows, (dtype, shape) in zip(layout.rows, layout.kinds, strict=True)
        ]
        _fill(blocks, layout.places, info)
        return cls(layout, blocks)

    def worlds(self, which: Ints) -> Self:
        """The information of the worlds with these indices."""
        return type(self)(self._layout, [block[:, which] for block in self._blocks])

    @classmethod
    def joined(cls, parts: Sequence[Self], marked: Bools | None = None) -> Self:
        """The information of all, one after the other; with `marked`: 0 where that is False."""
        blocks = [
            each[0] if len(each) == 1 else np.concatenate(each, axis=1)
            for each in zip(*(part._blocks for part in parts), strict=True)
        ]
        if marked is not None and not marked.all():
            others = np.flatnonzero(~marked)
            for block in blocks:
                block[:, others] = 0
        return cls(parts[0]._layout, blocks)

    def spread(self, marked: Bools) -> Self:
        """Of the marked worlds, in their order, to all: 0 elsewhere."""
        which, blocks = np.flatnonzero(marked), []
        for values in self._blocks:
            block = np.zeros((len(values), len(marked), *values.shape[2:]), values.dtype)
            block[:, which] = values
            blocks.append(block)
        return type(self)(self._layout, blocks)

    def info(self, marked: Bools) -> Info:
        """The arrays by name, and the bool array `marked` as `_name` for each name: which worlds have it."""
        return _masked(self._layout.places, [list(block) for block in self._blocks], marked)

    def one_by_one(self) -> list[dict[str, Any]]:
        """The information of each world: plain numbers, arrays of its own, dictionaries of these."""
        columns = [list(block.swapaxes(0, 1).copy() if block.ndim > 2 else block.T.tolist()) for block in self._blocks]
        return [_named(self._layout.places, values) for values in zip(*columns, strict=True)]


def _masked(places: Sequence[Place], rows: Sequence[Sequence[Any]], marked: Bools) -> Info:
    """Arrays that stand in blocks, by name, and which worlds have them."""
    masked: Info = {}
    for name, mask, block, row, inner in places:
        masked[name] = _masked(inner, rows, marked) if inner else rows[block][row]
        masked[mask] = marked
    return masked


def _named(places: Sequence[Place], values: Sequence[Any]) -> dict[str, Any]:
    """Of one world, whose values stand in blocks."""
    return {name: _named(inner, values) if inner else values[block][row] for name, _, block, row, inner in places}


def _fill(blocks: Sequence[NDArray[Any]], places: Sequence[Place], info: Info) -> None:
    for name, _, block, row, inner in places:
        if inner:
            values = info[name]
            _fill(blocks, inner, values.by_name() if isinstance(values, Table) else values)
        else:
            blocks[block][row] = info[name]


def _leaves(info: Info) -> Iterator[NDArray[Any]]:
    for value in info.values():
        if isinstance(value, Table):
            yield from value.values
        elif isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield value
