"""Who may use which subchannels, where every station uses all of them: each client those of its own station."""

from dataclasses import replace

import numpy as np

from splitgym.arrays import Bools, Ints
from splitgym.types import Decision, RoundState


def at_own_station(decision: Decision, state: RoundState) -> Decision:
    """The decision in which nobody uses subchannels of another station than its own; those are unused.

    Args:
        decision: Of one world or N, known to fit.
        state: Of as many.
    """
    if state.system.stations_on_a_subchannel == 1:
        return decision
    owner = owners_at_own_station(decision.assignment, state)
    if np.array_equal(owner, decision.assignment):
        return decision
    return replace(decision, assignment=owner, power_w_per_hz=np.where(owner < 0, 0.0, decision.power_w_per_hz))


def owners_at_own_station(owner: Ints, state: RoundState) -> Ints:
    """[S M] or [N, S M] owners without those at other stations than their own, where every station uses them all."""
    subchannels = owner.shape[-1] // state.system.stations_on_a_subchannel
    station = np.take_along_axis(state.station, np.maximum(owner, 0), -1)
    return np.where(station == np.arange(owner.shape[-1]) // subchannels, owner, -1)


def with_a_subchannel(selected: Bools, state: RoundState) -> Bools:
    """[C] or [N, C] those of some clients for whom their stations have a subchannel, likewise.

    At a station with more of them than subchannels those with the best channels, of equals the first.
    """
    stations = state.system.stations_on_a_subchannel
    wanted, gain = selected & state.available, state.channel_gain.mean(-1)
    kept: Bools = np.zeros(wanted.shape, bool)
    for s in range(stations):
        here = wanted & (state.station == s)
        order = np.argsort(np.where(here, -gain, np.inf), axis=-1, kind="stable")
        first = np.argsort(order, axis=-1) < state.system.subchannels // stations
        kept |= here & first
    return kept
