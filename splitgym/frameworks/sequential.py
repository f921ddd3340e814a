"""Clients that train one after the other, each together with the server: FL, SL, both forms of SFL; and centralised."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.node import Party
from splitgym.frameworks.nodes import Parties, model_state
from splitgym.frameworks.round_batch import Exercise
from splitgym.frameworks.snapshots import MixedMean, Snapshot, WeightedMean, buffers_of, state_of


def train_alone(parties: Parties, exercise: Exercise, averaged: Sequence[int]) -> bool:
    """Every client trains on its own mini-batches, in the order of their indices.

    A client begins with its averaged units as they were before the round, and these end as the mean of what clients
    make of them, weighted by data; the other units are handed on from client to client. A unit that is averaged for
    some and handed on between others ends as the mean of both. Optimisers stay with their owners: what is averaged or
    handed on are models. With SGD, momentum and all clients taking part, averaging after each step is training on one
    large batch.

    Args:
        parties: Trained in place; the cut has been moved already.
        exercise: Mini-batches; losses and traffic are filled.
        averaged: [n] number of first units that are averaged for each participant.

    Returns:
        False if a loss is not finite; then all weights and running statistics are as before, and the optimisers of
        all who took part start again.
    """
    units, batch_size = parties.server.units, parties.training.batch_size
    taking_part = [party for i in exercise.participants for party in (parties.clients[i], parties.server_of(i))]
    parties.server.set_mode(True)
    fewest, most = min(averaged), max(averaged)
    mean, handed_on = WeightedMean(state_of(units[:fewest])), Snapshot(state_of(units[fewest:]))
    mixed = [MixedMean(state_of([unit])) for unit in units[fewest:most]]
    cuts = [int(parties.cut_layers[i]) for i in exercise.participants]
    # A model that is handed on goes down once for each client, one that is averaged once to all of them.
    for members in exercise.slots or [range(len(cuts))]:
        exercise.traffic.to_all(model_state(units[: max(cuts[k] for k in members)]))
    for k, i in enumerate(exercise.participants):
        client, server = parties.clients[i], parties.server_of(i)
        mean.begin()
        for unit, both in enumerate(mixed, fewest):
            both.begin(averaged=unit < averaged[k])
        steps = zip(exercise.images[k].split(batch_size), exercise.labels[k].split(batch_size), strict=True)
        losses = [_step(client, server, cuts[k], images, labels, exercise) for images, labels in steps]
        exercise.losses[k] = torch.stack(losses).mean()
        if not torch.isfinite(exercise.losses[k]):
            mean.begin()
            handed_on.restore()
            for party in taking_part:
                party.forget()
            return False
        exercise.traffic.up(model_state(units[: cuts[k]]))
        mean.add(exercise.weights[k])
        for unit, both in enumerate(mixed, fewest):
            both.add(exercise.weights[k], averaged=unit < averaged[k])
    mean.finish()
    for both in mixed:
        both.finish()
    return True


def train_joint(parties: Parties, exercise: Exercise) -> bool:
    """The server trains the whole network on all mini-batches as one, clients weighted by their data.

    Returns:
        False if a loss is not finite; then nothing has changed.
    """
    server = parties.server
    server.set_mode(True)
    statistics = Snapshot(buffers_of(server.units))
    n, b = exercise.labels.shape
    logits = server.logits(exercise.images.flatten(0, 1))
    losses = F.cross_entropy(logits, exercise.labels.flatten(), reduction="none").view(n, b).mean(1)
    exercise.losses.copy_(losses.detach())
    if not torch.isfinite(exercise.losses).all():
        statistics.restore()
        return False
    server.step(torch.autograd.grad(losses @ exercise.weights, server.parameters))
    return True


def _step(client: Party, server: Party, cut: int, images: Tensor, labels: Tensor, exercise: Exercise) -> Tensor:
    """One mini-batch of one client: forward, backward, a step of both; its loss. Not finite: nobody steps."""
    smashed = client.forward(images)
    at_cut = smashed.detach().requires_grad_()
    loss = F.cross_entropy(server.logits(at_cut, cut), labels)
    if torch.isfinite(loss):
        # A server that also serves clients with shallower cuts trains units that this one does not reach.
        gradient, *server_gradients = torch.autograd.grad(loss, [at_cut, *server.parameters], allow_unused=True)
        client_gradients = torch.autograd.grad(smashed, client.parameters, gradient)
        server.step(server_gradients)
        client.step(client_gradients)
        if cut < len(server.units):
            exercise.traffic.up([smashed])
            exercise.traffic.down([gradient])
    return loss.detach()
