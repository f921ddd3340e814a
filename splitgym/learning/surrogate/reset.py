"""How an episode starts: which data each client has, and the effects of the run, drawn at random."""

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.kernels import COMPILED, kernel
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Worlds, settle

GUESSING_SPREAD = 0.3
"""Standard deviation of the accuracy of an untrained network, as a fraction of 1 / K."""


@kernel(COMPILED)
def begin_episodes(
    worlds: Worlds,
    which: Ints,
    clients: Ints,
    class_counts: Ints,
    normals: Floats,
    p: Parameters,
    evaluation_samples: int,
) -> None:
    """Begins episodes in the worlds `which`.

    Args:
        worlds: Changed in place.
        which: [W] indices.
        clients: [W] how many there are.
        class_counts: [W, C, K] samples of each class that a client has.
        normals: [W, 2 + 2 K] standard normals.
        p: Of the dynamics.
        evaluation_samples: Accuracy is a multiple of 1 / so many.
    """
    classes = class_counts.shape[2]
    for w, n in enumerate(which):
        settle(worlds, n, class_counts[w, : clients[w]], p.kept_by_evenness)
        worlds.run_effect[n] = np.exp(p.run_effect * normals[w, 0])
        for k in range(classes):
            worlds.class_effect[n, k] = p.class_effect * normals[w, 2 + k]
            worlds.class_noise[n, k] = p.class_noise * normals[w, 2 + classes + k]
        # Before the first round all have the same network, which guesses.
        guessed = max(1 + GUESSING_SPREAD * normals[w, 1], 0.0) / classes
        measured = np.rint(guessed * evaluation_samples) / evaluation_samples
        worlds.accuracy[n] = worlds.worst_accuracy[n] = worlds.balanced_accuracy[n] = measured
        worlds.client_accuracy[n] = measured
