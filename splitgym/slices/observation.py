"""What a controller may know of the slices: numbers from 0 to 1, a row for each slice."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.envs.features import ObservationSpace
from splitgym.slices.slice import Grant, Slice
from splitgym.types import RoundState

HALF_EFFICIENCY = 4.0
"""bit/s/Hz at which a channel is 0.5."""


class Seen(NamedTuple):
    """A slice at the start of a period."""

    slice: Slice
    state: RoundState
    """What is believed of the whole band for the round that is on its way, or else for the next one."""
    now_s: float

    @property
    def round_s(self) -> float:
        """The slice's usual round: its deadline, or time budget over round budget, s."""
        episode = self.slice.env.scenario.episode
        return self.slice.row.deadline_s or episode.time_budget_s / episode.max_rounds


class SliceFeature(NamedTuple):
    """A number of a slice that observations show."""

    name: str
    text: str
    """What it is."""
    of: Callable[[Seen], float]
    """Its value, 0..1."""


def _squash(value: float, reference: float) -> float:
    """0 to 1, with 0.5 at the reference."""
    return value / (value + reference)


def _channel(seen: Seen) -> float:
    state, system = seen.state, seen.state.system
    snr = system.client_power_max_w / state.subchannel_hz.sum() / system.noise_psd_w_per_hz
    efficiency = np.log2(1 + snr * state.channel_gain[state.present])
    return float(np.mean(efficiency / (efficiency + HALF_EFFICIENCY)))


def _compute(seen: Seen) -> float:
    clients = seen.slice.env.scenario.clients
    hz = seen.state.client_hz[seen.state.present]
    return float(np.mean(hz / (hz + np.sqrt(clients.compute_min_hz * clients.compute_max_hz))))


def _on_its_way(seen: Seen) -> float:
    running = seen.slice.running
    return 0.0 if running is None else _squash(seen.now_s - running.begin_s, seen.round_s)


def _part(seen: Seen, grant: Grant) -> float:
    return len(grant.subchannels) / len(seen.state.subchannel_hz)


def _in_use(seen: Seen) -> float:
    running = seen.slice.running
    return 0.0 if running is None else _part(seen, running.grant)


def _deadline(seen: Seen) -> float:
    row, episode = seen.slice.row, seen.slice.env.scenario.episode
    return 0.0 if row.deadline_s is None else _squash(row.deadline_s, episode.time_budget_s / episode.max_rounds)


def _time_left(seen: Seen) -> float:
    return max(0.0, 1 - seen.now_s / seen.slice.env.scenario.episode.time_budget_s)


FEATURES = (
    SliceFeature("subchannels", "share of the subchannels that it has", lambda s: _part(s, s.slice.grant)),
    SliceFeature("server", "share of the server that it has", lambda s: s.slice.grant.server_share),
    SliceFeature("in_use", "share of the subchannels that its round on its way uses", _in_use),
    SliceFeature(
        "channel",
        "believed spectral efficiency with p_max over the whole band, squashed at 4 bit/s/Hz; mean over clients and "
        "subchannels",
        _channel,
    ),
    SliceFeature(
        "compute",
        "believed speed of the clients, squashed at the geometric mean of the slowest and the fastest; mean",
        _compute,
    ),
    SliceFeature(
        "available",
        "clients that are believed to be there, over all",
        lambda s: float(s.state.available[s.state.present].mean()),
    ),
    SliceFeature("accuracy", "test accuracy after its last round", lambda s: s.slice.accuracy),
    SliceFeature(
        "latency",
        "latency of its last round, squashed at its deadline, or at time budget / round budget",
        lambda s: _squash(s.slice.progress.latency_s, s.round_s),
    ),
    SliceFeature("on_its_way", "seconds since its round began, squashed likewise; 0: it has none", _on_its_way),
    SliceFeature("latency_critical", "1 if it has a deadline", lambda s: float(s.slice.is_critical)),
    SliceFeature("deadline", "its deadline, squashed at time budget / round budget; 0: none", _deadline),
    SliceFeature(
        "allowed", "share of its rounds that may be late; 0: none", lambda s: s.slice.row.violation_probability or 0.0
    ),
    SliceFeature("violations", "share of its rounds that were late", lambda s: s.slice.violation_rate),
    SliceFeature("time_left", "time budget that is left, over all of it", _time_left),
    SliceFeature("ended", "1 if its episode has ended", lambda s: float(s.slice.progress.ended)),
)
"""In the order of the observation, of each slice."""


def names_of(slices: Sequence[Slice]) -> tuple[str, ...]:
    """What stands at each index: `feature[slice]`, slice by slice."""
    return tuple(f"{feature.name}[{each.name}]" for each in slices for feature in FEATURES)


def space_of(slices: Sequence[Slice]) -> spaces.Box:
    """Box(0, 1) that names every index."""
    return ObservationSpace(names_of(slices))


def observe(slices: Sequence[Slice], now_s: float) -> NDArray[np.float32]:
    """The observation at this time."""
    seen = [Seen(each, each.env.whole_state, now_s) for each in slices]
    return np.array([feature.of(each) for each in seen for feature in FEATURES], np.float32)
