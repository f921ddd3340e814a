"""The codec of clients with low precision: numbers of k bits, as they compute with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitgym.frameworks.codecs.codec import Codec, Costs, codec
from splitgym.frameworks.codecs.floats import NONE
from splitgym.frameworks.codecs.narrow import FirstChannels
from splitgym.frameworks.codecs.packing import from_bytes, pack, packed_bytes, to_bytes, unpack
from splitgym.frameworks.fixed_point import levels_of, step, top
from splitgym.scenario.levels import Level
from splitgym.scenario.quantities import FULL_BITS


@dataclass(frozen=True)
class FixedPoint(Codec):
    """k bits for each number, and one power of two for the mini-batch, see `splitgym.frameworks.fixed_point`.

    Numbers that have k bits already are sent as they are. A mini-batch with a number that is not finite is decoded as
    NaN.

    Payload: the power of two, float32; the multiples plus 2^(k-1) - 1 in row-major order, lowest bits first.
    """

    bits: int

    @property
    def name(self) -> str:
        """See `Codec.name`."""
        return f"fixed-{self.bits}"

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """A FLOP to pack a number and one to unpack it; the server rounds gradients, 5 more for each."""
        numbers = rows * prod(features)
        bits = 8 * (packed_bytes(numbers, self.bits) + 4 * np.sign(rows))
        return Costs(bits, bits, numbers, numbers, 6 * numbers, numbers)

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, None]:
        """See `Codec.pack`."""
        scale = step(x, self.bits)
        levels = levels_of(x, scale, self.bits, generator).nan_to_num(0.0) + top(self.bits)
        return torch.cat([to_bytes(scale), pack(levels.to(torch.int64).flatten(), self.bits)]), None

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, None]:
        """See `Codec.unpack`."""
        scale = from_bytes(payload[:4], torch.float32)
        levels = unpack(payload[4:], self.bits, prod(shape)).to(torch.float32) - top(self.bits)
        return (levels * scale).view(shape), None


def codecs_at(asked: str | Codec, levels: Sequence[Level]) -> list[Codec]:
    """The codec of clients that compute with so many bits in so many of the channels, for each of these levels.

    Without a codec, what they computed goes in as many bits as it has; another codec takes it as it is. Channels that
    they leave out are not sent.

    Args:
        asked: See `codec`.
        levels: Of `plan.precisions`.
    """
    found, codecs = codec(asked), list[Codec]()
    for bits, width in levels:
        inner = FixedPoint(bits) if found is NONE and bits < FULL_BITS else found
        codecs.append(inner if width == 1.0 else FirstChannels(inner, width))
    return codecs
