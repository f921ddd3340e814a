"""What policies see of the next mean of clients' parts and of the energy that is left, where a scenario limits these.

All are of N worlds, [N], 0..1.
"""

import numpy as np

from splitgym.arrays import Floats
from splitgym.types import RoundState


def rounds_to_mean(state: RoundState) -> Floats:
    """Rounds until clients' parts are averaged, this one included, over the interval."""
    interval = state.system.averaging_interval
    return np.asarray(1 - state.round % interval / interval)


def rounds_since_mean(state: RoundState) -> Floats:
    """Rounds since clients' parts were averaged, or since the episode began, squashed at 4."""
    return np.asarray(state.rounds_since_mean / (state.rounds_since_mean + 4.0))


def energy_left(state: RoundState) -> Floats:
    """The fraction of the episode's energy budget that is left."""
    return np.asarray(np.maximum(1 - state.energy_j / state.system.energy_budget_j, 0.0))
