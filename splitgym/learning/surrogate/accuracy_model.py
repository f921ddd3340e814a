"""Accuracies of all clients' networks on test data."""

import numpy as np

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, INLINED_APART, NO_REFCOUNT, kernel
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.probabilities import odds
from splitgym.learning.surrogate.worlds import Scratch, Worlds, lanes_of


@kernel(INLINED, fastmath=True)
def measure(
    worlds: Worlds,
    n: int,
    normals: Floats,
    p: Parameters,
    test_share: Floats,
    evaluation_samples: int,
    room: Scratch,
) -> None:
    """Measures the accuracy of all clients of world n.

    Args:
        worlds: Changed in place.
        n: The world.
        normals: [C] standard normals: which samples a client's network gets right.
        p: Of the dynamics, by cut layer.
        test_share: [K] share of each class in the test data.
        evaluation_samples: Accuracy is a multiple of 1 / so many.
        room: Workspace.
    """
    _recognise(worlds, n, p, test_share, room)
    data_share, of_clients = worlds.data_share[n], worlds.client_accuracy[n]
    accuracy, balanced, worst = 0.0, 0.0, 1.0
    for c in range(len(data_share)):
        expected, mean = room.expected[c], room.balanced[c] / len(test_share)
        spread = np.sqrt(max(expected * (1.0 - expected), 0.0) / evaluation_samples)
        measured = min(max(expected + spread * normals[c], 0.0), 1.0)
        measured = np.rint(evaluation_samples * measured) / evaluation_samples
        of_clients[c] = measured if data_share[c] > 0.0 else of_clients[c]
        accuracy += data_share[c] * measured
        worst = min(worst, measured if data_share[c] > 0.0 else 1.0)
        balanced += data_share[c] * min(max(mean + measured - expected, 0.0), 1.0)
    worlds.accuracy[n], worlds.worst_accuracy[n], worlds.balanced_accuracy[n] = accuracy, worst, balanced


@kernel(NO_REFCOUNT, fastmath=True)
def fill_recall(worlds: Worlds, p: Parameters, test_share: Floats, recall: Floats, room: Scratch) -> None:
    """Probability that a client's network classifies a test sample of a class correctly.

    Args:
        worlds: After a round.
        p: Of the dynamics, by cut layer.
        test_share: [K] share of each class in the test data.
        recall: [N, C, K] to be filled.
        room: Workspace.
    """
    for n in range(len(recall)):
        _recognise(worlds, n, p, test_share, room)
        for c in range(recall.shape[1]):
            for k in range(recall.shape[2]):
                recall[n, c, k] = room.right[k, c]


@kernel(INLINED, fastmath=True)
def _recognise(worlds: Worlds, n: int, p: Parameters, test_share: Floats, room: Scratch) -> None:
    """Fills in how likely networks classify a test sample of each class correctly, `right`, and their means.

    Decisions are sharper than the probabilities that losses are made of.
    """
    in_client, held = room.in_client, worlds.client_cut_layer[n]
    for c in range(len(held)):
        in_client[c] = p.client_share[held[c]]
    _know(worlds.skill[n], worlds.own_skill[n], worlds.behind[n], room)
    _set_sharpness(len(p.class_ease), p, room)
    _decide(worlds.class_effect[n], worlds.class_noise[n], worlds.label_bias[n], p.class_ease, room)
    _answer(p.ceiling, test_share, room)


@kernel(INLINED_APART, fastmath=True)
def _know(skill: Floats, own_skill: Floats, behind: Floats, room: Scratch) -> None:
    """Fills in skills of the whole networks, `right`, and their sum over the classes, `known`."""
    known, in_client = room.known, room.in_client
    for c in range(lanes_of(known)):
        known[c] = 0.0
    for k in range(len(skill)):
        own, right, in_server = own_skill[k], room.right[k], skill[k]
        for c in range(lanes_of(known)):
            right[c] = max(in_client[c] * (own[c] - behind[c]) + (1.0 - in_client[c]) * in_server, 0.0)
            known[c] += right[c]


@kernel(INLINED_APART, fastmath=True)
def _set_sharpness(classes: int, p: Parameters, room: Scratch) -> None:
    """Fills in `sharpness`, how far chance shakes logits, `shaken`, and how much `further` they lie from even odds."""
    variance = p.class_effect**2 + p.class_noise**2
    for c in range(lanes_of(room.known)):
        known = room.known[c] / classes
        room.sharpness[c] = p.sharpness / np.sqrt(p.softness + known)
        # Noise moves neither what is not learnt yet nor what is known well.
        shaken = 4.0 * known / (1.0 + known) ** 2
        # So that the mean over the noise stays (MacKay 1992, moderated outputs).
        room.further[c] = np.sqrt(1.0 + np.pi / 8.0 * shaken * shaken * variance)
        room.shaken[c] = shaken


@kernel(INLINED_APART, fastmath=True)
def _decide(effect: Floats, noise: Floats, label_bias: Floats, ease: Floats, room: Scratch) -> None:
    """Makes of skills, `right`, the odds of decisions; fills in `weight` and its sum over the classes, `total`."""
    sharpness, shaken, further, total = room.sharpness, room.shaken, room.further, room.total
    even = np.log(len(ease) - 1.0)
    for c in range(lanes_of(total)):
        total[c] = 0.0
    for k in range(len(ease)):
        bias, right, weight, chance, easy = label_bias[k], room.right[k], room.weight[k], effect[k] + noise[k], ease[k]
        for c in range(lanes_of(total)):
            right[c] = odds(even + further[c] * (sharpness[c] * easy * right[c] - even) + shaken[c] * chance)
            weight[c] = odds(sharpness[c] * bias[c])
            total[c] += weight[c]


@kernel(INLINED_APART, fastmath=True)
def _answer(ceiling: float, test_share: Floats, room: Scratch) -> None:
    """Makes of odds, `right`, the probabilities of right answers.

    Fills in the `expected` accuracies, and the sums of the probabilities over the classes, `balanced`.
    """
    total, expected, balanced = room.total, room.expected, room.balanced
    for c in range(lanes_of(total)):
        expected[c] = balanced[c] = 0.0
    for k in range(len(test_share)):
        right, weight, tested = room.right[k], room.weight[k], test_share[k]
        for c in range(lanes_of(total)):
            own = weight[c] * right[c]
            right[c] = ceiling * own / (own + (total[c] - weight[c]))
            expected[c] += tested * right[c]
            balanced[c] += right[c]
