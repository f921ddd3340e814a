"""Side by side with plans of each client's own: rounds with several cut layers or batch sizes, in which m = 0.

The server runs its units in order, and a client's rows join at the unit behind the client's cut. As in PSL the server
learns from all rows, those of a client weighted by the client's weight, and a unit from those that reach it. Where a
client's weight is its share of the rows, that is the mean over all rows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import begin, run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import loss_gradients, per_client, run_parts


class Group(NamedTuple):
    """Clients with the same cut layer and batch size."""

    cut_layer: int
    rows: int
    """Of each of them."""
    members: list[int]
    """Positions among the participants."""

    def images(self, round_batch: RoundBatch) -> Tensor:
        """[n, b, ...]."""
        return round_batch.images[self.members][:, : self.rows]

    def labels(self, round_batch: RoundBatch) -> Tensor:
        """[n, b]."""
        return round_batch.labels[self.members][:, : self.rows]

    def weights(self, round_batch: RoundBatch, like: Tensor) -> Tensor:
        """[n, 1, ...] weights of the members that broadcast against [n, b, ...]."""
        return per_client(round_batch.weights[self.members], like)

    def nodes(self, of_clients: Sequence[Node], round_batch: RoundBatch) -> list[Node]:
        """[n] those of the members among nodes of all clients."""
        return [of_clients[round_batch.participants[k]] for k in self.members]


class PartGradients(NamedTuple):
    """What is behind the cuts answers to several groups; all as the server's loss has them, weighted by client."""

    at_cuts: Sequence[Tensor]
    """[n, b, ...] of each group."""
    of_server: Sequence[Tensor | None]
    """Of each weight that the server trains, and those behind it; None: no row reaches it."""


BehindTheCuts = Callable[[Nodes, Sequence[Group], Sequence[Tensor], RoundBatch], PartGradients]
"""From groups and what the server received of each, [n, b, ...] leaves of a graph, to the gradients."""


def groups_of(nodes: Nodes, round_batch: RoundBatch) -> list[Group]:
    """Participants by cut layer and batch size, the shallowest cut first."""
    members: dict[tuple[int, int], list[int]] = {}
    for place, client in enumerate(round_batch.participants):
        members.setdefault((int(nodes.cut_layers[client]), round_batch.rows_of(place)), []).append(place)
    return [Group(*key, members[key]) for key in sorted(members)]


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round of PSL; see `train_with`."""
    return train_with(server_parts, nodes, round_batch)


def train_with(behind_the_cuts: BehindTheCuts, nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round with m = 0; compare `splitgym.frameworks.parallel_round.train_with`.

    Returns:
        False if a loss or a gradient at a cut is not finite; then all weights and running statistics are as before.
    """
    groups = groups_of(nodes, round_batch)
    clients = [group.nodes(nodes.clients, round_batch) for group in groups]
    everybody = [*(client for group in clients for client in group), nodes.server]
    statistics = begin(everybody)
    forward = [run_clients(own, group.images(round_batch)) for own, group in zip(clients, groups, strict=True)]
    crossings = [Crossing(round_batch, each.smashed, k.members) for each, k in zip(forward, groups, strict=True)]
    at_cuts = [crossing.received.detach().requires_grad_() for crossing in crossings]
    found = behind_the_cuts(nodes, groups, at_cuts, round_batch)
    own = [
        weighted / group.weights(round_batch, weighted) for weighted, group in zip(found.at_cuts, groups, strict=True)
    ]
    if not (torch.isfinite(round_batch.losses).all() and torch.isfinite(torch.stack([g.sum() for g in own])).all()):
        statistics.restore()
        return False
    for group, each, crossing, gradient in zip(clients, forward, crossings, own, strict=True):
        for client, of_client in zip(group, each.backward(crossing.back(gradient)), strict=True):
            client.step(of_client)
    nodes.step_servers(found.of_server)
    return True


def server_parts(
    nodes: Nodes, groups: Sequence[Group], at_cuts: Sequence[Tensor], round_batch: RoundBatch
) -> PartGradients:
    """Forward and backward on the server; compare `splitgym.frameworks.server_pass.server_pass`.

    Args:
        nodes: Its server's running statistics move, its weights do not.
        groups: Of `groups_of`.
        at_cuts: [n, b, ...] activations at the cut of each group, leaves of a graph.
        round_batch: Labels and weights; losses are filled.
    """
    logits = _logits(nodes, groups, at_cuts, round_batch.weights)
    z = [fill_losses(of_group, group, round_batch) for of_group, group in zip(logits, groups, strict=True)]
    # Units in front of the shallowest cut of those that take part learn nothing.
    gradients = torch.autograd.grad(logits, [*at_cuts, *nodes.server.parameters], z, allow_unused=True)
    return PartGradients(gradients[: len(groups)], gradients[len(groups) :])


def fill_losses(logits: Tensor, group: Group, round_batch: RoundBatch) -> Tensor:
    """Fills in the members' losses; gradients of the server's loss with respect to their logits, [n, b, classes]."""
    labels = group.labels(round_batch)
    rows = F.cross_entropy(logits.detach().flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    round_batch.losses[group.members] = rows.sum(1) / group.rows
    z = loss_gradients(logits.detach(), labels)
    return z * group.weights(round_batch, z) / group.rows


def _logits(nodes: Nodes, groups: Sequence[Group], at_cuts: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """[n, b, classes] logits of the rows of each group."""
    server, present = nodes.server, list[int]()
    parts: list[Tensor] = []
    for (group, following), rows in zip(pairwise([*groups, None]), at_cuts, strict=True):
        assert group is not None
        present += group.members
        parts.append(rows)
        if following is None:
            units, run = server.units[group.cut_layer :], partial(server.logits, first=group.cut_layer)
        elif following.cut_layer == group.cut_layer:
            continue
        else:
            units = server.units[group.cut_layer : following.cut_layer]
            run = partial(server.forward, first=group.cut_layer, last=following.cut_layer)
        own = weights[present]
        own = own if len(own) == len(weights) else own / own.sum()
        parts = run_parts(run, units, parts, nodes.training, own)
    return parts
