"""Test accuracy of every client's composed network."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.grouped import groupable, grouped_forward
from splitgym.frameworks.node import mixed_precision
from splitgym.frameworks.nodes import Nodes

ROWS_AT_ONCE = {"cpu": 512, "cuda": 16_384}
"""Test samples in one pass: few enough for a processor's cache, many enough to fill a GPU."""


class Evaluator:
    """Measures accuracy on fixed test data.

    Attributes:
        class_counts: [K] test samples of each class.
    """

    def __init__(self, images: Tensor, labels: Tensor, classes: int) -> None:
        self._images, self._labels, self._classes = images, labels, classes
        self._rows = ROWS_AT_ONCE.get(images.device.type, 512)
        self.class_counts = torch.bincount(labels, minlength=classes).cpu().numpy()

    def __len__(self) -> int:
        return len(self._labels)

    def client_accuracy(self, nodes: Nodes) -> Floats:
        """[C] test accuracy of (client's own units, then the server's)."""
        return self.accuracy(self.correct(nodes))

    def accuracy(self, correct: Ints) -> Floats:
        """[C] share of all samples, from what `correct` gives."""
        return correct.sum(1) / len(self)

    def balanced_accuracy(self, correct: Ints) -> Floats:
        """[C] mean over the classes of the share of their samples, from what `correct` gives."""
        there = self.class_counts > 0
        shares: Floats = correct[:, there] / self.class_counts[there]
        return shares.mean(1)

    @torch.no_grad()
    def correct(self, nodes: Nodes) -> Ints:
        """[C, classes] test samples of each class that (client's own units, then the server's) classify correctly.

        A client that has not followed a deeper cut yet uses the server's copies of the units in between.
        """
        for node in (nodes.server, *nodes.clients):
            node.set_mode(False)
        if nodes.cut_layer == 0 or not nodes.own_units:
            # One network for all.
            return np.repeat([self._looped(nodes, 0)], len(nodes.clients), axis=0)
        if groupable([client.units for client in nodes.clients]):
            return self._grouped(nodes)
        return np.stack([self._looped(nodes, client) for client in range(len(nodes.clients))])

    def _looped(self, nodes: Nodes, client: int) -> Ints:
        """[K] correct answers by class of one client's network, in passes of many test samples."""
        node = nodes.clients[client]
        counts = [
            self._count(nodes.server.logits(node.forward(x), len(node.units)), y) for x, y in self._passes(self._rows)
        ]
        return torch.stack(counts).sum(0).cpu().numpy()

    def _grouped(self, nodes: Nodes) -> Ints:
        """All clients' small networks at once."""
        units = [client.units for client in nodes.clients]
        clients, cut = len(units), len(units[0])
        counts = torch.zeros(clients, self._classes, dtype=torch.int64, device=self._labels.device)
        for x, y in self._passes(max(self._rows // clients, 1)):
            with mixed_precision(x, nodes.training):
                smashed, _ = grouped_forward(units, x.expand(clients, *x.shape))
            logits = nodes.server.logits(smashed.flatten(0, 1), cut).unflatten(0, (clients, -1))
            counts += torch.stack([self._count(own, y) for own in logits])
        return counts.cpu().numpy()

    def _passes(self, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self._images.split(rows), self._labels.split(rows), strict=True)

    def _count(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[classes] correct rows of each class."""
        return torch.bincount(labels[logits.argmax(-1) == labels], minlength=self._classes)
