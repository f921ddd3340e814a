"""Counts the bytes that autograd holds: it gets a box around each saved tensor, and a box that is gone is not held."""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Held:
    """Bytes of the storages that autograd holds, without some tensors: now, and the most so far."""

    def __init__(self, besides: Iterable[Tensor]) -> None:
        self._besides = {tensor.untyped_storage().data_ptr() for tensor in besides}
        self._boxes: Counter[tuple[int, int]] = Counter()
        self.most = 0

    @property
    def now(self) -> int:
        return sum(size for _, size in +self._boxes)

    def box(self, tensor: Tensor) -> "Box":
        box, storage = Box(tensor), tensor.untyped_storage()
        if storage.data_ptr() not in self._besides:
            key = (storage.data_ptr(), storage.nbytes())
            self._boxes[key] += 1
            weakref.finalize(box, self._boxes.subtract, [key])
        self.most = max(self.most, self.now)
        return box


class Box:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextmanager
def holding(besides: Iterable[Tensor]) -> Iterator[Held]:
    """Counts what the passes within hold."""
    held = Held(besides)
    with torch.autograd.graph.saved_tensors_hooks(held.box, lambda box: box.tensor):
        yield held


def weights_and_buffers(units: Iterable[nn.Module]) -> list[Tensor]:
    return [tensor for unit in units for tensor in (*unit.parameters(), *unit.buffers())]
