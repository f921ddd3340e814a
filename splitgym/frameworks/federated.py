"""The training round of split federated learning, both versions, with the fed server's mean in every I rounds."""

from collections.abc import Sequence

import torch

from splitgym.frameworks.nodes import Nodes, model_state
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.sequential import train_alone, train_step
from splitgym.frameworks.snapshots import Snapshot, state_of


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round: with the mean at the end of every round as `train_alone`, else as `train_own_parts`."""
    if nodes.own_units:
        return train_own_parts(nodes, round_batch)
    who, whole = list(round_batch.participants), len(nodes.server.units)
    averaged: Sequence[int] = [whole] * len(who) if nodes.has_copies else nodes.cut_layers[who].tolist()
    return train_alone(nodes, round_batch, averaged)


def train_own_parts(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """Clients train parts of their own, in the order of their indices; a mean at the end where the round has one.

    The edge server has a copy of its part for each client, or one that is handed on from client to client.

    Args:
        nodes: Trained in place; the cut has been moved already.
        round_batch: Mini-batches; losses and traffic are filled.

    Returns:
        False if a loss is not finite; then all weights and running statistics are as before, and the optimisers of
        all that participated start again.
    """
    who, exchange, cut = round_batch.participants, round_batch.exchange, nodes.cut_layer
    taking_part = [node for i in who for node in (nodes.clients[i], nodes.server_of(i))]
    for node in taking_part:
        node.set_mode(True)
    before = Snapshot(state_of(list({unit: None for node in taking_part for unit in node.units})))
    if exchange.fetched:
        round_batch.model_down(model_state(nodes.server.units[:cut]), max(nodes.clients[i].bits for i in who))
    for k, i in enumerate(who):
        client, rows = nodes.clients[i], round_batch.rows_of(k)
        client.begin()
        images, labels = round_batch.images[k, :rows], round_batch.labels[k, :rows]
        round_batch.losses[k] = train_step(client, nodes.server_of(i), cut, images, labels, k, round_batch)
        if not torch.isfinite(round_batch.losses[k]):
            before.restore()
            for node in taking_part:
                node.forget()
            return False
    if exchange.averaged:
        for i in who:
            round_batch.model_up(model_state(nodes.clients[i].units), nodes.clients[i].bits)
        nodes.average(who, round_batch.weights)
    return True
