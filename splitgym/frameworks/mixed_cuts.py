"""Parallel split learning with a cut layer of each client's own.

The server runs its units in order, and a client's rows join at the unit behind the client's cut. As in PSL the server
learns from all rows, weighted by the clients' data, and a unit from those that reach it.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import loss_gradients, per_client, run_rows
from splitgym.frameworks.snapshots import Snapshot, buffers_of


class Group(NamedTuple):
    """Clients with the same cut layer."""

    cut_layer: int
    members: list[int]
    """Positions among the participants."""


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round with m = 0; compare `splitgym.frameworks.parallel_round.train_with`.

    Returns:
        False if a loss or a gradient at a cut is not finite; then all weights and running statistics are as before.
    """
    groups = _groups(nodes, round_batch.participants)
    order = [k for group in groups for k in group.members]
    clients = [[nodes.clients[round_batch.participants[k]] for k in group.members] for group in groups]
    everybody = [*(client for group in clients for client in group), nodes.server]
    for node in everybody:
        node.set_mode(True)
        node.begin()
    statistics = Snapshot(buffers_of([unit for node in everybody for unit in node.units]))
    forward = [run_clients(group, round_batch.images[k.members]) for group, k in zip(clients, groups, strict=True)]
    crossings = [Crossing(round_batch, each.smashed, k.members) for each, k in zip(forward, groups, strict=True)]
    at_cuts = [crossing.received.detach().requires_grad_() for crossing in crossings]
    weights, labels = round_batch.weights[order], round_batch.labels[order]
    logits = _behind_the_cuts(nodes, groups, at_cuts, round_batch.weights)
    n, b = labels.shape
    rows = F.cross_entropy(logits.detach().flatten(0, 1), labels.flatten(), reduction="none").view(n, b)
    round_batch.losses[order] = rows.mean(1)
    z = loss_gradients(logits.detach(), labels) * weights.view(n, 1, 1) / b
    # Units in front of the shallowest cut of those that take part learn nothing.
    gradients = torch.autograd.grad(logits, [*at_cuts, *nodes.server.parameters], z, allow_unused=True)
    own = [
        gradient / per_client(round_batch.weights[group.members], gradient)
        for gradient, group in zip(gradients, groups, strict=False)
    ]
    if not (torch.isfinite(round_batch.losses).all() and torch.isfinite(torch.stack([g.sum() for g in own])).all()):
        statistics.restore()
        return False
    for group, each, crossing, gradient in zip(clients, forward, crossings, own, strict=True):
        for client, of_client in zip(group, each.backward(crossing.back(gradient)), strict=True):
            client.step(of_client)
    nodes.server.step(gradients[len(groups) :])
    return True


def _groups(nodes: Nodes, participants: Sequence[int]) -> list[Group]:
    """Participants by cut layer, the shallowest first."""
    cuts = nodes.cut_layers[list(participants)]
    return [Group(int(cut), np.flatnonzero(cuts == cut).tolist()) for cut in np.unique(cuts)]


def _behind_the_cuts(nodes: Nodes, groups: Sequence[Group], at_cuts: Sequence[Tensor], weights: Tensor) -> Tensor:
    """[n, b, classes] logits of the rows of all groups, one group after the other."""
    server, present = nodes.server, list[int]()
    x: Tensor | None = None
    for (group, following), rows in zip(pairwise([*groups, None]), at_cuts, strict=True):
        assert group is not None
        present += group.members
        x = rows if x is None else torch.cat([x, rows])
        if following is None:
            units, run = server.units[group.cut_layer :], partial(server.logits, first=group.cut_layer)
        else:
            units = server.units[group.cut_layer : following.cut_layer]
            run = partial(server.forward, first=group.cut_layer, last=following.cut_layer)
        own = weights[present]
        x = run_rows(run, units, x, nodes.training, own / own.sum())
    assert x is not None
    return x
