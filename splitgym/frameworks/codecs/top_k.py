"""Codecs that send k features of each row and where they are: the largest, or mostly the largest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor

from splitgym.frameworks.codecs.codec import Codec, Context, Costs
from splitgym.frameworks.codecs.packing import from_bytes, pack, packed_bytes, to_bytes, unpack
from splitgym.inputs import InputError
from splitgym.scenario import ScenarioError


@dataclass(frozen=True)
class TopK(Codec):
    """The k features of largest magnitude in each row of d; the server takes the others for zero.

    k is the whole number nearest to fraction d, at least 1. The gradient goes down at the positions that were sent,
    which both sides know, so without them; at the others it is zero. As positions differ from client to client, there
    is no payload of gradients for all clients: `shares_gradients` is False.

    Payload of smashed data: the values, float32, row by row; then their positions, ascending within a row, of
    ceil(log2 d) bits each, lowest bits first. Payload of gradients: the values alone.
    """

    fraction: float = 0.1
    """Of the features that are sent, in (0, 1]."""
    shares_gradients = False
    family: ClassVar[str] = "top-k"

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction <= 1.0:
            raise ScenarioError(f"codec {self.family}: fraction = {self.fraction!r}, allowed: above 0, at most 1")

    @property
    def name(self) -> str:
        """See `Codec.name`."""
        return f"{self.family}:{self.fraction!r}"

    def with_parameter(self, parameter: str) -> "TopK":
        """The same codec with another fraction."""
        try:
            fraction = float(parameter)
        except ValueError:
            raise ScenarioError(f"codec {self.family}: fraction = {parameter!r}, allowed: above 0, at most 1") from None
        return replace(self, fraction=fraction)

    def kept(self, features: int) -> int:
        """How many of d features are sent."""
        return max(1, round(self.fraction * features))

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """FLOPs at a row: d magnitudes, about 3 d comparisons to select the k-th (Hoare's FIND), and d with that one.

        Packing and unpacking of a value or a position is one, too.
        """
        d = prod(features)
        k = self.kept(d)
        values = rows * k
        return Costs(
            uplink_bits=32 * values + 8 * packed_bytes(values, _width(d)),
            downlink_bits=32 * values,
            encode_flops=rows * self._selection_flops(d) + 2 * values,
            decode_flops=2 * values,
            encode_gradient_flops=values,
            decode_gradient_flops=values,
        )

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """See `Codec.pack`."""
        rows = x.flatten(1)
        positions = self._positions(rows.abs(), generator).sort(1).values
        indices = pack(positions.flatten(), _width(rows.shape[1]))
        return torch.cat([to_bytes(rows.gather(1, positions)), indices]), positions

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """See `Codec.unpack`."""
        d = prod(shape[1:])
        k = self.kept(d)
        values, indices = payload.tensor_split((4 * shape[0] * k,))
        positions = unpack(indices, _width(d), shape[0] * k).to(torch.int64).view(-1, k)
        return _spread(values, positions, shape), positions

    def pack_gradient(self, gradient: Tensor, context: Context, generator: torch.Generator | None) -> Tensor:
        """See `Codec.pack_gradient`."""
        return to_bytes(gradient.flatten(1).gather(1, self._sent(context)))

    def unpack_gradient(self, payload: Tensor, context: Context) -> Tensor:
        """See `Codec.unpack_gradient`."""
        return _spread(payload, self._sent(context), context.shape)

    def _positions(self, magnitudes: Tensor, generator: torch.Generator | None) -> Tensor:
        """[b, k] which of [b, d] features are sent."""
        return magnitudes.topk(self.kept(magnitudes.shape[1]), sorted=False).indices

    def _selection_flops(self, d: int) -> int:
        """Of one row."""
        return 5 * d

    def _sent(self, context: Context) -> Tensor:
        if context.positions is None:
            raise InputError(f"codec {self.name}: positions = None, allowed: those of a client's smashed data")
        return context.positions


@dataclass(frozen=True)
class RandomTopK(TopK):
    """k distinct features of each row, drawn one after the other: mostly of the k largest, sometimes another.

    Each draw takes one of the k largest with probability (1 - alpha) / k, one of the others with alpha / (d - k), of
    those that are left and relative to their sum. So some of the smaller features learn, too (Zheng et al., Reducing
    Communication for Split Learning by Randomized Top-k Sparsification, IJCAI 2023). Without a generator, as `TopK`.
    """

    alpha: float = 0.1
    family: ClassVar[str] = "random-top-k"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.alpha < 1.0:
            raise ScenarioError(f"codec {self.family}: alpha = {self.alpha!r}, allowed: above 0, below 1")

    def _positions(self, magnitudes: Tensor, generator: torch.Generator | None) -> Tensor:
        largest = super()._positions(magnitudes, generator)
        d, k = magnitudes.shape[1], largest.shape[1]
        if generator is None or k == d:
            return largest
        # Successive draws are a race: exponential times at rates of these probabilities, the first k to arrive.
        uniform = torch.rand(magnitudes.shape, generator=generator, device=generator.device).to(magnitudes.device)
        mean_time = torch.full_like(magnitudes, (d - k) / self.alpha).scatter_(1, largest, k / (1.0 - self.alpha))
        # What is not finite is always sent, or nobody behind the codec would notice it.
        mean_time.masked_fill_(~magnitudes.isfinite(), 0.0)
        return (-torch.log1p(-uniform) * mean_time).topk(k, largest=False, sorted=False).indices

    def _selection_flops(self, d: int) -> int:
        """That of `TopK`; random number, logarithm and product; another selection."""
        return super()._selection_flops(d) + 3 * d + 4 * d


def _width(features: int) -> int:
    """Bits of a position: ceil(log2 d)."""
    return (features - 1).bit_length()


def _spread(values: Tensor, positions: Tensor, shape: torch.Size) -> Tensor:
    """[b, *features] with values (bytes of float32) at [b, k] positions, and zeros."""
    rows = torch.zeros(shape, device=values.device).flatten(1)
    return rows.scatter_(1, positions, from_bytes(values, torch.float32).view(positions.shape)).view(shape)


TOP_K, RANDOM_TOP_K = TopK(), RandomTopK()
