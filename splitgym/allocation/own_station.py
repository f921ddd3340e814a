"""Subchannels of stations that clients do not belong to, where every station uses all subchannels."""

from dataclasses import replace

import numpy as np

from splitgym.types import Decision, RoundState


def at_own_station(decision: Decision, state: RoundState) -> Decision:
    """The decision in which nobody uses subchannels of another station than its own; those are unused.

    Args:
        decision: Of one world or N, known to fit.
        state: Of as many.
    """
    reuse, owner = state.system.stations_on_a_subchannel, np.asarray(decision.assignment)
    if reuse == 1:
        return decision
    station = np.take_along_axis(state.station, np.maximum(owner, 0), -1)
    at_station = np.arange(owner.shape[-1]) // (owner.shape[-1] // reuse)
    foreign = (owner >= 0) & (station != at_station)
    if not foreign.any():
        return decision
    power = np.where(foreign, 0.0, decision.power_w_per_hz)
    return replace(decision, assignment=np.where(foreign, -1, owner), power_w_per_hz=power)
