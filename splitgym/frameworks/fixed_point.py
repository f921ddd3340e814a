"""Numbers of k bits: whole multiples, between -(2^(k-1) - 1) and 2^(k-1) - 1, of a power of two for each tensor.

What has been rounded so stays as it is when it is rounded again: the power of two is the smallest with which no number
is cut off, and of a smaller one the multiples are multiples still.
"""

import torch
from torch import Tensor

from splitgym.scenario.quantities import FULL_BITS


def on_grid(x: Tensor, bits: int, generator: torch.Generator | None) -> Tensor:
    """The numbers with so many bits, each of them right on average.

    Args:
        x: float32; a tensor with a number that is not finite stays as it is.
        bits: k, 2 to 16, or 32: they stay as they are.
        generator: Says which numbers are rounded up, on its own device; None: to the nearest.
    """
    if bits == FULL_BITS or not x.numel():
        return x
    scale = step(x, bits)
    levels = levels_of(x, scale, bits, generator)
    return torch.where(scale.isfinite(), levels * scale, x)


def step(x: Tensor, bits: int) -> Tensor:
    """The power of two, a tensor of no dimension; not finite where a number is not."""
    # Scaled to 0.5..1; where it is exactly 0.5 half of that power is enough.
    mantissa, exponent = torch.frexp(x.abs().amax() / top(bits))
    power = torch.ldexp(torch.ones_like(mantissa), (exponent - (mantissa == 0.5).int()).clamp(min=-126))
    return torch.where(mantissa.isfinite(), power, mantissa)


def levels_of(x: Tensor, scale: Tensor, bits: int, generator: torch.Generator | None) -> Tensor:
    """The whole multiples of a step, as floats."""
    return rounded(x / scale, generator).clamp(-top(bits), top(bits))


def rounded(exact: Tensor, generator: torch.Generator | None) -> Tensor:
    """Whole numbers, as floats: each of them right on average, or the nearest without a generator; a half down."""
    below = exact.floor()
    if generator is None:
        return below + (exact - below > 0.5)
    thresholds = torch.rand(exact.shape, generator=generator, device=generator.device).to(exact.device)
    return below + (exact - below > thresholds)


def top(bits: int) -> int:
    """The largest multiple."""
    return 2 ** (bits - 1) - 1
