"""Information on N worlds: arrays with a leading axis N by name, or dictionaries of such."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints

Info = dict[str, Any]


def one_by_one(info: Info) -> list[dict[str, Any]]:
    """The information of each world: plain numbers, arrays of its own, dictionaries of these."""
    columns: list[list[Any]] = []
    for value in info.values():
        if isinstance(value, dict):
            columns.append(one_by_one(value))
        else:
            columns.append(value.tolist() if value.ndim == 1 else list(value.copy()))
    return [dict(zip(info, values, strict=True)) for values in zip(*columns, strict=True)]


def of_worlds(info: Info, which: Ints) -> Info:
    """The information of the worlds with these indices, as arrays of their own."""
    return _map(lambda values: values[which], info)


def joined(infos: Sequence[Info]) -> Info:
    """The information of all, one after the other, as arrays of its own."""
    return _map(lambda *values: np.concatenate(values), *infos)


def only(info: Info, marked: Bools) -> Info:
    """As it is where marked, 0 elsewhere."""
    others = np.flatnonzero(~marked)

    def zeroed(values: NDArray[Any]) -> NDArray[Any]:
        values = values.copy()
        values[others] = 0
        return values

    return _map(zeroed, info) if len(others) else info


def spread(info: Info, marked: Bools) -> Info:
    """Of the marked worlds, in their order, to all: 0 elsewhere."""
    which = np.flatnonzero(marked)

    def everywhere(values: NDArray[Any]) -> NDArray[Any]:
        of_all = np.zeros((len(marked), *values.shape[1:]), values.dtype)
        of_all[which] = values
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
    places = zip(infos[0], zip(*(info.values() for info in infos), strict=True), strict=True)
    return {
        name: _map(function, *values) if isinstance(values[0], dict) else function(*values) for name, values in places
    }
