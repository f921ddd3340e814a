"""What the radio offers, as allocation needs it: noise floors, downlink rates and budgets of one world."""

from math import log2
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.rounds import RoundState, System
from splitgym.timing.rates import subchannel_rate

Floats = NDArray[np.float64]


class Links(NamedTuple):
    """Links of C clients over M subchannels."""

    hz: Floats
    """[M] B_k."""
    floor: Floats
    """[C, M] N0 / (G g_ik), W/Hz: the power spectral density at which the SNR is 1."""
    log_floor: Floats
    """[C, M] log2 of `floor`."""
    downlink: Floats
    """[C, M] bits/s that the base station sends on each subchannel."""
    band: Floats
    """[C] bits/s over the whole band."""
    lowest_floor: Floats
    """[C] of the client's best subchannel."""
    best_downlink: Floats
    """[C] on it, bits/s/Hz."""
    client_max_w: float
    """p_max."""
    total_max_w: float
    """p_th."""


class Radio(NamedTuple):
    """What `System` says of the radio, for kernels."""

    noise_psd_w_per_hz: float
    downlink_psd_w_per_hz: float
    client_power_max_w: float
    total_power_max_w: float


def radio_of(system: System) -> Radio:
    """The radio of a system."""
    return Radio(
        system.noise_psd_w_per_hz,
        system.downlink_psd_w_per_hz,
        system.client_power_max_w,
        system.total_power_max_w,
    )


@njit(cache=True, error_model="numpy")
def links_of(radio: Radio, hz: Floats, gain: Floats) -> Links:
    """The links over subchannels of these bandwidths ([M], Hz) at gains [C, M]."""
    clients, subchannels = gain.shape
    floor, log_floor, downlink = np.empty_like(gain), np.empty_like(gain), np.empty_like(gain)
    band, lowest, best_downlink = np.zeros(clients), np.full(clients, np.inf), np.zeros(clients)
    for i in range(clients):
        for k in range(subchannels):
            floor[i, k] = radio.noise_psd_w_per_hz / gain[i, k]
            log_floor[i, k] = log2(floor[i, k])
            downlink[i, k] = subchannel_rate(hz[k], radio.downlink_psd_w_per_hz, gain[i, k], radio.noise_psd_w_per_hz)
            band[i] += downlink[i, k]
            lowest[i] = min(lowest[i], floor[i, k])
            best_downlink[i] = max(best_downlink[i], downlink[i, k] / hz[k])
    return Links(
        hz,
        floor,
        log_floor,
        downlink,
        band,
        lowest,
        best_downlink,
        radio.client_power_max_w,
        radio.total_power_max_w,
    )


def own_links(state: RoundState) -> Links:
    """The links; `state` is of one world."""
    return links_of(radio_of(state.system), state.subchannel_hz, state.channel_gain)
