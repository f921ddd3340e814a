"""Who may use which subchannels, where every station uses all of them: each client those of its own station."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from splitgym.arrays import Bools, Ints
from splitgym.types import Decision, RoundState


def bands(state: RoundState) -> list[tuple[slice, Bools]]:
    """Who may own which subchannels: those of each band, and the [C] or [N, C] clients that share it.

    Where every station uses all subchannels each has a band, for the clients that belong to it; else there is one.
    """
    stations = state.system.stations_on_a_subchannel
    if stations == 1:
        return [(slice(None), _everybody(state.available.shape))]
    each = state.system.subchannels // stations
    return [(slice(s * each, (s + 1) * each), state.station == s) for s in range(stations)]


@lru_cache(maxsize=32)
def _everybody(shape: tuple[int, ...]) -> Bools:
    """All clients; for reading only."""
    everybody = np.ones(shape, bool)
    everybody.setflags(write=False)
    return everybody


def owners_named(named: Ints, state: RoundState) -> Ints:
    """[N, M] owners, each client standing for the next one where it may not own the subchannel itself.

    That is the first after it, around the end, that belongs to the subchannel's station and is available; so every
    index means somebody at every station that has clients. Where stations share the band owners stay as they are.

    Args:
        named: [N, M] clients, -1: the subchannel is unused.
        state: Of N worlds.
    """
    if state.system.stations_on_a_subchannel == 1:
        return named
    clients = np.arange(state.available.shape[-1])
    ahead = (clients - clients[:, None]) % len(clients)
    owner = np.full(named.shape, -1)
    for band, members in bands(state):
        may = members & state.available
        first = np.where(may[:, None, :], ahead, len(clients)).argmin(-1)
        stands_for = np.take_along_axis(first, np.maximum(named[:, band], 0), -1)
        owner[:, band] = np.where((named[:, band] >= 0) & may.any(-1, keepdims=True), stands_for, -1)
    return owner


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


def owners_that_send(decision: Decision, available: Bools) -> Ints:
    """[S M] or [N, S M] owners of a decision without those that are not selected or, [C] or [N, C], have gone."""
    owner = decision.assignment
    sends = np.take_along_axis(decision.selected & available, np.maximum(owner, 0), -1) & (owner >= 0)
    return np.where(sends, owner, -1)


def are_at_one_station(selected: Bools, state: RoundState) -> bool:
    """Whether all that are selected, [C] or [N, C], belong to the same station, in each world."""
    first = np.take_along_axis(state.station, selected.argmax(-1)[..., None], -1)
    return not (selected & (state.station != first)).any()


def with_a_subchannel(selected: Bools, state: RoundState) -> Bools:
    """[C] or [N, C] those of some clients for whom their stations have a subchannel, likewise.

    At a station with more of them than subchannels those with the best channels, of equals the first.
    """
    wanted, gain = selected & state.available, state.mean_gain
    kept: Bools = np.zeros(wanted.shape, bool)
    for band, members in bands(state):
        here = wanted & members
        order = np.argsort(np.where(here, -gain, np.inf), axis=-1, kind="stable")
        kept |= here & (np.argsort(order, axis=-1) < state.subchannel_hz[..., band].shape[-1])
    return kept
