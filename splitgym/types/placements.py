"""What each placement of the units behind the cut would take in a state, of one world or N.

The cut layer is that of the last round, 1 before the first one; codec and batch size are the usual ones.
"""

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.placed import NONE_YET
from splitgym.frameworks.resources import Resource
from splitgym.types.plan import Plan
from splitgym.types.state import RoundState


def relocation_seconds(state: RoundState) -> Floats:
    """[K] or [N, K] seconds in which units would move to the nodes of each placement, or be fetched, before a round."""
    placed = state.system.program.placed
    if placed is None:
        return np.zeros((*np.shape(state.round), 1))
    s_per_bit, delay_s, _ = placed.resources.ways
    old, new = np.asarray(state.unit_node)[..., None, :], placed.holder
    behind = np.arange(placed.units) >= _cut_layer(state)[..., None, None]
    moves = (old >= 0) & (old != new) & behind
    way = np.maximum(old, 0), new
    fetched = np.where((old == NONE_YET) & behind, placed.fetches.seconds[new, np.arange(placed.units)], 0.0)
    whole: Floats = (np.where(moves, s_per_bit[way] * placed.unit_bits + delay_s[way], 0.0) + fetched).sum(-1)
    return whole


def seconds_behind_cut(state: RoundState) -> Floats:
    """[K] or [N, K] seconds of a round on the nodes and links of each placement, with all clients that are there.

    Micro-batches make it shorter than that.
    """
    program, plans = state.system.program, _plans(state)
    clients = state.available.sum(-1)[..., None, None]
    work = program.work[plans] + program.per_participant[plans] * clients
    server_hz = np.asarray(state.server_hz, np.float64)[..., None, None]
    speed = np.where(program.route == Resource.SERVER, server_hz, program.resources.speed[program.route])
    behind = program.route >= Resource.SERVER
    delay_s = np.where(work > 0, program.resources.delay_s[program.route], 0.0)
    seconds: Floats = np.where(behind, work / np.where(behind, speed, 1.0) + delay_s, 0.0).sum(-1)
    return seconds


def wired_seconds(state: RoundState) -> Floats:
    """[K] or [N, K] seconds in which what a client sends and gets for itself goes over wires behind its station.

    Mean over available clients; to the first node of each placement and back.
    """
    program = state.system.program
    bits = program.work[_plans(state)][..., np.isin(program.resource, (Resource.UPLINK, Resource.UNICAST))].sum(-1)
    available = state.available[..., None]
    s_per_bit = (state.wired_s_per_bit * available).sum(-2) / np.maximum(available.sum(-2), 1)
    whole: Floats = bits * s_per_bit
    return whole


def _plans(state: RoundState) -> Ints:
    """[K] or [N, K] the common plan under each placement."""
    grid = state.system.program.plans
    first = Plan(_cut_layer(state)).indices(state)
    plans: Ints = first[..., :1] + grid.first_under(np.arange(grid.placements))[:, 0]
    return plans


def _cut_layer(state: RoundState) -> Ints:
    """The cut layer of the last round, 1 before the first one."""
    return np.maximum(np.asarray(state.cut_layer), 1)
