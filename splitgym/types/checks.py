"""Checks of numbers and arrays: one line that names the value and what is allowed."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splitgym.inputs import InputError

if TYPE_CHECKING:
    pass


LONGEST = 100
"""Characters of a value that a message shows."""


WORDS = {"b": "bool array", "iu": "whole numbers", "iuf": "numbers"}
"""What arrays of these kinds hold."""


QUICK = {"iu": (int, np.int64), "iuf": (float, np.float64)}
"""Types of numbers of these kinds that need no conversion before they are compared."""


def check_array(name: str, value: Any, kinds: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The value as an array of that shape whose entries are of these kinds.

    Raises:
        InputError: it is none.
    """
    if type(value) is np.ndarray and value.shape == shape and value.dtype.kind in kinds:
        return value  # As nearly always.
    array = _array(name, value, "an array")
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, allowed: {shape_text(shape)}")
    if array.dtype.kind not in kinds:
        raise InputError(f"{name} = {shown(value)}, allowed: {WORDS.get(kinds, 'real numbers')}")
    return array


def check_range(name: str, array: NDArray[Any], low: float, high: float, allowed: str = "{low:g}..{high:g}") -> None:
    """Raises an InputError that names the first entry that is not between two numbers, both allowed."""
    if array.size == 0 or (array.min() >= low and array.max() <= high):
        return
    place = tuple(int(index) for index in np.argwhere(~((array >= low) & (array <= high)))[0])
    where = str(list(place)) if place else ""
    raise InputError(f"{name}{where} = {array[place]}, allowed: {allowed.format(low=low, high=high)}")


def check_number(name: str, value: Any, kinds: str, between: tuple[float, float], *shapes: tuple[int, ...]) -> None:
    """A number in one of these shapes: of one world, or of each of N."""
    low, high = between
    if type(value) in QUICK[kinds] and () in shapes and low <= value <= high:
        return  # As nearly always; the rest takes ten times as long.
    allowed = f"{low:g}..{high:g}"
    array = _array(name, value, allowed)
    if array.dtype.kind not in kinds:
        raise InputError(f"{name} = {shown(value)}, allowed: {allowed}")
    if array.shape not in shapes:
        # Of one world, the shape of one for all is that of one for each world.
        fitting = dict.fromkeys(map(shape_text, shapes))
        raise InputError(f"{name} has shape {array.shape}, allowed: {' or '.join(fitting)}")
    check_range(name, array, low, high)


def _array(name: str, value: Any, allowed: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except Exception as error:  # What is no array may raise anything.
        raise InputError(f"{name} = {shown(value)}, allowed: {allowed}") from error


def shown(value: object) -> str:
    """A value in one line, or how it begins."""
    try:
        text = " ".join((str(value) if isinstance(value, np.ndarray) else repr(value)).split())
    except Exception:  # It may be anything, and raise anything.
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def shape_text(shape: tuple[Any, ...]) -> str:
    """A shape as Python writes it, with words where any number is allowed."""
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
