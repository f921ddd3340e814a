"""The dynamics of learning: one round in many worlds.

Server and clients know each class to some degree (their skill), in proportion to the units that they hold. Rounds add
to the skill of the classes in the mini-batches. A client also becomes biased towards the classes of its own data, and
falls behind while the server trains without it. Losses and accuracies are read from these.
"""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED_APART, NO_REFCOUNT, kernel
from splitgym.learning.surrogate.accuracy_model import measure
from splitgym.learning.surrogate.cuts import move_cuts
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
        cut_layer: [N, C] 1..L-1, of each client; of one that takes no part what it may keep.
        participants: [N, C]
        aggregated: [N] fraction of the rows whose last-layer gradients are averaged, m / b.
        normals: [N, K + 2 C] standard normals: of the classes, of the clients' accuracies, of their losses.
        parameters: Of the dynamics, by cut layer.
        evaluation: Of the task.
        room: Workspace.
    """
    test_share = evaluation.test_share
    clients, classes = participants.shape[1], len(test_share)
    fresh = np.sqrt(1.0 - parameters.persistence**2) * parameters.class_noise
    for n in range(len(cut_layer)):
        remember(worlds, n)
        worlds.rounds[n] += 1
        of_world = normals[n]
        worlds.trained[n] = _divide(participants[n], worlds.data_share[n], room.part)
        if worlds.trained[n]:
            move_cuts(worlds, n, cut_layer[n], participants[n], parameters, room)
            train(worlds, n, aggregated[n], of_world[classes + clients :], parameters, room)
            _shake(worlds.class_noise[n], of_world, parameters.persistence, fresh)
        worlds.evaluated[n] = worlds.rounds[n] % evaluation.every == 0
        if worlds.evaluated[n]:
            of_clients = of_world[classes : classes + clients]
            measure(worlds, n, of_clients, parameters, test_share, evaluation.samples, room)


@kernel(INLINED_APART, fastmath=True)
def _divide(participants: Bools, data_share: Floats, part: Floats) -> bool:
    """Fills in the fraction of each participant in the data of all of them, 0 of others; are there any?"""
    total = 0.0
    for c in range(len(participants)):
        part[c] = data_share[c] if participants[c] else 0.0
        total += part[c]
    for c in range(len(participants)):
        part[c] /= total if total > 0.0 else 1.0
    return total > 0.0


@kernel(INLINED_APART, fastmath=True)
def _shake(class_noise: Floats, normals: Floats, persistence: float, fresh: float) -> None:
    """The noise of the classes, [K], in the next round; the first K normals are theirs."""
    for k in range(len(class_noise)):
        class_noise[k] = persistence * class_noise[k] + fresh * normals[k]
