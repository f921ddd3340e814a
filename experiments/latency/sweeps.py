"""What is varied: one quantity of a preset at a time, everything else as it stands there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.cells import ENDLESS_S, random_states
from splitgym.arrays import Floats
from splitgym.frameworks import Framework, get
from splitgym.scenario import Scenario, build
from splitgym.types import RoundState

Fields = dict[str, dict[str, Any]]


def endless(preset: str) -> Scenario:
    """The preset without its round timeout: nobody is left out, so rounds of all methods train the same."""
    return build(preset, {"episode": {"round_timeout_s": ENDLESS_S}})


def bandwidth_hz(scenario: Scenario) -> float:
    """Whole band, Hz."""
    return scenario.radio.subchannels * scenario.radio.subchannel_hz


def mean_client_hz(scenario: Scenario) -> float:
    """Mean speed of clients that lie uniformly between slowest and fastest, cycles/s."""
    return (scenario.clients.compute_min_hz + scenario.clients.compute_max_hz) / 2


def compute_ratio(scenario: Scenario) -> float:
    """Speed of the fastest client over that of the slowest."""
    return scenario.clients.compute_max_hz / scenario.clients.compute_min_hz


def gain_deviation_db(scenario: Scenario) -> float:
    """Standard deviation of the clients' mean gains over the band, dB; of 1000 random cells."""
    return float(_gain_db(random_states(scenario, get("psl"), range(1000))).std())


def with_clients(scenario: Scenario, clients: float) -> Fields:
    """So many clients; where subchannels are fewer, the same band is divided into more."""
    subchannels = max(clients, scenario.radio.subchannels)
    return {"clients": {"count": int(clients)}, **with_subchannels(scenario, subchannels)}


def with_bandwidth(scenario: Scenario, band_hz: float) -> Fields:
    """Wider or narrower subchannels."""
    return {"radio": {"subchannel_hz": band_hz / scenario.radio.subchannels}}


def with_subchannels(scenario: Scenario, subchannels: float) -> Fields:
    """The same band in so many subchannels."""
    return {"radio": {"subchannels": int(subchannels), "subchannel_hz": bandwidth_hz(scenario) / subchannels}}


def with_server_compute(scenario: Scenario, server_hz: float) -> Fields:
    """Another speed of the server."""
    return {"server": {"compute_hz": server_hz}}


def with_client_compute(scenario: Scenario, mean_hz: float) -> Fields:
    """Another mean speed of the clients, their ratio kept."""
    return _clients_between(mean_hz, compute_ratio(scenario))


def with_compute_ratio(scenario: Scenario, ratio: float) -> Fields:
    """Another ratio of the fastest client to the slowest, their mean kept."""
    return _clients_between(mean_client_hz(scenario), ratio)


def spread_gains(states: list[RoundState], deviation_db: float) -> list[RoundState]:
    """Stretches the clients' mean gains over the band around the mean of all, in dB; at 0 all clients have the same.

    Args:
        states: Of random cells.
        deviation_db: Standard deviation over the clients of all cells that the gains shall have.
    """
    before = _gain_db(states)
    after = before.mean() + (before - before.mean()) * deviation_db / before.std()
    factors = 10 ** ((after - before) / 10)
    return [
        replace(state, channel_gain=state.channel_gain * factor[:, None])
        for state, factor in zip(states, factors, strict=True)
    ]


def _gain_db(states: Sequence[RoundState]) -> Floats:
    """[N, C] each client's mean gain over the band, dB."""
    return 10 * np.log10([state.channel_gain.mean(1) for state in states])


def _clients_between(mean_hz: float, ratio: float) -> Fields:
    slowest_hz = 2 * mean_hz / (1 + ratio)
    return {"clients": {"compute_min_hz": slowest_hz, "compute_max_hz": ratio * slowest_hz}}


@dataclass(frozen=True)
class Sweep:
    """One quantity and its values."""

    label: str
    """With the unit in which values are shown."""
    of: Callable[[Scenario], float]
    """The quantity in a scenario, in SI units or dB."""
    fields: Callable[[Scenario, float], Fields] | None
    """What to replace in a scenario for a value of it; None: gains are spread in the scenario's own cells."""
    absolute: tuple[float, ...] = ()
    """Values beside the preset's own, in SI units or dB."""
    factors: tuple[float, ...] = ()
    """Values beside the preset's own, as multiples of it."""
    unit: float = 1.0
    """The label's unit."""

    def values(self, scenario: Scenario) -> list[float]:
        """The values for a preset, its own among them, in increasing order."""
        own = self.of(scenario)
        return sorted({own, *self.absolute, *(factor * own for factor in self.factors)})

    def states(self, scenario: Scenario, value: float, framework: Framework, seeds: Sequence[int]) -> list[RoundState]:
        """Random cells of a preset at one of the values."""
        if self.fields is None:
            return spread_gains(random_states(scenario, framework, seeds), value)
        return random_states(build(scenario, self.fields(scenario, value)), framework, seeds)


SWEEPS: Mapping[str, Sweep] = {
    "clients": Sweep(
        "number of clients", lambda s: s.clients.count, with_clients, absolute=(5, 10, 20, 30, 40, 50, 200)
    ),
    "bandwidth": Sweep("total bandwidth (MHz)", bandwidth_hz, with_bandwidth, factors=(0.1, 0.2, 0.5, 2, 5), unit=1e6),
    "subchannels": Sweep(
        "number of subchannels", lambda s: s.radio.subchannels, with_subchannels, absolute=(10, 20, 40, 80, 160)
    ),
    "server-compute": Sweep(
        "server compute (10⁹ cycles/s)",
        lambda s: s.server.compute_hz,
        with_server_compute,
        factors=(0.2, 0.5, 2, 5, 10),
        unit=1e9,
    ),
    "client-compute": Sweep(
        "mean client compute (10⁹ cycles/s)",
        mean_client_hz,
        with_client_compute,
        factors=(0.1, 0.2, 0.5, 2, 5, 10),
        unit=1e9,
    ),
    "channel-spread": Sweep(
        "standard deviation of clients' gains (dB)", gain_deviation_db, None, absolute=(0, 5, 10, 15, 20)
    ),
    "compute-ratio": Sweep(
        "fastest client / slowest client", compute_ratio, with_compute_ratio, absolute=(1, 4, 16, 64)
    ),
}
