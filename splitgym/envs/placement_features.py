"""What policies see of the placements of the units behind the cut; all are of N worlds, [N, K], 0..1."""

import numpy as np

from splitgym.arrays import Floats
from splitgym.types import RoundState
from splitgym.types.placements import relocation_seconds, seconds_behind_cut, wired_seconds


def placement(state: RoundState) -> Floats:
    """1 for the placement of the last round."""
    return np.asarray(np.reshape(state.placement, (-1, 1)) == np.arange(state.system.program.plans.placements))


def relocation(state: RoundState) -> Floats:
    """Seconds in which units would move to the nodes of each placement, squashed at time budget / round budget."""
    return _squashed(relocation_seconds(state), state)


def behind_cut(state: RoundState) -> Floats:
    """Seconds that a round would spend on the nodes and links of each placement, likewise."""
    return _squashed(seconds_behind_cut(state), state)


def way(state: RoundState) -> Floats:
    """Seconds in which a client's rows go over wires to the first node of each placement and back, likewise."""
    return _squashed(wired_seconds(state), state)


def _squashed(seconds: Floats, state: RoundState) -> Floats:
    return np.asarray(seconds / (seconds + state.system.time_budget_s / state.system.max_rounds))
