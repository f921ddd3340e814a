"""The codec of clients that leave channels out: another codec, for the channels that they have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from splitgym.frameworks.codecs.codec import Codec, Context, Costs
from splitgym.frameworks.narrow import filled
from splitgym.scenario.levels import kept


@dataclass(frozen=True)
class FirstChannels(Codec):
    """The first channels alone are sent, both ways; the other side knows that the others are zero."""

    inner: Codec
    width: float

    @property
    def name(self) -> str:
        """See `Codec.name`."""
        return f"{self.inner.name}, {100 * self.width:g} % of the channels"

    @property
    def shares_gradients(self) -> bool:
        """See `Codec.shares_gradients`."""
        return self.inner.shares_gradients

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """Those of the other codec."""
        return self.inner.costs(rows, self._narrow(features))

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """See `Codec.pack`."""
        return self.inner.pack(self._first(x), generator)

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor | None]:
        """See `Codec.unpack`."""
        values, positions = self.inner.unpack(payload, self._shape(shape))
        return filled(values, shape[1]), positions

    def pack_gradient(self, gradient: Tensor, context: Context, generator: torch.Generator | None) -> Tensor:
        """See `Codec.pack_gradient`."""
        return self.inner.pack_gradient(self._first(gradient), self._context(context), generator)

    def unpack_gradient(self, payload: Tensor, context: Context) -> Tensor:
        """See `Codec.unpack_gradient`."""
        return filled(self.inner.unpack_gradient(payload, self._context(context)), context.shape[1])

    def _first(self, x: Tensor) -> Tensor:
        return x[:, : kept(x.shape[1], self.width)].contiguous()

    def _narrow(self, features: Sequence[int]) -> tuple[int, ...]:
        return (kept(features[0], self.width), *features[1:])

    def _shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size((shape[0], *self._narrow(shape[1:])))

    def _context(self, context: Context) -> Context:
        return replace(context, shape=self._shape(context.shape))
