"""From logits to probabilities."""

from splitgym.kernels import INLINED, kernel

LARGEST = 400.0
"""Logits of what is certain: products of two such odds are still finite."""


@kernel(INLINED, fastmath=True)
def odds(logit: float) -> float:
    """About exp(logit): (1 + x / 1024)^1024, of which compilers make a few multiplications of many numbers at once."""
    root = 1.0 + min(max(logit, -1000.0), LARGEST) * (1.0 / 1024)
    return _fourth(_fourth(_fourth(_fourth(_fourth(root)))))


@kernel(INLINED, fastmath=True)
def _fourth(x: float) -> float:
    """x^4."""
    square = x * x
    return square * square
