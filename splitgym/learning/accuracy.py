"""Test accuracy of every client's composed network, without running again what has not changed."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitgym.frameworks.parties import Parties

ROWS_AT_ONCE = {"cpu": 512, "cuda": 16_384}
"""Rows that pass the server's part together: few enough for a processor's cache, many enough to fill a GPU."""


class Evaluator:
    """Measures accuracy on fixed test data; keeps each client's activations until it trains again."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self._images = images
        self._labels = labels
        self._activations: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def forget(self, clients: Iterable[int]) -> None:
        """These clients' own parts have changed."""
        for client in clients:
            self._activations.pop(client, None)

    @torch.no_grad()
    def client_accuracy(self, parties: Parties) -> NDArray[np.float64]:
        """[C] test accuracy of (client's own units, then the server's)."""
        cut = parties.cut_layer
        parties.server.set_mode(False)
        if cut == 0:
            # Nobody has trained yet: all clients have the same network.
            return self._accuracy(parties, [self._images], cut).repeat(len(parties.clients))
        at_cut = []
        for i, client in enumerate(parties.clients):
            if i not in self._activations:
                client.set_mode(False)
                self._activations[i] = client.forward(self._images)
            # A client that has not followed a deeper cut yet uses the server's copies of the units in between.
            at_cut.append(parties.server.forward(self._activations[i], len(client.units), cut))
        return self._accuracy(parties, at_cut, cut)

    def _accuracy(self, parties: Parties, at_cut: list[Tensor], cut: int) -> NDArray[np.float64]:
        """Accuracy of the server's part on each of some activations at the cut, several of them in one pass."""
        per_pass = max(1, ROWS_AT_ONCE.get(self._labels.device.type, 512) // len(self._labels))
        accuracy = []
        for first in range(0, len(at_cut), per_pass):
            group = torch.cat(at_cut[first : first + per_pass])
            predicted = parties.server.forward(group, cut).argmax(-1).view(-1, len(self._labels))
            accuracy.append((predicted == self._labels).double().mean(1))
        return torch.cat(accuracy).cpu().numpy()
