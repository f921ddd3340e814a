"""The law of learning: what one round changes, in numbers that a calibration gives.

The server knows each class to some degree (its skill, a logit); a client's own part drifts away from the server while
the server moves on without it. Accuracy and loss of a client are read from both.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Parameters(NamedTuple):
    """The numbers of a calibration."""

    start: float
    """Skill before the first round."""
    speed: float
    """Skill gained in a round by a class that is all of the mini-batches."""
    ceiling: float
    """Skill at which nothing is gained any more."""
    forgetting: float
    """Skill lost in a round by a class that is not in the mini-batches, per unit of skill."""
    damping: float
    """Share of the speed that is lost with phi = 1 and very many clients."""
    drift: float
    """Drift in a round without the client, at the speed of the first rounds."""
    returning: float
    """Share of its drift that a client loses in a round in which it takes part."""
    own: float
    """Skill that a client has more of a class that is all of its data."""
    noise: float
    """Standard deviation of a class's skill over the rounds of a run."""
    persistence: float
    """Correlation of that deviation from one round to the next."""
    luck: float
    """Standard deviation, between runs, of the logarithm of the speed."""
    loss_noise: float
    """Standard deviation of the logarithm of a mini-batch's loss."""


class Worlds(NamedTuple):
    """State and outcome of N worlds, C clients, K classes; all changed in place."""

    class_share: Floats
    """[N, C, K] share of each class in a client's data."""
    data_share: Floats
    """[N, C] 0: there is no such client."""
    skill: Floats
    """[N, K]"""
    deviation: Floats
    """[N, K] of the skill, by chance."""
    luck: Floats
    """[N] factor of the speed."""
    drift: Floats
    """[N, C]"""
    rounds: Ints
    """[N]"""
    cut_layer: Ints
    """[N]"""
    client_cut_layer: Ints
    """[N, C]"""
    client_loss: Floats
    """[N, C]"""
    client_accuracy: Floats
    """[N, C]"""
    loss: Floats
    """[N]"""
    accuracy: Floats
    """[N]"""
    worst_accuracy: Floats
    """[N]"""
    balanced_accuracy: Floats
    """[N]"""
    trained: Bools
    """[N]"""
    evaluated: Bools
    """[N]"""


@njit(nogil=True, cache=True, error_model="numpy")
def play_round(
    worlds: Worlds,
    cut_layer: Ints,
    participants: Bools,
    aggregation_ratio: Floats,
    normals: Floats,
    parameters: Parameters,
    test_share: Floats,
    evaluation_samples: int,
    evaluate_every: int,
) -> None:
    """One round in all worlds.

    Args:
        worlds: Changed in place.
        cut_layer: [N] 1..L-1.
        participants: [N, C]
        aggregation_ratio: [N] phi.
        normals: [N, K + 2 C] standard normals: of the classes, of the clients' accuracies, of their losses.
        parameters: Of the law.
        test_share: [K] share of each class in the test data.
        evaluation_samples: Test samples on which accuracy is measured.
        evaluate_every: Rounds from one measurement to the next.
    """
    clients, classes = participants.shape[1], len(test_share)
    for n in range(len(cut_layer)):
        worlds.rounds[n] += 1
        weight = 0.0
        taking_part = 0
        for c in range(clients):
            if participants[n, c]:
                weight += worlds.data_share[n, c]
                taking_part += 1
        worlds.trained[n] = taking_part > 0
        if taking_part > 0:
            move_cut(worlds, n, cut_layer[n], participants[n])
            train(worlds, n, participants[n], weight, taking_part, aggregation_ratio[n], normals[n], parameters)
        worlds.evaluated[n] = worlds.rounds[n] % evaluate_every == 0
        if worlds.evaluated[n]:
            measure(worlds, n, normals[n, classes : classes + clients], parameters, test_share, evaluation_samples)


@njit(nogil=True, cache=True, error_model="numpy")
def move_cut(worlds: Worlds, n: int, cut_layer: int, participants: Bools) -> None:
    """Whose copies of which units are valid, as in `splitgym.frameworks.parties.Parties.move_cut`."""
    first = worlds.cut_layer[n] == 0
    for c in range(len(participants)):
        held = worlds.client_cut_layer[n, c]
        if held > cut_layer:
            worlds.client_cut_layer[n, c] = cut_layer
        elif worlds.data_share[n, c] > 0.0 and (first or participants[c]):
            # What is fetched has not drifted.
            worlds.drift[n, c] *= held / cut_layer
            worlds.client_cut_layer[n, c] = cut_layer
    worlds.cut_layer[n] = cut_layer


@njit(nogil=True, cache=True, error_model="numpy")
def train(
    worlds: Worlds,
    n: int,
    participants: Bools,
    weight: float,
    taking_part: int,
    phi: float,
    normals: Floats,
    parameters: Parameters,
) -> None:
    """Skill, drift and losses after a round with somebody in it."""
    p = parameters
    classes = worlds.skill.shape[1]
    signal = 1.0 - p.damping * phi * (1.0 - 1.0 / taking_part)
    moved = 0.0
    for k in range(classes):
        mass = 0.0
        for c in range(len(participants)):
            if participants[c]:
                mass += worlds.data_share[n, c] / weight * worlds.class_share[n, c, k]
        skill = worlds.skill[n, k]
        gain = p.speed * worlds.luck[n] * signal * classes * mass * (1.0 - skill / p.ceiling)
        worlds.skill[n, k] = skill + gain - p.forgetting * (skill - p.start) * max(1.0 - classes * mass, 0.0)
        moved += abs(gain) / classes
        worlds.deviation[n, k] = (
            p.persistence * worlds.deviation[n, k] + np.sqrt(1.0 - p.persistence**2) * p.noise * normals[k]
        )
    worlds.loss[n] = 0.0
    for c in range(len(participants)):
        if participants[c]:
            worlds.drift[n, c] *= 1.0 - p.returning
            loss = 0.0
            for k in range(classes):
                share = worlds.class_share[n, c, k]
                logit = worlds.skill[n, k] + p.own * share - worlds.drift[n, c]
                loss += share * np.log1p(np.exp(-logit))
            worlds.client_loss[n, c] = loss * np.exp(p.loss_noise * normals[classes + len(participants) + c])
            worlds.loss[n] += worlds.data_share[n, c] / weight * worlds.client_loss[n, c]
        else:
            worlds.drift[n, c] += p.drift * moved


@njit(nogil=True, cache=True, error_model="numpy")
def measure(
    worlds: Worlds, n: int, normals: Floats, parameters: Parameters, test_share: Floats, evaluation_samples: int
) -> None:
    """Accuracies of all clients on a test of so many samples."""
    classes = len(test_share)
    worlds.accuracy[n] = worlds.balanced_accuracy[n] = 0.0
    worlds.worst_accuracy[n] = 1.0
    for c in range(len(normals)):
        if worlds.data_share[n, c] == 0.0:
            continue
        accuracy = balanced = 0.0
        for k in range(classes):
            logit = (
                worlds.skill[n, k]
                + worlds.deviation[n, k]
                + parameters.own * worlds.class_share[n, c, k]
                - worlds.drift[n, c]
            )
            correct = 1.0 / (1.0 + np.exp(-logit))
            accuracy += test_share[k] * correct
            balanced += correct / classes
        spread = np.sqrt(accuracy * (1.0 - accuracy) / evaluation_samples)
        measured = np.rint(evaluation_samples * min(max(accuracy + spread * normals[c], 0.0), 1.0)) / evaluation_samples
        worlds.client_accuracy[n, c] = measured
        worlds.accuracy[n] += worlds.data_share[n, c] * measured
        worlds.worst_accuracy[n] = min(worlds.worst_accuracy[n], measured)
        worlds.balanced_accuracy[n] += worlds.data_share[n, c] * min(max(balanced + measured - accuracy, 0.0), 1.0)
