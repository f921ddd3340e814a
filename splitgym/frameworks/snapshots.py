"""Tensors as they were: to put them back, to average what several nodes make of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from splitgym.frameworks.mean_of_adapters import MeanOfAdapters
from splitgym.models.frozen import Frozen


def state_of(units: Sequence[nn.Module]) -> list[Tensor]:
    """Weights and running statistics of some units, detached: writing to them changes the units.

    What is frozen is not among them: it is the same everywhere, and nobody sends or averages it.
    """
    tensors = (t for unit in units for t in (*unit.parameters(), *buffers_of([unit])))
    return [tensor.detach() for tensor in tensors]


def buffers_of(units: Sequence[nn.Module]) -> list[Tensor]:
    """What a forward pass moves in place: running statistics of batch norm."""
    layers = (layer for unit in units for layer in unit.modules() if not isinstance(layer, Frozen))
    return [buffer for layer in layers for buffer in layer.buffers(recurse=False)]


class Snapshot:
    """Tensors and their values of now."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.tensors = list(tensors)
        self._saved = [tensor.clone() for tensor in self.tensors]

    def restore(self) -> None:
        """Puts the values back."""
        write(self._saved, self.tensors)


class WeightedMean:
    """What several nodes make of the same tensors, one after the other, averaged.

    Each node begins with the values that the tensors had when this was made: `begin`, change them, `add`; `finish`
    writes the mean. Counters of batches, which are whole numbers, end as the last node left them.

    Args:
        tensors: To be averaged.
        units: That have these tensors, and whose adapters are averaged as products.
    """

    def __init__(self, tensors: Iterable[Tensor], units: Sequence[nn.Module] = ()) -> None:
        self._start, self._adapters = Snapshot(tensors), MeanOfAdapters(units)
        self._sums = [torch.zeros_like(tensor) for tensor in self._start.tensors]

    def begin(self) -> None:
        """Puts the values back with which every node begins."""
        self._start.restore()

    def add(self, weight: Tensor | float) -> None:
        """Counts the present values with a weight; weights are to sum to 1."""
        _add_weighted(self._sums, self._start.tensors, weight)
        self._adapters.add(weight)

    def finish(self) -> None:
        """Writes the mean."""
        write(self._sums, self._start.tensors)
        self._adapters.finish()


def write_mean(sources: Iterable[Sequence[Tensor]], weights: Iterable[Tensor], targets: Sequence[Tensor]) -> None:
    """Writes what `WeightedMean` does, without adapters, of several nodes with tensors of their own."""
    sums = [torch.zeros_like(target) for target in targets]
    for tensors, weight in zip(sources, weights, strict=True):
        _add_weighted(sums, tensors, weight)
    write(sums, targets)


class MixedMean:
    """A unit that some nodes begin as it was and average, and that is handed on between the others.

    Each node: `begin`, change them, `add`. `finish` writes the mean of what the first made of them and of what the
    last of the others left, which counts for all of these.
    """

    def __init__(self, unit: nn.Module) -> None:
        self._tensors, self._adapters = state_of([unit]), MeanOfAdapters([unit])
        self._start = [tensor.clone() for tensor in self._tensors]
        self._handed_on = self._start
        self._sums = [torch.zeros_like(tensor) for tensor in self._tensors]
        self._served: Tensor | float = 0.0

    def begin(self, averaged: bool) -> None:
        """Puts the values there with which the next node begins."""
        write(self._start if averaged else self._handed_on, self._tensors)

    def add(self, weight: Tensor | float, averaged: bool) -> None:
        """Counts the present values with a weight; weights are to sum to 1."""
        if averaged:
            _add_weighted(self._sums, self._tensors, weight)
            self._adapters.add(weight)
        else:
            self._handed_on = [tensor.clone() for tensor in self._tensors]
            self._served = self._served + weight

    def finish(self) -> None:
        """Writes the mean."""
        _add_weighted(self._sums, self._handed_on, self._served)
        write(self._handed_on, self._tensors)
        self._adapters.add(self._served)
        write(self._sums, self._tensors)
        self._adapters.finish()


class MeanStatistics:
    """Running statistics that several passes move, each from the same start, averaged.

    Each pass works on copies of its own, because its back-propagation needs them as its forward left them.
    """

    def __init__(self, units: Sequence[nn.Module]) -> None:
        self._places = [(m, name) for unit in units for m in unit.modules() for name in m._buffers]
        self._tensors = [module.get_buffer(name) for module, name in self._places]
        self._sums = [torch.zeros_like(tensor) for tensor in self._tensors]

    @contextmanager
    def of_one(self, weight: Tensor | float) -> Iterator[None]:
        """A pass whose statistics count with a weight; weights are to sum to 1."""
        copies = [tensor.clone() for tensor in self._tensors]
        self._place(copies)
        try:
            yield
        finally:
            self._place(self._tensors)
        _add_weighted(self._sums, copies, weight)

    def finish(self) -> None:
        """Writes the mean; counters of batches are those of the last pass."""
        write(self._sums, self._tensors)

    def _place(self, tensors: Sequence[Tensor]) -> None:
        for (module, name), tensor in zip(self._places, tensors, strict=True):
            module._buffers[name] = tensor


def _add_weighted(sums: Sequence[Tensor], tensors: Sequence[Tensor], weight: Tensor | float) -> None:
    """Adds tensors to sums with a weight; of whole numbers the last ones count."""
    for total, tensor in zip(sums, tensors, strict=True):
        if tensor.is_floating_point():
            total.add_(tensor * weight)
        else:
            total.copy_(tensor)


def write(values: Sequence[Tensor], tensors: Sequence[Tensor]) -> None:
    """Puts values into tensors."""
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
