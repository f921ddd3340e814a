"""Accuracies of all clients' networks on test data."""

import numpy as np

from splitgym.arrays import Floats
from splitgym.kernels import INLINED, kernel
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.probabilities import answer
from splitgym.learning.surrogate.worlds import Scratch, Worlds


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
    clients, classes = room.weight.shape
    recall = worlds.recall[n]
    _decide(worlds, n, p, recall, room.weight)
    answer(recall, room.weight, room.others)
    worlds.accuracy[n] = worlds.balanced_accuracy[n] = 0.0
    worlds.worst_accuracy[n] = 1.0
    for c in range(clients):
        if worlds.data_share[n, c] == 0.0:
            continue
        expected = balanced = 0.0
        for k in range(classes):
            recall[c, k] *= p.ceiling
            expected += test_share[k] * recall[c, k]
            balanced += recall[c, k] / classes
        spread = np.sqrt(max(expected * (1.0 - expected), 0.0) / evaluation_samples)
        measured = min(max(expected + spread * normals[c], 0.0), 1.0)
        measured = np.rint(evaluation_samples * measured) / evaluation_samples
        worlds.client_accuracy[n, c] = measured
        worlds.accuracy[n] += worlds.data_share[n, c] * measured
        worlds.worst_accuracy[n] = min(worlds.worst_accuracy[n], measured)
        worlds.balanced_accuracy[n] += worlds.data_share[n, c] * min(max(balanced + measured - expected, 0.0), 1.0)


@kernel(INLINED, fastmath=True)
def _decide(worlds: Worlds, n: int, p: Parameters, right: Floats, weight: Floats) -> None:
    """Fills in logits and label biases of decisions, [C, K], which are sharper than those that losses are made of."""
    clients, classes = right.shape
    variance, even = p.class_effect**2 + p.class_noise**2, np.log(classes - 1.0)
    for c in range(clients):
        in_client = p.client_share[worlds.client_cut_layer[n, c]]
        behind = worlds.behind[n, c]
        known = 0.0
        for k in range(classes):
            skill = in_client * (worlds.own_skill[n, c, k] - behind) + (1.0 - in_client) * worlds.skill[n, k]
            right[c, k] = max(skill, 0.0)
            known += right[c, k] / classes
        sharpness = p.sharpness / np.sqrt(p.softness + known)
        # Noise moves neither what is not learnt yet nor what is known well.
        shaken = 4.0 * known / (1.0 + known) ** 2
        # Logits lie further from even odds, so that the mean over the noise stays (MacKay 1992, moderated outputs).
        further = np.sqrt(1.0 + np.pi / 8.0 * shaken * shaken * variance)
        for k in range(classes):
            chance = shaken * (worlds.class_effect[n, k] + worlds.class_noise[n, k])
            right[c, k] = even + further * (sharpness * p.class_ease[k] * right[c, k] - even) + chance
            weight[c, k] = sharpness * worlds.label_bias[n, c, k]
