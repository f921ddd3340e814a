"""Which client holds which subchannels, kept so that water-filling and its changes cost next to nothing.

A client's subchannels stand in the order of their noise floors, best first, beside four sums over them. With these the
water level is found from the top: assume that all are wet, and drop the worst while it would stay dry.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.allocation.link_budget import Links
from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.kernels.functions import LN2, exp2, ln
from splitgym.timing.rates import LARGEST_SNR, shannon_rate, with_snr

LARGEST_EXPONENT = 1000.0
"""log2 of the highest water level that is told from an endless one."""


class AssignmentState(NamedTuple):
    """Subchannels of C clients; changed in place by `assign` and `release`."""

    owner: Ints
    """[M] client, -1: unused."""
    own: Ints
    """[C, M] the client's subchannels, best first, in the first `number` places."""
    number: Ints
    """[C]."""
    wide: Floats
    """[C] sum of B_k, Hz."""
    depth: Floats
    """[C] sum of B_k log2 floor."""
    floor: Floats
    """[C] sum of B_k floor, W."""
    downlink: Floats
    """[C] R_i^D, bits/s."""
    rates: Floats
    """[3, C] workspace for rates, bits/s, that power control looks at."""


def no_assignment(clients: int, subchannels: int) -> AssignmentState:
    """Nobody holds anything."""
    return AssignmentState(
        np.full(subchannels, -1),
        np.zeros((clients, subchannels), np.int64),
        np.zeros(clients, np.int64),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros((3, clients)),
    )


@kernel(NO_REFCOUNT)
def release_all(held: AssignmentState) -> None:
    """Takes everything from everybody."""
    for k in range(held.owner.shape[0]):
        held.owner[k] = -1
    for i in range(held.number.shape[0]):
        held.number[i] = 0
        held.wide[i] = held.depth[i] = held.floor[i] = held.downlink[i] = 0.0


@kernel(NO_REFCOUNT)
def assign(held: AssignmentState, links: Links, i: int, k: int) -> None:
    """Client i gets subchannel k, which is nobody's."""
    held.owner[k] = i
    _enlist(held.own, held.number, links.floor, i, k)
    _sum_up(held, links, i)


@kernel(INLINED)
def _enlist(own: Ints, number: Ints, floor: Floats, i: int, k: int) -> None:
    """Puts subchannel k into its place in the list of client i."""
    place = number[i]
    while place > 0 and floor[i, own[i, place - 1]] > floor[i, k]:
        own[i, place] = own[i, place - 1]
        place -= 1
    own[i, place] = k
    number[i] += 1


@kernel(NO_REFCOUNT)
def release(held: AssignmentState, links: Links, k: int) -> None:
    """Subchannel k is taken from its owner."""
    i = held.owner[k]
    held.owner[k] = -1
    place = 0
    while held.own[i, place] != k:
        place += 1
    held.number[i] -= 1
    for later in range(place, held.number[i]):
        held.own[i, later] = held.own[i, later + 1]
    _sum_up(held, links, i)


@kernel(NO_REFCOUNT)
def assign_all(held: AssignmentState, links: Links, owner: Ints) -> None:
    """Everybody holds what `owner` [M] says."""
    release_all(held)
    own, number, floor = held.own, held.number, links.floor
    for k in range(owner.shape[0]):
        held.owner[k] = owner[k]
        if owner[k] >= 0:
            _enlist(own, number, floor, owner[k], k)
    for i in range(number.shape[0]):
        if number[i] > 0:
            _sum_up(held, links, i)


@kernel(INLINED)
def _sum_up(held: AssignmentState, links: Links, i: int) -> None:
    """The sums again, in the order of the list: so they depend on what is held alone, not on how it came about."""
    wide = depth = floor = downlink = 0.0
    for n in range(held.number[i]):
        k = held.own[i, n]
        wide += links.hz[k]
        depth += links.hz[k] * links.log_floor[i, k]
        floor += links.hz[k] * links.floor[i, k]
        downlink += links.downlink[i, k]
    held.wide[i], held.depth[i], held.floor[i], held.downlink[i] = wide, depth, floor, downlink


@kernel(NO_REFCOUNT)
def log_level(held: AssignmentState, links: Links, i: int, rate: float) -> tuple[float, float, float]:
    """Water-filling of client i for a rate > 0, bits/s.

    Returns:
        log2 of the water level (W/Hz), the Hz that are wet, and the sum of B_k floor over them (W): the least power is
        wide * level - floor. An endless level for a rate that nobody reaches.
    """
    n = held.number[i]
    wide, depth, floor = held.wide[i], held.depth[i], held.floor[i]
    if n == 0 or rate == inf:
        return inf, wide, floor
    x = (rate + depth) / wide
    worst = held.own[i, n - 1]
    while n > 1 and x <= links.log_floor[i, worst]:
        wide -= links.hz[worst]
        depth -= links.hz[worst] * links.log_floor[i, worst]
        floor -= links.hz[worst] * links.floor[i, worst]
        x = (rate + depth) / wide
        n -= 1
        worst = held.own[i, n - 1]
    return x, wide, floor


@kernel(INLINED)
def level_at(x: float) -> float:
    """Water level, W/Hz, from its log2; endless where it is not told from an endless one."""
    return exp2(x) if x < LARGEST_EXPONENT else inf


@kernel(INLINED)
def power_at(x: float, wide: float, floor: float) -> float:
    """Power that fills the wet subchannels up to a level, W; arguments as `log_level` returns them."""
    return wide * exp2(x) - floor if x < LARGEST_EXPONENT else inf


@kernel(NO_REFCOUNT)
def least_power(held: AssignmentState, links: Links, i: int, rate: float) -> float:
    """Least power with which client i reaches a rate, W."""
    if rate <= 0.0:
        return 0.0
    x, wide, floor = log_level(held, links, i, rate)
    return power_at(x, wide, floor)


@kernel(NO_REFCOUNT)
def greatest_rate(held: AssignmentState, links: Links, i: int, power_w: float) -> float:
    """Largest rate that client i reaches with a power, bits/s: water-filling again, from the power's side."""
    n = held.number[i]
    if n == 0 or power_w <= 0.0:
        return 0.0
    wide, depth, floor = held.wide[i], held.depth[i], held.floor[i]
    worst = held.own[i, n - 1]
    while n > 1 and power_w + floor <= wide * links.floor[i, worst]:
        wide -= links.hz[worst]
        depth -= links.hz[worst] * links.log_floor[i, worst]
        floor -= links.hz[worst] * links.floor[i, worst]
        n -= 1
        worst = held.own[i, n - 1]
    return wide * (ln((power_w + floor) / wide) / LN2) - depth


@kernel(INLINED)
def even_rate(held: AssignmentState, links: Links, i: int, power_w: float) -> float:
    """Rate of client i with a power spread evenly over what it holds, bits/s."""
    if held.number[i] == 0:
        return 0.0
    psd = power_w / held.wide[i]
    rate = joint = width = 0.0
    for n in range(held.number[i]):
        k = held.own[i, n]
        if links.hz[k] != width or joint > LARGEST_SNR:
            rate += shannon_rate(width, joint)
            joint, width = 0.0, links.hz[k]
        joint = with_snr(joint, psd / links.floor[i, k])
    return rate + shannon_rate(width, joint)
