"""The dynamics of learning: one round in many worlds.

Server and clients know each class to some degree (their skill), in proportion to the units that they hold. Rounds add
to the skill of the classes in the mini-batches. A client also becomes biased towards the classes of its own data, and
falls behind while the server trains without it. Losses and accuracies are read from these.
"""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.learning.surrogate.accuracy_model import measure
from splitgym.learning.surrogate.cuts import move_cut
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.update import train
from splitgym.learning.surrogate.worlds import Scratch, Worlds, remember


class Evaluation(NamedTuple):
    """How accuracy is measured."""

    test_share: Floats
    """[K] share of each class in the test data."""
    samples: int
    """Test samples; accuracy is a multiple of 1 / so many."""
    every: int
    """Rounds from one measurement to the next."""


@kernel(NO_REFCOUNT, fastmath=True)
def play_rounds(
    worlds: Worlds,
    cut_layer: Ints,
    participants: Bools,
    aggregated: Floats,
    normals: Floats,
    parameters: Parameters,
    evaluation: Evaluation,
    room: Scratch,
) -> None:
    """One round in all worlds.

    Args:
        worlds: Changed in place.
        cut_layer: [N] 1..L-1.
        participants: [N, C]
        aggregated: [N] fraction of the rows whose last-layer gradients are averaged, m / b.
        normals: [N, K + 2 C] standard normals: of the classes, of the clients' accuracies, of their losses.
        parameters: Of the dynamics, by cut layer.
        evaluation: Of the task.
        room: Workspace.
    """
    part, test_share = room.part, evaluation.test_share
    clients, classes = participants.shape[1], len(test_share)
    fresh = np.sqrt(1.0 - parameters.persistence**2) * parameters.class_noise
    for n in range(len(cut_layer)):
        remember(worlds, n)
        worlds.rounds[n] += 1
        total = 0.0
        for c in range(clients):
            part[c] = worlds.data_share[n, c] if participants[n, c] else 0.0
            total += part[c]
        worlds.trained[n] = total > 0.0
        if worlds.trained[n]:
            for c in range(clients):
                part[c] /= total
            move_cut(worlds, n, cut_layer[n], part, parameters)
            train(worlds, n, part, aggregated[n], normals[n, classes + clients :], parameters, room)
            for k in range(classes):
                worlds.class_noise[n, k] = parameters.persistence * worlds.class_noise[n, k] + fresh * normals[n, k]
        worlds.evaluated[n] = worlds.rounds[n] % evaluation.every == 0
        if worlds.evaluated[n]:
            of_clients = normals[n, classes : classes + clients]
            measure(worlds, n, of_clients, parameters, test_share, evaluation.samples, room)
