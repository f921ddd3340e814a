"""Clients with fewer channels: the first ones of every layer of their units, really computed and trained by themselves.

A client keeps whole units and runs them on views of their first channels; what it leaves out stays as it is. What it
gives is filled up with zeros to the shape of all channels, so nothing behind it changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from splitgym.models.narrowing import narrowed
from splitgym.models.network import CuttableNetwork
from splitgym.models.profiling import features


@dataclass(frozen=True)
class Narrow:
    """How wide the units of a network are for a client that leaves channels out."""

    sizes: Sequence[Mapping[str, Sequence[int]]]
    """[L] sizes of a unit's weights and running statistics, by name."""
    channels: Sequence[int]
    """[L] of all that a unit gives."""

    @classmethod
    def of(cls, model: CuttableNetwork, input_shape: tuple[int, int, int], width: float) -> "Narrow":
        """For a network on the CPU; see `narrowed`."""
        units = narrowed(model, input_shape, width).units
        sizes = [{name: tensor.shape for name, tensor in unit.state_dict().items()} for unit in units]
        return cls(sizes, [shape[0] for shape in features(model, input_shape)])

    def run(self, units: Sequence[nn.Module], x: Tensor, first: int = 0) -> Tensor:
        """What units make of their inputs, [b, ...], filled up with zeros; the first unit is at that place."""
        for place, unit in enumerate(units, start=first):
            x = functional_call(unit, self._parts_of(unit, place), (x,))
        return filled(x, self.channels[first + len(units) - 1]) if units else x

    def parts(self, units: Sequence[nn.Module], optimizer: torch.optim.Optimizer) -> list[tuple[Tensor, Tensor]]:
        """Weights, running statistics and what an optimiser remembers of them: whole tensors, each with its part."""
        pairs = []
        for sizes, unit in zip(self.sizes, units, strict=False):
            for name, tensor in (*unit.named_parameters(), *unit.named_buffers()):
                remembered = optimizer.state[tensor].values() if tensor in optimizer.state else ()
                own = [tensor.detach(), *(each for each in remembered if isinstance(each, Tensor))]
                pairs += [(whole, first_of(whole, sizes[name])) for whole in own]
        return pairs

    @contextmanager
    def leaving_the_rest(self, units: Sequence[nn.Module], optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Within it the optimiser, which remembers something of all weights, may step: only parts change."""
        pairs = self.parts(units, optimizer)
        before = [whole.clone() for whole, _ in pairs]
        yield
        for (whole, part), old in zip(pairs, before, strict=True):
            new = part.clone()
            whole.copy_(old)
            part.copy_(new)

    def _parts_of(self, unit: nn.Module, place: int) -> dict[str, Tensor]:
        sizes = self.sizes[place]
        return {
            name: first_of(tensor, sizes[name])
            for name, tensor in (*unit.named_parameters(), *unit.named_buffers())
            if tensor.dim()
        }


def first_of(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    """A view of the first numbers along each axis."""
    return tensor[tuple(slice(size) for size in sizes)]


def filled(x: Tensor, channels: int) -> Tensor:
    """[b, channels, ...] of [b, fewer, ...]: zeros behind them."""
    return F.pad(x, (*[0, 0] * (x.dim() - 2), 0, channels - x.shape[1]))
