"""Test accuracy of every client's composed network, and of text bits per character."""

from collections.abc import Iterator
from math import log
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.codecs.floats import NONE
from splitgym.frameworks.crossing import as_received
from splitgym.frameworks.grouped import grouped_forward
from splitgym.frameworks.node import Node, mixed_precision
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_grouped
from splitgym.frameworks.snapshots import state_of

ROWS_AT_ONCE = {"cpu": 512, "cuda": 16_384}
"""Test samples in one pass: few enough for a processor's cache, many enough to fill a GPU."""
PIXELS_AT_ONCE = {"cpu": 2**17}
"""Likewise of small networks, whose activations are as large as the images: their pixels, of the passes of all clients
together. Measured on a core with 1 MiB of cache; on a GPU samples count, whatever their size."""

CODED_AT_ONCE = 128
"""Test samples that a client encodes together, as a mini-batch; `ROWS_AT_ONCE` are multiples of it."""


class Measured(NamedTuple):
    """What the clients' networks make of the test data."""

    correct: Ints
    """[C, classes] test samples of each class that each client's network classifies correctly; of text characters."""
    bits: Floats
    """[C] of text mean cross-entropy of a character, in bits; else NaN."""


class Evaluator:
    """Measures accuracy on fixed test data.

    Attributes:
        class_counts: [K] test samples of each class; of text characters.
    """

    def __init__(self, images: Tensor, labels: Tensor, classes: int) -> None:
        self._images, self._labels, self._classes = images, labels, classes
        self._rows = ROWS_AT_ONCE.get(images.device.type, 512)
        pixels = PIXELS_AT_ONCE.get(images.device.type)
        self._rows_of_all = self._rows if pixels is None else pixels // images[0, 0].numel()
        self.class_counts = torch.bincount(labels.flatten(), minlength=classes).cpu().numpy()
        self._is_text = labels.dim() > 1

    def __len__(self) -> int:
        return self._labels.numel()

    def client_accuracy(self, nodes: Nodes) -> Floats:
        """[C] test accuracy of (client's own units, then the server's, then the client's tail if it has one)."""
        return self.accuracy(self.correct(nodes))

    def accuracy(self, correct: Ints) -> Floats:
        """[C] share of all samples, from what `correct` gives."""
        return correct.sum(1) / len(self)

    def balanced_accuracy(self, correct: Ints) -> Floats:
        """[C] mean over the classes of the share of their samples, from what `correct` gives."""
        there = self.class_counts > 0
        shares: Floats = correct[:, there] / self.class_counts[there]
        return shares.mean(1)

    def correct(self, nodes: Nodes) -> Ints:
        """[C, classes] of `measured`."""
        return self.measured(nodes).correct

    @torch.no_grad()
    def measured(self, nodes: Nodes) -> Measured:
        """What each client's network makes of the test data.

        That is the client's own units, the server's, and the client's tail if it has one. A client that has not
        followed a cut yet uses the server's copies of the units in between.
        """
        nodes.server.set_mode(False)
        if not nodes.client_cut_layer.any():
            # One network for all, in as many ways as there are codecs and precisions.
            ways = list(zip(nodes.codecs, (client.bits for client in nodes.clients), strict=True))
            found = {way: self._looped(nodes, ways.index(way)) for way in set(ways)}
            return _of_all([found[way] for way in ways])
        if not nodes.tails and not nodes.has_copies and run_grouped(nodes.clients):
            return Measured(self._grouped(nodes), np.full(len(nodes.clients), np.nan))
        return _of_all([self._looped(nodes, client) for client in range(len(nodes.clients))])

    def _looped(self, nodes: Nodes, client: int) -> tuple[Ints, float]:
        """[K] correct answers by class of one client's network, and its bits, in passes of many test samples."""
        *parts, (last, first, _) = _parts_of(nodes, client)
        counts, codec, bits = self._zeros(), [nodes.codecs[client]], 0.0 if self._is_text else np.nan
        for images, y in self._passes(self._rows):
            x = images
            for node, begin, end in parts:
                x = as_received(codec, node.forward(x, begin, end)[None], CODED_AT_ONCE)[0]
            logits = last.logits(x, first)
            _add_correct(counts, logits.flatten(0, -2), y.flatten())
            if self._is_text:
                loss = F.cross_entropy(logits.flatten(0, -2), y.flatten(), reduction="sum")
                bits += float(loss) / log(2) / len(self)
        return counts.cpu().numpy(), bits

    def _grouped(self, nodes: Nodes) -> Ints:
        """All small networks that differ at once; they compute alike in training and evaluation mode."""
        different, which = _different(nodes)
        units, codecs = [nodes.clients[i].units for i in different], [nodes.codecs[i] for i in different]
        clients, cut = len(units), len(units[0])
        counts = self._zeros(clients)
        rows = max(self._rows_of_all // clients, 1)
        if any(codec is not NONE for codec in codecs):
            # Passes of whole payloads: what a codec loses must not depend on how many clients there are.
            rows = max(rows // CODED_AT_ONCE, 1) * CODED_AT_ONCE
        for x, y in self._passes(rows):
            with mixed_precision(x, nodes.training):
                smashed, _ = grouped_forward(units, x.unsqueeze(0))
            received = as_received(codecs, smashed, CODED_AT_ONCE).flatten(0, 1)
            _add_correct(counts, nodes.server.logits(received, cut).unflatten(0, (clients, -1)), y)
        return counts.cpu().numpy()[which]

    def _passes(self, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self._images.split(rows), self._labels.split(rows), strict=True)

    def _zeros(self, *clients: int) -> Tensor:
        return torch.zeros(*clients, self._classes, dtype=torch.int64, device=self._labels.device)


def _different(nodes: Nodes) -> tuple[list[int], list[int]]:
    """Clients whose codecs or weights differ, and for each client where among them that is which has its own.

    Of a hundred clients most have not trained yet: they have the same weights.
    """
    own = [
        (codec, *(weights.cpu().numpy().tobytes() for weights in state_of(client.units)))
        for codec, client in zip(nodes.codecs, nodes.clients, strict=True)
    ]
    places = {each: place for place, each in enumerate(dict.fromkeys(own))}
    which = [places[each] for each in own]
    return [which.index(place) for place in range(len(places))], which


def _of_all(found: list[tuple[Ints, float]]) -> Measured:
    """From what is found of each client."""
    return Measured(np.stack([correct for correct, _ in found]), np.array([bits for _, bits in found]))


def _parts_of(nodes: Nodes, client: int) -> list[tuple[Node, int, int | None]]:
    """Nodes of one client's network with their first and last units, in the order of these, in evaluation mode.

    A model that several clients share is measured as the client receives it, in numbers of its bits.
    """
    head, tail = nodes.measured(client), nodes.tails[client : client + 1]
    if not nodes.own_units:
        head = head.received()
    # Before the first round nothing is cut.
    cut, second = len(head.units), int(nodes.client_second_cut[client]) or None
    parts = [(head, 0, None)] * (cut > 0) + [(nodes.server_of(client), cut, second)]
    parts += [(node, 0, None) for node in tail if second]
    for node, _, _ in parts:
        node.set_mode(False)
    return parts


def _add_correct(counts: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Adds the correct rows of each class, [..., classes], from logits, [..., rows, classes]."""
    counts.index_add_(-1, labels, (logits.argmax(-1) == labels).long())
