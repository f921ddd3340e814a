"""Descents where stations interfere: each takes what the one before it would send as noise, and the best one counts.

One more uses each subchannel once in all cells together, so what is found is expected to be no worse than that. It is
the only one where clients of one station alone are served.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from splitgym.allocation.own_station import at_own_station, owners_that_send
from splitgym.arrays import Bools, Ints
from splitgym.timing.cost import clock_of_thread
from splitgym.timing.reuse import fill_interference
from splitgym.types import Decision, RoundState

if TYPE_CHECKING:
    from splitgym.allocation.descent.descent import Descent

DESCENTS = 3
"""As many, the first one with the interference of the last round. More of them gain a percent."""

Descend = Callable[[RoundState, Ints | None], "Descent"]
"""The descent in a state, with interference as noise, for given owners or for any at their own stations."""


def settled(state: RoundState, descend: Descend, owner: Ints | None, keeps_owners: bool) -> "Descent":
    """The best of some descents; what it expects is with the interference of its own decision.

    Args:
        state: Of one world or N, in which stations interfere.
        descend: The descent.
        owner: Given owners; None: they are to be found, and subchannels may be used once only.
        keeps_owners: Whether the last descent may be given the owners that the one before found: so powers settle.
    """
    expected = _Expected(state)
    best = found = expected.of(descend(state, owner))
    for number in range(1, DESCENTS):
        before, state = state, _interfered(state, found.decision)
        if _interfere_alike(before, state):
            # It would find the same again.
            break
        keeps = owner is None and keeps_owners and number == DESCENTS - 1
        found = expected.of(descend(state, found.decision.assignment if keeps else owner))
        best = _better(best, found)
    return best if owner is not None else _better(best, coordinated(state, descend))


def coordinated(state: RoundState, descend: Descend) -> "Descent":
    """The descent that uses each subchannel once, at the station of its owner; arguments likewise."""
    return _Expected(state).of(_at_stations(descend(state.coordinated(), None), state))


class _Expected:
    """What rounds take with the interference of their own decisions.

    Args:
        state: As the scheduler believes it; what was sent before does not matter.
    """

    def __init__(self, state: RoundState) -> None:
        self._state, self._worlds = state, state if state.batched else state.batch()
        self._clock = clock_of_thread(self._worlds)

    def of(self, found: "Descent") -> "Descent":
        """A descent with what a round of its decision takes."""
        decision = at_own_station(found.decision, self._state)
        cost = self._clock.cost(self._worlds, decision if self._state.batched else decision.batch())
        participants, latency_s = cost.participants.sum(-1), cost.latency_s.copy()
        if not self._state.batched:
            participants, latency_s = int(participants[0]), float(latency_s[0])
        return found._replace(decision=decision, participants=participants, latency_s=latency_s)


def _interfere_alike(one: RoundState, other: RoundState) -> bool:
    """Whether the same interferes in both states."""
    names = ("uplink_interference", "downlink_interference")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def _at_stations(found: "Descent", state: RoundState) -> "Descent":
    """What was found for coordinated stations, as a decision where every station uses all subchannels."""
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
    owner, psd = owners_that_send(decision, state.available), decision.power_w_per_hz
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
