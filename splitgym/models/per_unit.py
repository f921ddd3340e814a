"""Records with one value per unit of a network, and their sums over consecutive units."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats


def own_arrays(record: Any) -> None:
    """Makes every field of a frozen dataclass a read-only float64 array of its own, [L].

    Raises:
        ValueError: the arrays do not have one common length of at least two units.
    """
    length = np.size(getattr(record, fields(record)[0].name))
    for field in fields(record):
        values = np.array(getattr(record, field.name), dtype=np.float64)
        if values.ndim != 1 or len(values) < 2 or len(values) != length:
            raise ValueError(
                f"{field.name} has shape {values.shape}: every array needs one value per unit, for at least two units"
            )
        values.setflags(write=False)
        object.__setattr__(record, field.name, values)


def checked_cut_layer(cut_layer: int | NDArray[np.integer], units: int, lowest: int = 0) -> NDArray[np.integer]:
    """Cut layers as an array.

    Raises:
        ValueError: one is not among lowest..units.
    """
    cuts = np.asarray(cut_layer)
    if np.any((cuts < lowest) | (cuts > units)):
        raise ValueError(f"cut_layer = {cut_layer}: allowed are {lowest} to {units}")
    return cuts


def sum_until(values: Floats, count: NDArray[np.integer]) -> Floats:
    """Sum of the first `count` values, for every element of `count`."""
    return np.concatenate(([0.0], np.cumsum(values)))[count]
