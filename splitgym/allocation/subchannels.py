"""Subchannels, greedy in two phases (the paper's first block)."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.allocation.budget import even_power_w
from splitgym.allocation.load import own_load
from splitgym.rounds import RoundState
from splitgym.timing.clock import duration
from splitgym.timing.rates import subchannel_rate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def greedy_subchannels(state: RoundState, cut_layer: int, selected: Bools, aggregation_ratio: float) -> Ints:
    """Deals subchannels to clients: one each, weakest compute first; then always the straggler gets one more.

    A client spreads an even share of the power budgets over what it owns. The straggler is who needs longest for all
    that it does by itself. Whom its best free subchannel would no longer help is dropped. With fewer subchannels than
    clients the clients that compute fastest are served.

    Args:
        state: Of one world, as the scheduler believes it.
        cut_layer: 1..L-1.
        selected: [C] who shall get subchannels.
        aggregation_ratio: phi.

    Returns:
        [M] owner of each subchannel, -1: unused (only if nobody is selected or all were dropped).
    """
    load = own_load(state, cut_layer, aggregation_ratio)
    compute_s = load.compute_before_s + load.compute_after_s
    system = state.system
    served = _served(selected, compute_s, system.subchannels)
    return _deal(
        state.channel_gain,
        system.subchannel_hz,
        system.noise_psd_w_per_hz,
        system.downlink_psd_w_per_hz,
        even_power_w(state, int(served.sum())),
        served,
        compute_s,
        load.uplink_bits,
        load.downlink_bits_before + load.downlink_bits_after,
    )


def _served(selected: Bools, compute_s: Floats, subchannels: int) -> Bools:
    """The selected clients, or as many of the fastest of them as there are subchannels."""
    served = np.zeros_like(selected)
    order = [i for i in np.argsort(compute_s, kind="stable") if selected[i]]
    served[order[:subchannels]] = True
    return served


@njit(cache=True)
def _own_seconds(
    i: int,
    owner: Ints,
    gain: Floats,
    hz: Floats,
    noise: float,
    downlink_psd: float,
    power_w: float,
    compute_s: float,
    uplink_bits: float,
    downlink_bits: float,
) -> float:
    """Seconds that client i needs for what it does by itself, its power spread evenly over its subchannels."""
    own_hz = 0.0
    for k in range(owner.shape[0]):
        if owner[k] == i:
            own_hz += hz[k]
    if own_hz == 0.0:
        return np.inf
    uplink = downlink = 0.0
    for k in range(owner.shape[0]):
        if owner[k] == i:
            uplink += subchannel_rate(hz[k], power_w / own_hz, gain[i, k], noise)
            downlink += subchannel_rate(hz[k], downlink_psd, gain[i, k], noise)
    return compute_s + duration(uplink_bits, uplink) + duration(downlink_bits, downlink)


@njit(cache=True)
def _best_free(i: int, owner: Ints, gain: Floats) -> int:
    best = -1
    for k in range(owner.shape[0]):
        if owner[k] < 0 and (best < 0 or gain[i, k] > gain[i, best]):
            best = k
    return best


@njit(cache=True)
def _deal(
    gain: Floats,
    hz: Floats,
    noise: float,
    downlink_psd: float,
    power_w: float,
    served: Bools,
    compute_s: Floats,
    uplink_bits: Floats,
    downlink_bits: Floats,
) -> Ints:
    clients, subchannels = gain.shape
    owner = np.full(subchannels, -1)
    seconds = np.full(clients, -np.inf)
    order = np.argsort(-compute_s, kind="mergesort")
    for i in order:
        if served[i]:
            owner[_best_free(i, owner, gain)] = i
            seconds[i] = _own_seconds(
                i, owner, gain, hz, noise, downlink_psd, power_w, compute_s[i], uplink_bits[i], downlink_bits[i]
            )
    while True:
        straggler = int(np.argmax(seconds))
        k = _best_free(straggler, owner, gain)
        if k < 0 or seconds[straggler] == -np.inf:
            return owner
        owner[k] = straggler
        faster = _own_seconds(
            straggler,
            owner,
            gain,
            hz,
            noise,
            downlink_psd,
            power_w,
            compute_s[straggler],
            uplink_bits[straggler],
            downlink_bits[straggler],
        )
        if faster < seconds[straggler]:
            seconds[straggler] = faster
        else:
            owner[k] = -1
            seconds[straggler] = -np.inf
