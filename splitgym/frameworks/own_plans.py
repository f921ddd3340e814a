"""Side by side with m = 0: with plans of each client's own, on a path of servers, in micro-batches.

As in PSL the servers learn from all rows, those of a client weighted by the client's weight. All micro-batches go
forward before the first goes back (GPipe, arXiv:1811.06965); gradients are added up over them, and everybody steps
once. Without batch norm the weights are those of whole mini-batches, but for rounding; batch norm normalises each
micro-batch by itself, and running statistics move with each.
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.groups import Group, groups_of
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import ClientPass, begin, run_clients
from splitgym.frameworks.path_pass import PathPass
from splitgym.frameworks.round_batch import RoundBatch


class _Forward(NamedTuple):
    """A micro-batch behind its forward pass; lists are by group."""

    clients: list[ClientPass]
    crossings: list[Crossing]
    servers: PathPass


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round with m = 0; compare `splitgym.frameworks.parallel_round.train_with`.

    Returns:
        False if a loss or a gradient at a cut is not finite; then all weights and running statistics are as before.
    """
    groups, parts = groups_of(nodes, round_batch), nodes.training.micro_batches
    statistics = begin([*(node for group in groups for node in group.nodes(nodes.clients, round_batch)), nodes.server])
    round_batch.losses.zero_()
    forward = [_forward(nodes, [group.micro_batch(k, parts) for group in groups], round_batch) for k in range(parts)]
    found = [each.servers.backward() for each in forward]
    own = [
        [each.at_cuts[place] / group.weights(round_batch, each.at_cuts[place]) for each in found]
        for place, group in enumerate(groups)
    ]
    sums = torch.stack([gradient.sum() for of_group in own for gradient in of_group])
    if not (torch.isfinite(round_batch.losses).all() and torch.isfinite(sums).all()):
        statistics.restore()
        return False
    for place, (group, of_group) in enumerate(zip(groups, own, strict=True)):
        of_clients = [
            each.clients[place].backward(each.crossings[place].back(gradient))
            for each, gradient in zip(forward, of_group, strict=True)
        ]
        for client, *gradients in zip(group.nodes(nodes.clients, round_batch), *of_clients, strict=True):
            client.step(_added(gradients))
    nodes.step_servers(_added([each.of_servers for each in found]))
    return True


def _forward(nodes: Nodes, groups: Sequence[Group], round_batch: RoundBatch) -> _Forward:
    """Forward through the clients, over the radio, and through the servers."""
    clients = [run_clients(group.nodes(nodes.clients, round_batch), group.images(round_batch)) for group in groups]
    crossings = [Crossing(round_batch, each.smashed, k.members) for each, k in zip(clients, groups, strict=True)]
    at_cuts = [crossing.received.detach().requires_grad_() for crossing in crossings]
    return _Forward(clients, crossings, PathPass(nodes, groups, at_cuts, round_batch))


def _added(gradients: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """Gradients of several micro-batches, added up by weight; None: none of them reaches it."""
    by_weight = [[each for each in parts if each is not None] for parts in zip(*gradients, strict=True)]
    return [reduce(torch.add, parts) if parts else None for parts in by_weight]
