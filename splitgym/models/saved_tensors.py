"""Counts what training a unit needs of memory: weights, and what autograd saves in its forward pass."""

import copy
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.arrays import Ints
from splitgym.models.memory import Memory
from splitgym.models.network import CuttableNetwork

_ROWS = 2
"""Of the smaller batch: a single row has no statistics where batch norm sees one value of each channel."""

_Storages = dict[int, int]
"""Bytes of storages, by their addresses."""


def memory_of(model: CuttableNetwork, input_shape: tuple[int, int, int]) -> Memory:
    """Measures what each unit saves, with batches of two sizes; the model and every random generator stay as they are.

    Images and weights are channels last, as in training (`splitgym.learning.Learner`).

    Args:
        model: The network.
        input_shape: (channels, height, width) of one image.

    Returns:
        Bytes of the L units, arrays of shape [L].
    """
    shadow = copy.deepcopy(model).to("cpu").train().requires_grad_(True)
    # The format of training: flattened maps are then a copy.
    shadow = shadow.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = (torch.zeros(rows, *input_shape) for rows in (_ROWS, _ROWS + 1))
    with torch.enable_grad(), torch.random.fork_rng(devices=()):
        few, more = (_count(shadow, x.contiguous(memory_format=torch.channels_last)) for x in images)
    per_row = more - few
    inputs, saved, shared, recomputed = per_row
    return Memory(
        parameter_bytes=np.array([_bytes(unit.parameters()) for unit in shadow.units]),
        buffer_bytes=np.array([_bytes(unit.buffers()) for unit in shadow.units]),
        input_bytes=inputs,
        saved_bytes=saved,
        shared_bytes=shared,
        recomputed_bytes=recomputed,
        batch_bytes=(few - _ROWS * per_row)[1],
    )


def _count(network: CuttableNetwork, images: Tensor) -> Ints:
    """Bytes of a batch of `Memory`'s input, saved, shared and recomputed tensors, [4, L]."""
    inputs, saved = _forward(network, images)
    counts = []
    for k, (at_unit, of_unit) in enumerate(zip(inputs, saved, strict=True)):
        before, until, behind = _union(saved[:k]), _union(saved[: k + 1]), _union(saved[k + 1 :])
        shared = [until[address] for address in until.keys() & behind.keys()]
        beside_input = [of_unit[address] for address in of_unit.keys() - at_unit.keys()]
        counts.append(
            (sum(at_unit.values()), sum(until.values()) - sum(before.values()), sum(shared), sum(beside_input))
        )
    return np.array(counts, dtype=np.int64).T


def _forward(network: CuttableNetwork, images: Tensor) -> tuple[list[_Storages], list[_Storages]]:
    """Runs units and loss: of each unit the storage of its input, and those that autograd saves."""
    own = _storages(*network.parameters(), *network.buffers())
    # All tensors stay, so that no two of them have had the same address.
    there, inputs, saved = list[Tensor](), list[_Storages](), list[_Storages]()

    def keep(tensor: Tensor) -> Tensor:
        there.append(tensor)
        saved[-1].update((address, size) for address, size in _storages(tensor).items() if address not in own)
        return tensor

    x = images
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        for unit in network.units:
            there.append(x)
            inputs.append(_storages(x))
            saved.append({})
            x = unit(x)
        logits = x.flatten(0, -2)
        F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
    return inputs, saved


def _storages(*tensors: Tensor) -> _Storages:
    storages = [tensor.untyped_storage() for tensor in tensors]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def _union(saved: Iterable[_Storages]) -> _Storages:
    return {address: size for storages in saved for address, size in storages.items()}


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
