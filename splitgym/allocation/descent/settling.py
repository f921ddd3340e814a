"""Descents where stations interfere: each takes what the one before it would send as noise, and the best one counts.

One more uses each subchannel once in all cells together, so what is found is expected to be no worse than that.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from splitgym.allocation.own_station import at_own_station
from splitgym.arrays import Bools
from splitgym.timing.cost import round_cost_unchecked
from splitgym.timing.reuse import fill_interference
from splitgym.types import Decision, RoundState

if TYPE_CHECKING:
    from splitgym.allocation.descent.descent import Descent

DESCENTS = 3
"""As many, the first one with the interference of the last round. More of them gain less than a percent."""


def settled(state: RoundState, descend: "Callable[[RoundState], Descent]", may_coordinate: bool) -> "Descent":
    """The best of some descents; what it expects is with the interference of its own decision.

    Args:
        state: Of one world or N, in which stations interfere.
        descend: The descent in a state, with interference as noise; owners at their own stations, or nobody.
        may_coordinate: Whether subchannels may be used once only; not where owners are given.
    """
    best = _expected(state, descend(state))
    found = best
    for _ in range(DESCENTS - 1):
        state = _interfered(state, found.decision)
        found = _expected(state, descend(state))
        best = _better(best, found)
    return _better(best, _expected(state, _coordinated(state, descend))) if may_coordinate else best


def _expected(state: RoundState, found: "Descent") -> "Descent":
    """A descent with what a round of its decision takes, with the interference of that."""
    decision = at_own_station(found.decision, state)
    cost = round_cost_unchecked(state, decision)
    participants, latency_s = cost.participants.sum(-1), np.asarray(cost.latency_s)[()]
    return found._replace(decision=decision, participants=participants, latency_s=latency_s)


def _coordinated(state: RoundState, descend: "Callable[[RoundState], Descent]") -> "Descent":
    """The descent that uses each subchannel once, at the station of its owner."""
    found = descend(state.coordinated())
    owner, psd = found.decision.assignment, found.decision.power_w_per_hz
    at_station = np.take_along_axis(state.station, np.maximum(owner, 0), -1)
    stations = state.system.stations_on_a_subchannel
    uses = (at_station[..., None, :] == np.arange(stations)[:, None]) & (owner >= 0)[..., None, :]
    band = (*owner.shape[:-1], stations * owner.shape[-1])
    decision = replace(
        found.decision,
        assignment=np.where(uses, owner[..., None, :], -1).reshape(band),
        power_w_per_hz=np.where(uses, psd[..., None, :], 0.0).reshape(band),
    )
    return found._replace(decision=decision)


def _interfered(state: RoundState, decision: Decision) -> RoundState:
    """The state with the interference of what a decision would send in it."""
    one = not state.batched
    gain, station_gain = state.channel_gain, state.station_gain
    owner, psd = np.asarray(decision.assignment), decision.power_w_per_hz
    sends = np.take_along_axis(decision.selected & state.available, np.maximum(owner, 0), -1) & (owner >= 0)
    owner = np.where(sends, owner, -1)
    if one:
        gain, station_gain, owner, psd = gain[None], station_gain[None], owner[None], psd[None]
    uplink, downlink = np.empty(owner.shape), np.empty(gain.shape)
    fill_interference(station_gain, owner, psd, state.system.downlink_psd_w_per_hz, uplink, downlink)
    if one:
        uplink, downlink = uplink[0], downlink[0]
    return replace(state, uplink_interference=uplink, downlink_interference=downlink)


def _better(one: "Descent", other: "Descent") -> "Descent":
    """The better one in each world: with more clients that take part, else with less latency; of equals the first."""
    more, as_many = other.participants > one.participants, other.participants == one.participants
    better = more | (as_many & (other.latency_s < one.latency_s))
    if np.ndim(better) == 0:
        return other if better else one
    return type(one)(
        Decision(**{each.name: _chosen(better, one.decision, other.decision, each.name) for each in fields(Decision)}),
        np.where(better, other.participants, one.participants),
        np.where(better, other.latency_s, one.latency_s),
        np.where(better[:, None], other.steps_s, one.steps_s),
    )


def _chosen(better: Bools, one: Decision, other: Decision, field: str) -> Any:
    """A field of the other decision in the worlds in which it is better; one number for all is the same in both."""
    first, second = getattr(one, field), getattr(other, field)
    if np.ndim(first) == 0 and np.ndim(second) == 0:
        return first
    rest = max(np.ndim(first), np.ndim(second)) - 1
    return np.where(better.reshape(-1, *[1] * rest), second, first)
