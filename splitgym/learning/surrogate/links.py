"""From skills to probabilities."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DOUBLINGS = 10


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True, inline="always")
def growth(x: float) -> float:
    """About exp(x): (1 + x / 1024)^1024, which compilers turn into a few multiplications of many numbers at once."""
    y = 1.0 + max(x, -1000.0) / (1 << DOUBLINGS)
    for _ in range(DOUBLINGS):
        y *= y
    return y


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True, inline="always")
def limited(step: float) -> float:
    """A step that is never longer than one logit."""
    return step / (1.0 + abs(step))


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def answers(right: Floats, habit: Floats, sharpness: float, weight: Floats, probability: Floats) -> float:
    """How likely a sample of each class is recognised.

    The logit of the right class is its skill and its habit, those of the others are their habits.

    Args:
        right: [K] logits of the right class, without its habit.
        habit: [K] logits.
        sharpness: Factor of the habits.
        weight: [K] to be filled: exp(habit).
        probability: [K] to be filled: of the right answer.

    Returns:
        The sum of the weights.
    """
    total = 0.0
    for k in range(len(right)):
        weight[k] = growth(sharpness * habit[k])
        total += weight[k]
    for k in range(len(right)):
        own = weight[k] * growth(right[k])
        probability[k] = own / (own + total - weight[k])
    return total
