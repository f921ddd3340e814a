"""What callers give to the `predict` of a trained policy: refused in one line where it does not fit."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.schedulers.scheduler import EACH_ITS_OWN

AS_THEY_ARE = (
    "0..1, as the environment shows them: they need no normalisation, only rewards may have it"
    " (`VecNormalize(env, norm_obs=False)`)"
)
"""The values of observations that are allowed."""


def observations(given: Any, space: spaces.Space[Any]) -> NDArray[np.float32]:
    """[N, observation], also of a single one.

    Raises:
        ValueError: the shape or a value is not that of the space, Box(0, 1).
    """
    (size,) = space.shape or ()
    allowed = f"allowed: ({size},) or (N, {size}), as in the agent's environment; {EACH_ITS_OWN}"
    try:
        seen = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"observation is no array but a {type(given).__name__}, {allowed}") from error
    if seen.shape[-1:] != (size,) or seen.ndim > 2 or not seen.size:
        raise ValueError(f"observation has shape {seen.shape}, {allowed}")
    if not ((seen >= 0) & (seen <= 1)).all():
        raise ValueError(f"observation has values from {seen.min():g} to {seen.max():g}, allowed: {AS_THEY_ARE}")
    return seen.reshape(-1, size)


def starts(given: Any, environments: int) -> Bools:
    """[N] in which environments an episode starts; None: in none.

    Raises:
        ValueError: it has not a value for each environment.
    """
    if given is None:
        return np.zeros(environments, bool)
    marked = np.atleast_1d(np.asarray(given, bool))
    if marked.shape != (environments,):
        raise ValueError(f"episode_start has shape {marked.shape}, allowed: ({environments},), as the observations")
    return marked


def memory(given: Any, environments: int) -> Any:
    """The memory of a recurrent policy: arrays [layers, N, width]; None: nothing is remembered.

    Raises:
        ValueError: it is that of another number of environments.
    """
    for part in () if given is None else given:
        if np.ndim(part) != 3 or np.shape(part)[1] != environments:
            raise ValueError(
                f"state has arrays of shape {np.shape(part)}, allowed: (layers, {environments}, width), as `predict`"
                " returned it for these environments"
            )
    return given


def masks(given: Any, environments: int, values: int) -> Bools:
    """[N, values] of the values of a MultiDiscrete action; one for each environment.

    Raises:
        ValueError: the shape is another one.
    """
    marked = np.atleast_2d(np.asarray(given, bool))
    if marked.shape != (environments, values):
        raise ValueError(f"action_masks has shape {marked.shape}, allowed: ({environments}, {values})")
    return marked
