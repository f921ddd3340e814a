"""Models on their way: weights and running statistics of some units as one row of numbers."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from splitgym.execution.frames import raw
from splitgym.frameworks.nodes import model_state


def numbers(units: Sequence[nn.Module]) -> int:
    """How many numbers are sent of them."""
    return sum(tensor.numel() for tensor in model_state(units))


def pack_model(units: Sequence[nn.Module]) -> Tensor:
    """[n] float32."""
    return torch.cat([torch.empty(0), *(tensor.flatten() for tensor in model_state(units))])


def unpack_model(values: Tensor, units: Sequence[nn.Module]) -> None:
    """Writes what `pack_model` made into units of the same kind."""
    targets = model_state(units)
    parts = values.split([target.numel() for target in targets])
    for target, part in zip(targets, parts, strict=True):
        target.copy_(part.view(target.shape))


def digest(units: Sequence[nn.Module]) -> bytes:
    """SHA-256 of what is sent of them."""
    return hashlib.sha256(raw(pack_model(units))).digest()
