"""Units that change their server: packed to bytes by who trained them, unpacked by who trains them from now on."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitgym.frameworks.node import Node
from splitgym.frameworks.snapshots import state_of
from splitgym.models import optimizer_copies

_REMEMBERED = {"sgd": ("momentum_buffer",), "adam": ("exp_avg", "exp_avg_sq")}
"""What torch's optimisers remember of each number of a weight, by the names that they give it."""


class Parcel(NamedTuple):
    """A unit on its way."""

    payload: Tensor
    """[bytes] uint8: weights, running statistics, and what the optimiser remembers of each weight, number by number."""
    counters: list[Tensor]
    """One for each tensor: batches that batch norm has seen, and Adam's steps. They go with the order to move the unit,
    and are not counted, as batches are not in models that clients send."""


def hand_over(unit: nn.Module, giver: Node, taker: Node) -> int:
    """Moves a unit from one server to another, which trains on as the first one would, to the bit.

    Args:
        unit: Which both hold; on its way only the parcel has its numbers.
        giver: Trained it, and forgets it.
        taker: Its optimiser remembers from now on what that of the giver did.

    Returns:
        Bytes of the payload: those of weights and running statistics, and of 0 (SGD), 1 (SGD with momentum) or 2 (Adam)
        copies of the weights.
    """
    parcel = pack(unit, giver)
    numbers, counters = _tensors(unit, giver)
    for tensor in numbers:
        tensor.fill_(torch.nan)
    for counter in counters:
        counter.zero_()
    for parameter in unit.parameters():
        giver.optimizer.state.pop(parameter, None)
    unpack(parcel, unit, taker)
    return len(parcel.payload)


def pack(unit: nn.Module, node: Node) -> Parcel:
    """A unit as a node trains it."""
    numbers, counters = _tensors(unit, node)
    # A unit without weights has no bytes.
    parts = [torch.empty(0, dtype=torch.uint8), *(x.contiguous().flatten().view(torch.uint8).cpu() for x in numbers)]
    return Parcel(torch.cat(parts), [counter.clone() for counter in counters])


def unpack(parcel: Parcel, unit: nn.Module, node: Node) -> None:
    """Writes what is in a parcel into a unit, and into what a node's optimiser remembers of it."""
    numbers, counters = _tensors(unit, node)
    parts = parcel.payload.split([tensor.nbytes for tensor in numbers])
    for tensor, part in zip(numbers, parts, strict=True):
        tensor.copy_(part.view(tensor.dtype).view(tensor.shape))
    for counter, value in zip(counters, parcel.counters, strict=True):
        counter.copy_(value)


def _tensors(unit: nn.Module, node: Node) -> tuple[list[Tensor], list[Tensor]]:
    """Numbers and counters of a unit and of what a node's optimiser remembers of it; of a weight never seen: zeros."""
    state = state_of([unit])
    numbers = [tensor for tensor in state if tensor.is_floating_point()]
    counters = [tensor for tensor in state if not tensor.is_floating_point()]
    names = _REMEMBERED[node.training.optimizer][: optimizer_copies(node.training)]
    for parameter in unit.parameters() if names else ():
        memory = node.optimizer.state[parameter]
        numbers += [memory.setdefault(name, torch.zeros_like(parameter)) for name in names]
        if node.training.optimizer == "adam":
            counters.append(memory.setdefault("step", torch.zeros((), device=parameter.device)))
    return numbers, counters
