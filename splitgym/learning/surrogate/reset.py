"""How an episode starts: which data each client has, and the effects of the run, drawn at random."""

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.data.dirichlet import Room, draw_counts
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.kernels.functions import exp
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.worlds import Worlds, remember, settle
from splitgym.random import Purpose, Streams, fill_normals

RUN = int(Purpose.RUN)
GUESSING_SPREAD = 0.3
"""Standard deviation of the accuracy of an untrained network, as a fraction of 1 / K."""


@kernel(NO_REFCOUNT)
def draw_data(
    which: Ints,
    class_sizes: Ints,
    clients: Ints,
    alpha: Floats,
    least: Ints,
    streams: Streams,
    counts: Ints,
    room: Room,
) -> None:
    """Draws `partition="dirichlet"` in the worlds `which`.

    Args:
        which: [W] indices.
        class_sizes: [K] training samples of each class.
        clients: [W] how many there are.
        alpha: [W] concentrations.
        least: [W] samples that every client has in the end.
        streams: Of N worlds.
        counts: [W, C, K] samples of each class that a client has, filled.
        room: Workspace.
    """
    for w, n in enumerate(which):
        draw_counts(streams, n, class_sizes, clients[w], alpha[w], least[w], counts[w], room)


@kernel(NO_REFCOUNT)
def begin_episodes(
    worlds: Worlds,
    which: Ints,
    clients: Ints,
    class_counts: Ints,
    streams: Streams,
    p: Parameters,
    evaluation_samples: int,
    numbers: Floats,
) -> None:
    """Begins episodes in the worlds `which`.

    Args:
        worlds: Changed in place.
        which: [W] indices.
        clients: [W] how many there are.
        class_counts: [W, C, K] samples of each class that a client has.
        streams: Of N worlds.
        p: Of the dynamics.
        evaluation_samples: Accuracy is a multiple of 1 / so many.
        numbers: [2 + 2 K and some more] workspace.
    """
    classes = class_counts.shape[2]
    for w, n in enumerate(which):
        settle(worlds, n, class_counts[w], clients[w], p.kept_by_evenness)
        fill_normals(streams, n, RUN, 2 + 2 * classes, numbers)
        worlds.run_effect[n] = exp(p.run_effect * numbers[0])
        for k in range(classes):
            worlds.class_effect[n, k] = p.class_effect * numbers[2 + k]
            worlds.class_noise[n, k] = p.class_noise * numbers[2 + classes + k]
        # Before the first round all have the same network, which guesses.
        guessed = max(1 + GUESSING_SPREAD * numbers[1], 0.0) / classes
        measured = np.rint(guessed * evaluation_samples) / evaluation_samples
        worlds.accuracy[n] = worlds.worst_accuracy[n] = worlds.balanced_accuracy[n] = measured
        for c in range(worlds.client_accuracy.shape[1]):
            worlds.client_accuracy[n, c] = measured
        remember(worlds, n)
