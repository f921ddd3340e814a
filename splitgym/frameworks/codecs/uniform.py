"""The codec of uniform quantisation: 8, 4 or 2 bits for each number, rounded at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitgym.frameworks.codecs.codec import Codec, Costs
from splitgym.frameworks.codecs.packing import from_bytes, pack, packed_bytes, to_bytes, unpack
from splitgym.frameworks.fixed_point import rounded


@dataclass(frozen=True)
class Uniform(Codec):
    """Numbers become levels 0..2^bits - 1 of a scale: number = step (level - zero).

    Numbers with the same scale are a channel over the whole mini-batch (the first of several feature axes), and where
    features have one axis only, a row: scales of single features would need more bits than their few numbers, and
    gradients differ in size above all between rows. A scale reaches from the lowest to the highest number, and zero is
    one of its levels: what ReLU and pooling leave at zero stays exactly there. Between two levels a number is rounded
    up with a probability that makes it right on average; without a generator, to the nearest. Gradients get scales of
    their own.

    A step below 1e-38 is 0. Where the step would be above 2^-bits of the largest float32, numbers near that are cut
    off there. A scale with a number that is not finite is decoded as NaN.

    Payload: the steps, float32; the zeros, one byte each; the levels in row-major order of the mini-batch, lowest bits
    first.
    """

    bits: int

    @property
    def name(self) -> str:
        """See `Codec.name`."""
        return f"uniform-{self.bits}"

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """See `Codec.costs`.

        9 FLOPs to encode a number: two comparisons for the range, division, random number, rounding down, comparison,
        two additions, packing; 3 to decode it: unpacking, subtraction, multiplication.
        """
        numbers = rows * prod(features)
        scales = np.sign(rows) * features[0] if len(features) > 1 else rows
        bits = 8 * (packed_bytes(numbers, self.bits) + 5 * scales)
        return Costs(bits, bits, 9 * numbers, 3 * numbers, 9 * numbers, 3 * numbers)

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, None]:
        """See `Codec.pack`."""
        x = x.view(_by_scale(x.shape))
        step, zero = self._scales(x.amin((0, 2)).clamp(max=0.0), x.amax((0, 2)).clamp(min=0.0))
        multiples = rounded(x / torch.where(step == 0.0, 1.0, step).view(1, -1, 1), generator)
        levels = (multiples + zero.view(1, -1, 1)).nan_to_num(0.0).clamp(0, 2**self.bits - 1).to(torch.uint8)
        return torch.cat([to_bytes(step), zero.to(torch.uint8), pack(levels.flatten(), self.bits)]), None

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, None]:
        """See `Codec.unpack`."""
        grouped = _by_scale(shape)
        steps, zeros, levels = payload.tensor_split((4 * grouped[1], 5 * grouped[1]))
        step = from_bytes(steps, torch.float32).view(1, -1, 1)
        zero = zeros.to(torch.float32).view(1, -1, 1)
        level = unpack(levels, self.bits, prod(shape)).to(torch.float32).view(grouped)
        return (step * (level - zero)).view(shape), None

    def _scales(self, lowest: Tensor, highest: Tensor) -> tuple[Tensor, Tensor]:
        """[scales] steps and levels of zero, from the lowest number, at most 0, and the highest, at least 0.

        Of the two levels next to where zero lies in the range, the one with the smaller step; numbers on both sides of
        zero need a level on both.
        """
        last = 2**self.bits - 1
        first_zero, last_zero = (lowest < 0).float(), last - (highest > 0).float()
        # A quotient of infinity, or of 0 by 0, means that nothing lies below zero.
        fraction_below = (1.0 / (1.0 + highest / -lowest)).nan_to_num(0.0)
        below = (last * fraction_below).floor()
        candidates = torch.stack([below, below + 1]).maximum(first_zero).minimum(last_zero)
        steps = torch.maximum(highest / (last - candidates).clamp(min=1), -lowest / candidates.clamp(min=1))
        step, chosen = steps.min(0)
        float32 = torch.finfo(torch.float32)
        step = torch.where(step < float32.tiny, 0.0, step.clamp(max=float32.max / 2**self.bits))
        finite = lowest.isfinite() & highest.isfinite()
        return torch.where(finite, step, torch.nan), candidates.gather(0, chosen[None])[0]


def _by_scale(shape: Sequence[int]) -> tuple[int, int, int]:
    """Shape in which numbers with the same scale have the same index on the middle axis."""
    return (shape[0], shape[1], prod(shape[2:])) if len(shape) > 2 else (1, shape[0], shape[1])


UNIFORM_8, UNIFORM_4, UNIFORM_2 = Uniform(8), Uniform(4), Uniform(2)
