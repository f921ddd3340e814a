"""Clients that train one after the other, each together with the server: FL, SL, rounds of SFL; and centralised."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.crossing import Crossing
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes, model_state
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.snapshots import MixedMean, Snapshot, WeightedMean, buffers_of, state_of


def train_averaged(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round in which the whole network is averaged over the clients, FL; see `train_alone`."""
    return train_alone(nodes, round_batch, averaged=[len(nodes.server.units)] * len(round_batch.participants))


def train_handed_on(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round in which the network is handed on from client to client, SL; see `train_alone`."""
    return train_alone(nodes, round_batch, averaged=[0] * len(round_batch.participants))


def train_alone(nodes: Nodes, round_batch: RoundBatch, averaged: Sequence[int]) -> bool:
    """Every client trains on its own mini-batches, in the order of their indices.

    A client begins with its averaged units as they were before the round, and these end as the mean of what clients
    make of them, weighted by data; the other units are handed on from client to client. A unit that is averaged for
    some and handed on between others ends as the mean of both. Optimisers stay with their owners: what is averaged or
    handed on are models. With SGD, momentum and all clients taking part, averaging after each step is training on one
    large batch.

    Args:
        nodes: Trained in place; the cut has been moved already.
        round_batch: Mini-batches; losses and traffic are filled.
        averaged: [n] number of first units that are averaged for each participant.

    Returns:
        False if a loss is not finite; then all weights and running statistics are as before, and the optimisers of
        all that participated start again.
    """
    units = nodes.server.units
    taking_part = [node for i in round_batch.participants for node in (nodes.clients[i], nodes.server_of(i))]
    nodes.server.set_mode(True)
    fewest, most = min(averaged), max(averaged)
    mean, handed_on = WeightedMean(state_of(units[:fewest]), units[:fewest]), Snapshot(state_of(units[fewest:]))
    mixed = [MixedMean(unit) for unit in units[fewest:most]]
    cuts = [int(nodes.cut_layers[i]) for i in round_batch.participants]
    # A model that is handed on goes down once for each client, one that is averaged once to all of them.
    for members in round_batch.slots or [range(len(cuts))]:
        bits = max(nodes.clients[round_batch.participants[k]].bits for k in members)
        round_batch.model_down(model_state(units[: max(cuts[k] for k in members)]), bits)
    for k, i in enumerate(round_batch.participants):
        client, server = nodes.clients[i], nodes.server_of(i)
        mean.begin()
        for unit, both in enumerate(mixed, fewest):
            both.begin(averaged=unit < averaged[k])
        client.begin()
        rows = round_batch.rows_of(k)
        parts = (own[k, :rows].chunk(round_batch.steps) for own in (round_batch.images, round_batch.labels))
        steps = zip(*parts, strict=True)
        losses = [train_step(client, server, cuts[k], images, labels, k, round_batch) for images, labels in steps]
        round_batch.losses[k] = torch.stack(losses).mean()
        if not torch.isfinite(round_batch.losses[k]):
            mean.begin()
            handed_on.restore()
            for node in taking_part:
                node.forget()
            return False
        round_batch.model_up(model_state(units[: cuts[k]]), client.bits)
        mean.add(round_batch.weights[k])
        for unit, both in enumerate(mixed, fewest):
            both.add(round_batch.weights[k], averaged=unit < averaged[k])
    mean.finish()
    for both in mixed:
        both.finish()
    return True


def train_joint(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """The server trains the whole network on all mini-batches as one, clients weighted by their data.

    Returns:
        False if a loss is not finite; then nothing has changed.
    """
    server = nodes.server
    server.set_mode(True)
    statistics = Snapshot(buffers_of(server.units))
    rows = [round_batch.rows_of(k) for k in range(len(round_batch.participants))]
    images, labels = (
        torch.cat([of_client[:count] for of_client, count in zip(own, rows, strict=True)])
        for own in (round_batch.images, round_batch.labels)
    )
    # Text has a label at each place of a window.
    counts = [count * labels[0].numel() for count in rows]
    each = F.cross_entropy(server.logits(images).flatten(0, -2), labels.flatten(), reduction="none").split(counts)
    losses = torch.stack([of_client.sum() / len(of_client) for of_client in each])
    round_batch.losses.copy_(losses.detach())
    if not torch.isfinite(round_batch.losses).all():
        statistics.restore()
        return False
    server.step(torch.autograd.grad(losses @ round_batch.weights, server.parameters))
    return True


def train_step(
    client: Node, server: Node, cut: int, images: Tensor, labels: Tensor, place: int, round_batch: RoundBatch
) -> Tensor:
    """One mini-batch of the client at a place among the participants: forward, backward, a step of both; its loss.

    Not finite: nobody steps.
    """
    smashed = client.forward(images)
    # With all units at the client nothing is sent.
    crossing = Crossing(round_batch, smashed.detach()[None], [place]) if cut < len(server.units) else None
    at_cut = (smashed if crossing is None else crossing.received[0]).detach().requires_grad_()
    loss = F.cross_entropy(server.logits(at_cut, cut).flatten(0, -2), labels.flatten())
    if torch.isfinite(loss):
        # A server that also serves clients with shallower cuts trains units that this one does not reach.
        gradient, *server_gradients = torch.autograd.grad(loss, [at_cut, *server.parameters], allow_unused=True)
        if crossing is not None:
            gradient = crossing.back(gradient[None])[0]
        client_gradients = torch.autograd.grad(smashed, client.parameters, gradient)
        server.step(server_gradients)
        client.step(client_gradients)
    return loss.detach()
