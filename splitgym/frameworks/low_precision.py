"""Training with few bits: weights, activations and gradients of a node in fixed point, without a copy in float32.

Rounding is at random and right on average; the backward pass goes through it as if it were not there, and rounds the
gradients. The optimiser's momentum has as few bits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from splitgym.frameworks.fixed_point import on_grid

KEEPS_GRID = (nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Identity)
"""Layers whose output has the values of their input, or zero."""


class _Rounded(torch.autograd.Function):
    """Rounds activations, and on the way back their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, generator: torch.Generator | None) -> Tensor:
        ctx.bits, ctx.generator = bits, generator
        return on_grid(x, bits, generator)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return on_grid(gradient, ctx.bits, ctx.generator), None, None


@contextmanager
def rounding(units: Sequence[nn.Module], bits: int, generator: torch.Generator | None) -> Iterator[None]:
    """Within it, all layers of some units answer with numbers of so many bits."""

    def round_output(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return _Rounded.apply(output, bits, generator)

    layers = {layer for unit in units for layer in unit.modules() if _is_layer(layer)} | set(units)
    handles = [layer.register_forward_hook(round_output) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def round_all(tensors: Sequence[Tensor], bits: int, generator: torch.Generator | None) -> None:
    """Writes numbers of so many bits into tensors."""
    for tensor in tensors:
        if tensor.is_floating_point():
            tensor.copy_(on_grid(tensor, bits, generator))


def _is_layer(module: nn.Module) -> bool:
    return next(module.children(), None) is None and not isinstance(module, KEEPS_GRID)
