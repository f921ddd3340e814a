"""Participants in groups: with the same cut layer and batch size, all of their rows or those of a micro-batch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import loss_gradients, per_client


class Group(NamedTuple):
    """Clients with the same cut layer and batch size."""

    cut_layer: int
    batch_size: int
    """Of each of them."""
    members: list[int]
    """Positions among the participants."""
    rows: slice = slice(None)
    """Which rows of their mini-batches."""

    def micro_batch(self, index: int, count: int) -> "Group":
        """One of so many parts of each mini-batch; the first ones have a row more where they cannot all be equal."""
        rows, more = divmod(self.batch_size, count)
        first, last = (k * rows + min(k, more) for k in (index, index + 1))
        return self._replace(rows=slice(first, last))

    def images(self, round_batch: RoundBatch) -> Tensor:
        """[n, rows, ...]."""
        return round_batch.images[self.members][:, : self.batch_size][:, self.rows]

    def labels(self, round_batch: RoundBatch) -> Tensor:
        """[n, rows]."""
        return round_batch.labels[self.members][:, : self.batch_size][:, self.rows]

    def weights(self, round_batch: RoundBatch, like: Tensor) -> Tensor:
        """[n, 1, ...] weights of the members that broadcast against [n, rows, ...]."""
        return per_client(round_batch.weights[self.members], like)

    def nodes(self, of_clients: Sequence[Node], round_batch: RoundBatch) -> list[Node]:
        """[n] those of the members among nodes of all clients."""
        return [of_clients[round_batch.participants[k]] for k in self.members]


def groups_of(nodes: Nodes, round_batch: RoundBatch) -> list[Group]:
    """Participants by cut layer and batch size, the shallowest cut first."""
    members: dict[tuple[int, int], list[int]] = {}
    for place, client in enumerate(round_batch.participants):
        members.setdefault((int(nodes.cut_layers[client]), round_batch.rows_of(place)), []).append(place)
    return [Group(*key, members[key]) for key in sorted(members)]


def add_losses(logits: Tensor, group: Group, round_batch: RoundBatch) -> Tensor:
    """Adds what some rows give to the members' losses, which begin at 0.

    Returns:
        [n, rows, classes] gradients of the servers' loss with respect to the logits.
    """
    labels = group.labels(round_batch)
    rows = F.cross_entropy(logits.detach().flatten(0, -2), labels.flatten(), reduction="none").view(len(labels), -1)
    count = group.batch_size * labels[0, 0].numel()
    round_batch.losses[group.members] += rows.sum(1) / count
    z = loss_gradients(logits.detach(), labels)
    return z * group.weights(round_batch, z) / count
