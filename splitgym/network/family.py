"""What an episode draws for itself: one value for each world from a range of the scenario."""

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.random import Generators, NormalBlock, uniform
from splitgym.scenario import Range


def draw_value(rngs: Generators | NormalBlock, between: Range | None, otherwise: float) -> Floats:
    """[N] values, uniform in the range; `otherwise` (and nothing drawn) without one."""
    if between is None:
        return np.full(len(rngs), otherwise)
    lowest, highest = between
    return lowest + (highest - lowest) * uniform(rngs, ())


def draw_scale(rngs: Generators | NormalBlock, between: Range | None, otherwise: float) -> Floats:
    """[N] values, log-uniform in the range; `otherwise` (and nothing drawn) without one."""
    if between is None:
        return np.full(len(rngs), otherwise)
    lowest, highest = between
    return np.minimum(lowest * (highest / lowest) ** uniform(rngs, ()), highest)


def draw_count(rngs: Generators | NormalBlock, between: tuple[int, int] | None, otherwise: int) -> Ints:
    """[N] whole numbers, uniform in the range, both ends included; `otherwise` (and nothing drawn) without one."""
    if between is None:
        return np.full(len(rngs), otherwise)
    fewest, most = between
    return fewest + (uniform(rngs, ()) * (most - fewest + 1)).astype(np.int64)
