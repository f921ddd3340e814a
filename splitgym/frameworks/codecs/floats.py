"""Codecs that send every number as a floating-point number: of 32 bits, or of 16."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitgym.frameworks.codecs.codec import Codec, Costs
from splitgym.frameworks.codecs.packing import from_bytes, to_bytes


@dataclass(frozen=True)
class Float32(Codec):
    """The identity: all numbers as float32, whatever precision computes with them.

    Payload: the numbers, 4 bytes each.
    """

    name = "none"

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """32 bits for each number, and no FLOPs."""
        bits = 32 * rows * prod(features)
        return Costs(bits, bits, *[0 * rows] * 4)

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, None]:
        """See `Codec.pack`."""
        return to_bytes(x), None

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, None]:
        """See `Codec.unpack`."""
        return from_bytes(payload, torch.float32).view(shape), None


@dataclass(frozen=True)
class BFloat16(Codec):
    """All numbers as bfloat16: the range of float32, 8 bits of precision; rounded to nearest.

    Payload: the numbers, 2 bytes each. A finite number that would be rounded to infinity becomes the largest bfloat16.
    """

    name = "bf16"

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """16 bits for each number, and a conversion."""
        numbers = rows * prod(features)
        return Costs(16 * numbers, 16 * numbers, *[numbers] * 4)

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, None]:
        """See `Codec.pack`."""
        return to_bytes(_rounded(x, torch.bfloat16)), None

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, None]:
        """See `Codec.unpack`."""
        return from_bytes(payload, torch.bfloat16).to(torch.float32).view(shape), None


@dataclass(frozen=True)
class Float16(Codec):
    """All numbers as float16 with one common power of two: 11 bits of precision; rounded to nearest.

    By themselves, numbers above 65504 overflow in float16, and gradients below 6e-8 become zero. So the mini-batch is
    divided by 2^e first, by which its largest magnitude comes to lie in [2^14, 2^15), near the top of the range of
    float16. Numbers that float16 has as normal numbers anyway are rounded to the same values as without. e is at least
    -126 and at most 112; with it, only numbers above 0.9995 of the largest float32 become a smaller one.

    Payload: e, one signed byte; the divided numbers, 2 bytes each.
    """

    name = "fp16"

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """16 bits for each number, and 8; FLOPs: comparison, division and conversion; conversion, multiplication."""
        numbers = rows * prod(features)
        bits = 16 * numbers + 8 * np.sign(rows)
        return Costs(bits, bits, 3 * numbers, 2 * numbers, 3 * numbers, 2 * numbers)

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, None]:
        """See `Codec.pack`."""
        largest = x.abs().nan_to_num(0.0, posinf=0.0).amax()
        exponent = (torch.frexp(largest).exponent - 15).clamp(-126, 112)
        halves = _rounded(x * _power_of_two(-exponent), torch.float16)
        return torch.cat([to_bytes(exponent.to(torch.int8)), to_bytes(halves)]), None

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, None]:
        """See `Codec.unpack`."""
        exponent = from_bytes(payload[:1], torch.int8).to(torch.int32)
        halves = from_bytes(payload[1:], torch.float16).to(torch.float32)
        return (halves * _power_of_two(exponent)).view(shape), None


def _power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent as float32, exactly; int32 exponents from -126 to 127."""
    return ((exponent + 127) << 23).view(torch.float32)


def _rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """To nearest in that type; finite numbers stay finite, others stay what they are."""
    largest = torch.finfo(dtype).max
    return torch.where(x.isfinite(), x.clamp(-largest, largest), x).to(dtype)


NONE, FP16, BF16 = Float32(), Float16(), BFloat16()
