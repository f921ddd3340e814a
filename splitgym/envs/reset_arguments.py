"""Arguments of `reset`, checked: seeds and options."""

from collections.abc import Collection
from typing import Any

import numpy as np

from splitgym.arrays import Bools
from splitgym.inputs import InputError, is_whole


def seed_of(seed: Any, name: str = "seed") -> int | None:
    """A seed as a whole number of Python, or None.

    Raises:
        InputError: it is none; the message has its name.
    """
    if seed is None:
        return None
    if not is_whole(seed) or seed < 0:
        raise InputError(f"{name} = {_line(seed)}, allowed: None, or whole numbers from 0")
    return int(seed)


def seeds_of(seed: Any, count: int) -> list[int | None] | None:
    """The seeds of so many environments: seed + i, or the i-th of a sequence; None: there are none.

    Raises:
        InputError: they are none.
    """
    if isinstance(seed, list | tuple | range) or (isinstance(seed, np.ndarray) and seed.ndim == 1):
        if len(seed) != count:
            raise InputError(f"seed has {len(seed)} values, allowed: one for each of {count} environments")
        return [seed_of(own, f"seed[{i}]") for i, own in enumerate(seed)]
    first = seed_of(seed)
    return None if first is None else [first + i for i in range(count)]


def check_options(options: Any, allowed: Collection[str] = ()) -> dict[str, Any]:
    """The options, none of which is unknown.

    Raises:
        InputError: one is; the message names it and what is allowed.
    """
    names = ", ".join(map(repr, allowed)) or "none"
    if options is not None and not isinstance(options, dict):
        raise InputError(f"options = {_line(options)}, allowed: None, or a dictionary with the names: {names}")
    for name in options or {}:
        if name not in allowed:
            raise InputError(f"options[{name!r}] is unknown, allowed: {names}")
    return options or {}


def reset_mask(options: Any, count: int) -> Bools | None:
    """Which of so many environments are to be reset; None: the options do not say.

    Raises:
        InputError: the mask is none, or another option is there.
    """
    mask = check_options(options, ("reset_mask",)).get("reset_mask")
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.shape != (count,) or mask.dtype != np.bool_ or not mask.any():
        raise InputError(
            f"options['reset_mask'] = {_line(mask)}, allowed: an array of {count} booleans, at least one true"
        )
    return mask


def _line(value: Any) -> str:
    return " ".join(repr(value).split())
