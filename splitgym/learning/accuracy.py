"""Test accuracy of every client's composed network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitgym.frameworks.parties import Parties, Party

ROWS_AT_ONCE = {"cpu": 512, "cuda": 16_384}
"""Test samples in one pass: few enough for a processor's cache, many enough to fill a GPU."""


class Evaluator:
    """Measures accuracy on fixed test data."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        rows = ROWS_AT_ONCE.get(images.device.type, 512)
        self._passes = list(zip(images.split(rows), labels.split(rows), strict=True))
        self._samples = len(labels)

    def __len__(self) -> int:
        return self._samples

    @torch.no_grad()
    def client_accuracy(self, parties: Parties) -> NDArray[np.float64]:
        """[C] test accuracy of (client's own units, then the server's).

        A client that has not followed a deeper cut yet uses the server's copies of the units in between.
        """
        parties.server.set_mode(False)
        if parties.cut_layer == 0:
            # Nobody has trained yet: all have the same network.
            return np.full(len(parties.clients), self._accuracy(parties.clients[0], parties.server))
        return np.array([self._accuracy(client, parties.server) for client in parties.clients])

    def _accuracy(self, client: Party, server: Party) -> float:
        client.set_mode(False)
        correct = 0
        for images, labels in self._passes:
            logits = server.forward(client.forward(images), len(client.units))
            correct += int((logits.argmax(-1) == labels).sum())
        return correct / self._samples
