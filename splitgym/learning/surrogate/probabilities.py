"""From skills to probabilities."""

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel

DOUBLINGS = 10
LARGEST = 400.0
"""Logits of what is certain: products of two such odds are still finite."""


@kernel(NO_REFCOUNT, fastmath=True)
def grow(logits: Floats) -> None:
    """Makes of logits about exp(logit), in place: (1 + x / 1024)^1024.

    Compilers make of it a few multiplications of many numbers at once.
    """
    flat = logits.reshape(logits.size)
    for i in range(len(flat)):
        y = 1.0 + min(max(flat[i], -1000.0), LARGEST) * (1.0 / (1 << DOUBLINGS))
        for _ in range(DOUBLINGS):
            y *= y
        flat[i] = y


@kernel(NO_REFCOUNT, fastmath=True)
def answer(right: Floats, weight: Floats, others: Floats) -> None:
    """How likely a sample of each class is recognised.

    The logit of the right class is its skill and its label bias, those of the others are their label biases.

    Args:
        right: [C, K] logits of the right class, without its label bias; becomes the probability of the right answer.
        weight: [C, K] label biases, logits; becomes exp(label bias).
        others: [C, K] to be filled: sum of the weights of the other classes.
    """
    clients, classes = right.shape
    grow(right)
    grow(weight)
    for c in range(clients):
        total = 0.0
        for k in range(classes):
            total += weight[c, k]
        for k in range(classes):
            others[c, k] = total - weight[c, k]
    flat, weights, rest = right.reshape(right.size), weight.reshape(right.size), others.reshape(right.size)
    for i in range(len(flat)):
        own = weights[i] * flat[i]
        flat[i] = own / (own + rest[i])


@kernel(INLINED, fastmath=True)
def limited(step: float) -> float:
    """A step that is never longer than one logit."""
    return step / (1.0 + abs(step))
