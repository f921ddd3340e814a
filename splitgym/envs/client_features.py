"""What policies see of the clients' memory, batch sizes and data, where a scenario gives reason to look at these.

All are of N worlds, [N, C], 0..1.
"""

import numpy as np

from splitgym.arrays import Floats
from splitgym.types import RoundState
from splitgym.types.memory import deepest_cut


def memory(state: RoundState) -> Floats:
    """The deepest cut layer for which the client has the memory, over L - 1."""
    return np.asarray(state.present * deepest_cut(state) / state.system.cut_layers)


def batch_size(state: RoundState) -> Floats:
    """Samples of the mini-batch with which the client took part last, over the largest that may be decided."""
    return np.asarray(state.client_batch_size / max(state.system.program.plans.largest_batch, 1))


def data_left(state: RoundState) -> Floats:
    """Samples that the client has not trained on yet since it last began with all of them, over all of them."""
    return np.asarray(state.samples_left / np.maximum(state.samples, 1))
