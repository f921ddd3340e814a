"""What it takes to hold many worlds in one array: their processes, taking some out, putting them back."""

from math import sqrt
from typing import TypeVar

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.kernels import COMPILED, kernel
from splitgym.random import Generators, NormalBlock, standard_normal

State = TypeVar("State")
"""A frozen dataclass of arrays with a leading axis N, or of such dataclasses."""


def gauss_markov(rngs: Generators | NormalBlock, previous: Floats, correlation: float | Floats) -> Floats:
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
