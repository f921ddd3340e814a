"""What it takes to hold many worlds in one array: drawing for each of them, taking some out, putting them back."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Generators = Sequence[np.random.Generator]

State = TypeVar("State")
"""A frozen dataclass of arrays with a leading axis N, or of such dataclasses."""


def standard_normal(rngs: Generators, shape: tuple[int, ...]) -> Floats:
    """Standard normal numbers [N, *shape], those of world i from generator i; nothing is drawn for an empty shape."""
    drawn = np.empty((len(rngs), *shape))
    if drawn.size:
        for rng, world in zip(rngs, drawn, strict=True):
            rng.standard_normal(out=world)
    return drawn


def uniform(rngs: Generators, shape: tuple[int, ...]) -> Floats:
    """Uniform numbers in [0, 1) [N, *shape], those of world i from generator i."""
    drawn = np.empty((len(rngs), *shape))
    for rng, world in zip(rngs, drawn, strict=True):
        rng.random(out=world)
    return drawn


def gauss_markov(rngs: Generators, previous: Floats, correlation: float | Floats) -> Floats:
    """The next value of a stationary first-order process: x' = rho x + sqrt(1 - rho^2) w, w standard normal.

    Args:
        rngs: One generator per world.
        previous: [N, ...] values of unit variance.
        correlation: rho in [-1, 1], one number or broadcastable to `previous`.

    Returns:
        [N, ...] values of unit variance, correlated with `previous` by rho.
    """
    following = standard_normal(rngs, previous.shape[1:])
    following *= np.sqrt(1 - np.square(correlation))
    following += correlation * previous
    return following


def take(state: State, worlds: Ints) -> State:
    """The state of some worlds only, as new arrays."""
    return _map(lambda values: values[worlds], state)


def put(state: State, worlds: Ints, part: State) -> State:
    """The state with some worlds replaced by those of `part`; `state` itself stays as it was."""

    def merged(values: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
        values = values.copy()
        values[worlds] = new
        return values

    return _map(merged, state, part)


def _map(function: Callable[..., Any], state: State, *others: State) -> State:
    """Applies a function to every array of a state (and the same array of other states)."""
    if isinstance(state, np.ndarray):
        return function(state, *others)
    names = [field.name for field in fields(state)]  # type: ignore[arg-type]
    mapped = {name: _map(function, *(getattr(one, name) for one in (state, *others))) for name in names}
    return replace(state, **mapped)  # type: ignore[type-var]
