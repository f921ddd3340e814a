"""Accuracies of all clients' networks on test data."""

import numpy as np
from numba import njit

from splitgym.learning.surrogate.links import answers
from splitgym.learning.surrogate.parameters import Floats, Parameters
from splitgym.learning.surrogate.worlds import Worlds


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def measure(
    worlds: Worlds,
    n: int,
    normals: Floats,
    p: Parameters,
    test_share: Floats,
    evaluation_samples: int,
    right: Floats,
    weight: Floats,
) -> None:
    """Measures the accuracy of all clients of world n.

    Args:
        worlds: Changed in place.
        n: The world.
        normals: [C] standard normals: chance of which samples a client's network gets right.
        p: Of the law, by cut layer.
        test_share: [K] share of each class in the test data.
        evaluation_samples: Accuracy is a multiple of 1 / so many.
        right: [C, K] scratch.
        weight: [C, K] scratch.
    """
    clients, classes = weight.shape
    worlds.accuracy[n] = worlds.balanced_accuracy[n] = 0.0
    worlds.worst_accuracy[n] = 1.0
    for c in range(clients):
        if worlds.data_share[n, c] == 0.0:
            continue
        in_client = p.client_share[worlds.client_cut_layer[n, c]]
        known = 0.0
        for k in range(classes):
            own = worlds.own_skill[n, c, k] - worlds.behind[n, c]
            right[c, k] = max(in_client * own + (1.0 - in_client) * worlds.skill[n, k], 0.0)
            known += right[c, k] / classes
        sharpness = p.sharpness / np.sqrt(p.softness + known)
        # What is not learnt does not wobble either.
        shaken = known / (p.softness + known)
        for k in range(classes):
            right[c, k] = sharpness * p.ease[k] * right[c, k] + shaken * (worlds.talent[n, k] + worlds.wobble[n, k])
        recall = worlds.recall[n, c]
        answers(right[c], worlds.habit[n, c], sharpness, weight[c], recall)
        expected = balanced = 0.0
        for k in range(classes):
            recall[k] *= p.ceiling
            expected += test_share[k] * recall[k]
            balanced += recall[k] / classes
        spread = np.sqrt(expected * (1.0 - expected) / evaluation_samples)
        measured = min(max(expected + spread * normals[c], 0.0), 1.0)
        measured = np.rint(evaluation_samples * measured) / evaluation_samples
        worlds.client_accuracy[n, c] = measured
        worlds.accuracy[n] += worlds.data_share[n, c] * measured
        worlds.worst_accuracy[n] = min(worlds.worst_accuracy[n], measured)
        worlds.balanced_accuracy[n] += worlds.data_share[n, c] * min(max(balanced + measured - expected, 0.0), 1.0)
