"""Numbers as bytes: floats in little-endian order, whole numbers in as few bits as they need."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def to_bytes(values: Tensor) -> Tensor:
    """[bytes] uint8 of numbers of any type and shape, in row-major order."""
    return values.contiguous().flatten().view(torch.uint8)


def from_bytes(payload: Tensor, dtype: torch.dtype) -> Tensor:
    """[n] numbers of that type; the inverse of `to_bytes`."""
    # A copy begins where numbers of any size may begin.
    return payload.clone().view(dtype)


def pack(values: Tensor, width: int) -> Tensor:
    """[ceil(n width / 8)] uint8: [n] whole numbers 0..2^width - 1, one behind the other, lowest bits first."""
    if width == 0:
        return values.new_empty(0, dtype=torch.uint8)
    if 8 % width:
        values, width = ((values[:, None] >> _steps(width, values)) & 1).flatten(), 1
    in_a_byte = 8 // width
    values = F.pad(values.to(torch.uint8), (0, -len(values) % in_a_byte)).view(-1, in_a_byte)
    return (values << (width * _steps(in_a_byte, values))).sum(1, dtype=torch.uint8)


def unpack(payload: Tensor, width: int, count: int) -> Tensor:
    """[count] whole numbers that `pack` made bytes of: uint8 where the width divides 8, else int64."""
    if width == 0:
        return payload.new_zeros(count, dtype=torch.int64)
    if 8 % width:
        bits = unpack(payload, 1, width * count).view(count, width).to(torch.int64)
        return (bits << _steps(width, bits)).sum(1)
    values = (payload[:, None] >> (width * _steps(8 // width, payload))) & (2**width - 1)
    return values.flatten()[:count]


def packed_bytes(count: Any, width: int) -> Any:
    """Bytes into which so many numbers (an int or an array of many) are packed."""
    return -(-count * width // 8)


def _steps(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)
