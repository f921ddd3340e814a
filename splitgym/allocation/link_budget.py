"""What the radio offers, as allocation needs it: noise floors, downlink rates and budgets of one world."""

from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import ln
from splitgym.timing.rates import LN2, subchannel_rate
from splitgym.timing.wires import through
from splitgym.types import RoundState, SystemParameters


class Links(NamedTuple):
    """Links of C clients over M subchannels."""

    hz: Floats
    """[M] B_k."""
    floor: Floats
    """[C, M] (N0 + I_k) / (G g_ik), W/Hz: the power spectral density at which the SNR is 1."""
    log_floor: Floats
    """[C, M] log2 of `floor`."""
    downlink: Floats
    """[C, M] bits/s that the base station sends on each subchannel."""
    band: Floats
    """[C] bits/s of a broadcast over wires and the whole band."""
    whole: Floats
    """[C] bits/s that the base station sends on the whole band."""
    lowest_floor: Floats
    """[C] of the client's best subchannel."""
    best_downlink: Floats
    """[C] on it, bits/s/Hz."""
    client_max_w: float
    """p_max."""
    total_max_w: float
    """p_th."""


class Radio(NamedTuple):
    """What `SystemParameters` says of the radio, for kernels."""

    noise_psd_w_per_hz: float
    downlink_psd_w_per_hz: float
    client_power_max_w: float
    total_power_max_w: float
    stations_on_a_subchannel: int


@lru_cache(maxsize=32)
def radio_of(system: SystemParameters) -> Radio:
    """The radio of a system."""
    return Radio(
        system.noise_psd_w_per_hz,
        system.downlink_psd_w_per_hz,
        system.client_power_max_w,
        system.total_power_max_w,
        system.stations_on_a_subchannel,
    )


def empty_links(clients: int, subchannels: int, radio: Radio) -> Links:
    """Links that nobody has, to be filled."""
    return Links(
        np.zeros(subchannels),
        np.zeros((clients, subchannels)),
        np.zeros((clients, subchannels)),
        np.zeros((clients, subchannels)),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
        radio.client_power_max_w,
        radio.total_power_max_w,
    )


@kernel(INLINED)
def fill_links(
    links: Links,
    radio: Radio,
    hz: Floats,
    gain: Floats,
    s_per_bit: Floats,
    wanted: Bools,
    uplink_interference: Floats,
    downlink_interference: Floats,
) -> None:
    """Fills in the links of the clients that are wanted ([C]). Interference counts as noise, whatever is allocated.

    Args:
        links: Filled.
        radio: Of the system.
        hz: [M] bandwidths.
        gain: [C, M].
        s_per_bit: [C, F] seconds that a bit needs over wires, to the first server.
        wanted: [C].
        uplink_interference: [M] at each subchannel's station, W/Hz; [0]: there is none.
        downlink_interference: [C, M] at each client; [C, 0]: there is none.
    """
    floor, log_floor, downlink = links.floor, links.log_floor, links.downlink
    clients, subchannels = gain.shape
    for k in range(subchannels):
        links.hz[k] = hz[k]
    noise, downlink_psd = radio.noise_psd_w_per_hz, radio.downlink_psd_w_per_hz
    for i in range(clients):
        wide = subchannels if wanted[i] else 0
        # A loop without sums, which the compiler works out for several subchannels at once.
        for k in range(wide):
            x = noise / gain[i, k]
            floor[i, k] = x
            log_floor[i, k] = ln(x) / LN2 if x < inf else inf
            downlink[i, k] = subchannel_rate(hz[k], downlink_psd, gain[i, k], noise)
        band, lowest, best_downlink = 0.0, inf, 0.0
        for k in range(wide):
            # All stations broadcast the same.
            band += downlink[i, k]
        for k in range(min(wide, uplink_interference.shape[0])):
            floor[i, k] = (noise + uplink_interference[k]) / gain[i, k]
            log_floor[i, k] = ln(floor[i, k]) / LN2
            downlink[i, k] = subchannel_rate(hz[k], downlink_psd, gain[i, k], noise + downlink_interference[i, k])
        for k in range(wide):
            lowest = min(lowest, floor[i, k])
            best_downlink = max(best_downlink, downlink[i, k] / hz[k])
        links.band[i], links.whole[i] = through(band, s_per_bit[i, 0]), band
        links.lowest_floor[i], links.best_downlink[i] = lowest, best_downlink


def own_links(state: RoundState) -> Links:
    """The links; `state` is of one world."""
    clients, subchannels = state.channel_gain.shape
    radio, everybody = radio_of(state.system), np.ones(clients, np.bool_)
    links = empty_links(clients, subchannels, radio)
    fill_links(
        links,
        radio,
        state.subchannel_hz,
        state.channel_gain,
        state.wired_s_per_bit,
        everybody,
        state.uplink_interference,
        state.downlink_interference,
    )
    return links
