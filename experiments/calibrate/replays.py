"""Logged runs played again by the surrogate's dynamics: the same data and decisions, all runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.calibrate.logs import Log
from splitgym.arrays import Floats
from splitgym.frameworks import aggregated_rows
from splitgym.learning.surrogate.accuracy_model import fill_recall
from splitgym.learning.surrogate.dynamics import Evaluation, play_rounds
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Scratch, Worlds, settle

Generator = np.random.Generator


@dataclass(frozen=True)
class Played:
    """What the surrogate says of the logged runs."""

    recall: Floats
    """[N, E, C, K] share of a class's test samples that a client's network gets right."""
    client_accuracy: Floats
    """[N, E, C] as measured, with the noise of the test samples."""
    client_loss: Floats
    """[N, R, C] after each round."""


class Replay:
    """N logged runs of R rounds and E evaluations; arrays are padded to the most clients C."""

    def __init__(self, logs: Sequence[Log], cut_layers: int, batch_size: int) -> None:
        self.logs = list(logs)
        self._cut_layers = cut_layers
        first, clients = self.logs[0], max(len(log.class_counts) for log in self.logs)
        self.rounds, self.evaluated = len(first.cut_layer), first.evaluated
        self._every = int(self.evaluated[0]) + 1
        self.classes = len(first.test_counts)
        self.test_share = np.mean([log.test_counts / log.test_counts.sum() for log in self.logs], axis=0)
        self.test_samples = int(first.test_counts.sum())
        self.there = self._padded([np.ones(len(log.class_counts), bool) for log in self.logs], (clients,))
        self.selected = self._padded([log.selected for log in self.logs], (self.rounds, clients))
        self.recall = self._padded(
            [log.correct / log.test_counts for log in self.logs], (len(self.evaluated), clients, self.classes)
        )
        self.client_loss = self._padded([log.client_loss for log in self.logs], (self.rounds, clients))
        self.data_share = self._padded(
            [log.class_counts.sum(1) / log.class_counts.sum() for log in self.logs], (clients,)
        )
        self._cut_layer = self._padded([log.cut_layer for log in self.logs], (self.rounds, clients))
        ratio = np.stack([log.aggregation_ratio for log in self.logs], axis=1)
        self._aggregated = aggregated_rows(ratio, batch_size) / batch_size

    @cached_property
    def client_accuracy(self) -> Floats:
        """[N, E, C] of the real runs."""
        return self._padded([log.client_accuracy for log in self.logs], self.recall.shape[1:3])

    @cached_property
    def accuracy(self) -> Floats:
        """[N, E] of the real runs, mean over clients."""
        return self.mean(self.client_accuracy)

    def mean(self, of_clients: Floats) -> Floats:
        """[N, E] of [N, E, C], weighted by the clients' data."""
        mean: Floats = np.einsum("nec,nc->ne", of_clients, self.data_share)
        return mean

    def play(self, parameters: Parameters, rng: Generator | None = None) -> Played:
        """Plays all runs; without a generator nothing is left to chance, and accuracy is the expected one."""
        runs, _, clients = self.selected.shape
        worlds = Worlds.empty(runs, clients, self.classes)
        for n, log in enumerate(self.logs):
            settle(worlds, n, log.class_counts, len(log.class_counts), parameters.kept_by_evenness)
        if rng is not None:
            worlds.run_effect[:] = np.exp(parameters.run_effect * rng.standard_normal(runs))
            worlds.class_effect[:] = parameters.class_effect * rng.standard_normal((runs, self.classes))
            worlds.class_noise[:] = parameters.class_noise * rng.standard_normal((runs, self.classes))
        played = Played(*(np.zeros(array.shape) for array in (self.recall, self.client_accuracy, self.client_loss)))
        if rng is None:
            parameters = parameters.without_chance()
        at_cuts, normals = parameters.at_cuts(self._cut_layers), np.zeros((runs, self.classes + 2 * clients))
        evaluation = Evaluation(self.test_share, self.test_samples, self._every)
        room, recall = Scratch.empty(clients, self.classes), np.zeros((runs, clients, self.classes))
        for number in range(self.rounds):
            if rng is not None:
                normals = rng.standard_normal(normals.shape)
            play_rounds(
                worlds,
                np.ascontiguousarray(self._cut_layer[:, number]),
                np.ascontiguousarray(self.selected[:, number]),
                self._aggregated[number],
                normals,
                at_cuts,
                evaluation,
                room,
            )
            played.client_loss[:, number] = worlds.client_loss
            place = (number + 1) // self._every - 1
            if worlds.evaluated[0]:
                fill_recall(worlds, at_cuts, self.test_share, recall, room)
                played.recall[:, place] = recall
                expected = np.einsum("nck,k->nc", recall, self.test_share)
                played.client_accuracy[:, place] = expected if rng is None else worlds.client_accuracy
        return played

    def _padded(self, arrays: Sequence[NDArray], shape: tuple[int, ...]) -> NDArray:
        """[N, *shape] with zeros where a run has fewer clients."""
        padded = np.zeros((len(arrays), *shape), arrays[0].dtype)
        for row, array in zip(padded, arrays, strict=True):
            row[tuple(slice(length) for length in array.shape)] = array
        return padded
