"""What policies see of several stations; all are of N worlds, [N, C], 0..1."""

import numpy as np

from splitgym.arrays import Floats
from splitgym.types import RoundState

EFFICIENCY = 4.0
"""bit/s/Hz at which a radio over the whole band takes as long as wires that are shown as 0.5."""


def station(state: RoundState) -> Floats:
    """Index of the client's station over that of the last one."""
    return np.asarray(state.present * state.station / max(len(state.system.stations) - 1, 1))


def interruption(state: RoundState) -> Floats:
    """Seconds by which the client begins the round later, squashed at time budget / round budget."""
    scale_s = state.system.time_budget_s / state.system.max_rounds
    return np.asarray(state.present * state.interruption_s / (state.interruption_s + scale_s))


def interference(state: RoundState) -> Floats:
    """Part of the interference in it and noise, mean over the subchannels of the client's station, uplink."""
    heard = state.uplink_interference / (state.uplink_interference + state.system.noise_psd_w_per_hz)
    of_stations = heard.reshape(len(heard), state.system.stations_on_a_subchannel, -1).mean(-1)
    return np.asarray(state.present * np.take_along_axis(of_stations, state.station, 1))


def wired(state: RoundState) -> Floats:
    """Seconds of a bit over wires, squashed at those over the whole band at 4 bit/s/Hz."""
    s_per_bit = state.wired_s_per_bit[..., 0]
    band_hz = state.subchannel_hz.sum(-1, keepdims=True) / state.system.stations_on_a_subchannel
    radio_s_per_bit = 1.0 / (EFFICIENCY * band_hz)
    return np.asarray(state.present * s_per_bit / (s_per_bit + radio_s_per_bit))
