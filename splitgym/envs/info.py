"""Information on N worlds: arrays with a leading axis N by name, or dictionaries of such."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Info = dict[str, Any]
Bools = NDArray[np.bool_]


def one_by_one(info: Info, worlds: int) -> list[dict[str, Any]]:
    """The information of each of so many worlds: plain numbers, arrays of its own, dictionaries of these."""
    own: list[dict[str, Any]] = [{} for _ in range(worlds)]
    for name, value in info.items():
        if isinstance(value, dict):
            values: list[Any] = one_by_one(value, worlds)
        else:
            values = list(value.copy()) if value.ndim > 1 else value.tolist()
        for world, of_this in zip(own, values, strict=True):
            world[name] = of_this
    return own


def of_worlds(info: Info, which: NDArray[np.int64]) -> Info:
    """The information of the worlds with these indices, as arrays of their own."""
    return _map(lambda values: values[which], info)


def joined(infos: Sequence[Info]) -> Info:
    """The information of all, one after the other."""
    return infos[0] if len(infos) == 1 else _map(lambda *values: np.concatenate(values), *infos)


def only(info: Info, marked: Bools) -> Info:
    """As it is where marked, 0 elsewhere."""

    def zeroed(values: NDArray[Any]) -> NDArray[Any]:
        values = values.copy()
        values[~marked] = 0
        return values

    return info if marked.all() else _map(zeroed, info)


def spread(info: Info, marked: Bools) -> Info:
    """Of the marked worlds, in their order, to all: 0 elsewhere."""

    def everywhere(values: NDArray[Any]) -> NDArray[Any]:
        of_all = np.zeros((len(marked), *values.shape[1:]), values.dtype)
        of_all[marked] = values
        return of_all

    return _map(everywhere, info)


def with_masks(info: Info, marked: Bools) -> Info:
    """With a bool array `_name` for each name: which worlds have it, as Gymnasium documents it."""
    masked: Info = {}
    for name, value in info.items():
        masked[name] = with_masks(value, marked) if isinstance(value, dict) else value
        masked[f"_{name}"] = marked.copy()
    return masked


def _map(function: Callable[..., Any], *infos: Info) -> Info:
    """Applies a function to the arrays that have the same place."""
    mapped: Info = {}
    for name, first in infos[0].items():
        values = [info[name] for info in infos]
        mapped[name] = _map(function, *values) if isinstance(first, dict) else function(*values)
    return mapped
