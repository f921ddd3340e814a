"""Power control, exact (the paper's second block): minimise the time at which the last uplink ends.

The problem is convex. Bisect on that time; each client then needs a rate, and the least power that reaches it is
water-filling over its own subchannels; the time can be met if every budget holds.
"""

from math import inf, log2

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.allocation.budget import even_power_w
from splitgym.allocation.load import own_load
from splitgym.rounds import RoundState
from splitgym.timing.clock import duration
from splitgym.timing.rates import own_rates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRECISION = 1e-12
"""Relative width of the bracket at which bisection ends."""


def control_power(state: RoundState, cut_layer: int, assignment: Ints, aggregation_ratio: float) -> Floats:
    """Powers under which the last uplink ends as early as the budgets allow; no client uses more than it then needs.

    Args:
        state: Of one world, as the scheduler believes it.
        cut_layer: 1..L-1.
        assignment: [M] owner of each subchannel, -1: unused.
        aggregation_ratio: phi.

    Returns:
        [M] W/Hz; 0 on unused subchannels.
    """
    system = state.system
    load = own_load(state, cut_layer, aggregation_ratio)
    noise = system.noise_psd_w_per_hz
    downlink_psd = np.full(system.subchannels, system.downlink_psd_w_per_hz)
    downlink = own_rates(state.channel_gain, assignment, downlink_psd, system.subchannel_hz, noise)
    fetching_s = np.divide(load.downlink_bits_before, downlink, out=np.zeros_like(downlink), where=downlink > 0)
    owners = np.unique(assignment[assignment >= 0])
    return _minimise_last_uplink(
        state.channel_gain,
        assignment,
        system.subchannel_hz,
        noise,
        load.compute_before_s + fetching_s,
        load.uplink_bits,
        owners,
        even_psd(state, assignment),
        system.client_power_max_w,
        system.total_power_max_w,
    )


def even_psd(state: RoundState, assignment: Ints) -> Floats:
    """[M] W/Hz: every owner spends min(p_max, p_th / n), spread evenly over its subchannels."""
    owners = len(np.unique(assignment[assignment >= 0]))
    power_w = np.full(len(state.client_hz), even_power_w(state, owners))
    return spread_power(power_w, assignment, state.system.subchannel_hz)


def spread_power(power_w: Floats, assignment: Ints, subchannel_hz: Floats) -> Floats:
    """[M] W/Hz: every owner spreads its power ([C], W) evenly over its subchannels; 0 on unused ones."""
    owned = assignment >= 0
    owner = assignment[owned]
    own_hz = np.bincount(owner, subchannel_hz[owned], minlength=len(power_w))
    psd = np.zeros(len(assignment))
    psd[owned] = power_w[owner] / own_hz[owner]
    return psd


@njit(cache=True)
def _minimise_last_uplink(
    gain: Floats,
    assignment: Ints,
    hz: Floats,
    noise: float,
    ready_s: Floats,
    uplink_bits: Floats,
    owners: Ints,
    feasible_psd: Floats,
    client_max_w: float,
    total_max_w: float,
) -> Floats:
    best = feasible_psd.copy()
    rates = own_rates(gain, assignment, feasible_psd, hz, noise)
    low = high = 0.0
    for i in owners:
        low = max(low, ready_s[i])
        high = max(high, ready_s[i] + duration(uplink_bits[i], rates[i]))
    trial = np.zeros_like(best)
    while high - low > PRECISION * high:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        total = 0.0
        feasible = True
        for i in owners:
            seconds = middle - ready_s[i]
            needed = (
                inf if seconds <= 0 else _least_power(i, uplink_bits[i] / seconds, gain, assignment, hz, noise, trial)
            )
            total += needed
            if needed > client_max_w or total > total_max_w:
                feasible = False
                break
        if feasible:
            high = middle
            best[:] = trial
        else:
            low = middle
    if high < inf:
        # If the even split was already the best, those who are in time with less power have to get less.
        for i in owners:
            own = assignment == i
            if uplink_bits[i] == 0.0:
                best[own] = 0.0
                continue
            needed = _least_power(i, uplink_bits[i] / (high - ready_s[i]), gain, assignment, hz, noise, trial)
            if needed <= np.sum(best[own] * hz[own]):
                best[own] = trial[own]
    return best


@njit(cache=True)
def _least_power(i: int, rate: float, gain: Floats, assignment: Ints, hz: Floats, noise: float, psd: Floats) -> float:
    """Least power (W) with which client i reaches a rate; its PSDs are written to `psd`.

    Water-filling: p_k = max(0, mu - N0/g_k) with sum_k B_k log2(mu g_k / N0) = rate over the subchannels above water.
    """
    own = np.nonzero(assignment == i)[0]
    floor = np.empty(own.shape[0])
    for n in range(own.shape[0]):
        floor[n] = noise / gain[i, own[n]]
    order = np.argsort(floor)
    wet_hz = 0.0
    weighted = 0.0
    level = inf
    for n in order:
        # A worse subchannel stays dry if the water does not reach its floor.
        if level <= floor[n]:
            break
        wet_hz += hz[own[n]]
        weighted += hz[own[n]] * log2(floor[n])
        exponent = (rate + weighted) / wet_hz
        level = 2.0**exponent if exponent < 1000.0 else inf
    power = 0.0
    for n in range(own.shape[0]):
        psd[own[n]] = max(0.0, level - floor[n])
        power += psd[own[n]] * hz[own[n]]
    return power
