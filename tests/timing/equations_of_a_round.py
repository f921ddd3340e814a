"""The equations of the system model as plain Python over one world, without splitgym's own arithmetic."""

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.models import Profile, build, profile
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState

STAGES = ("migration", "client_fp", "uplink", "server_fp", "server_bp", "broadcast", "unicast", "client_bp")
DIMENSIONS = {"digits": ((1, 8, 8), 10), "ham10000": ((3, 32, 32), 7)}


def profile_of(scenario: Scenario) -> Profile:
    shape, classes = DIMENSIONS[scenario.task.dataset]
    return profile(build(scenario.task.model, shape, classes, stem=scenario.task.stem), shape)


def state_of(scenario: Scenario, framework: str = "epsl", **arrays: object) -> RoundState:
    """A state with all clients there, equal gains of 1e-10 and the scenario's slowest speed, unless told otherwise."""
    clients = scenario.clients.count
    values = {
        "channel_gain": np.full((clients, scenario.radio.subchannels), 1e-10),
        "client_hz": np.full(clients, scenario.clients.compute_min_hz),
        "server_hz": scenario.server.compute_hz,
        "present": np.ones(clients, bool),
        "data_share": np.full(clients, 1 / clients),
        "class_share": np.full((clients, 10), 0.1),
        "client_loss": np.full(clients, math.log(10)),
        "accuracy": 0.1,
        "round": 0,
        "elapsed_s": 0.0,
        "cut_layer": 0,
        "client_cut_layer": np.zeros(clients, np.int64),
        "available": np.ones(clients, bool),
        "participated": np.zeros(clients, bool),
        "absence": np.zeros(clients),
        "experience": np.zeros(clients),
        "last_aggregation_ratio": 0.0,
        "last_latency_s": 0.0,
        "subchannel_hz": np.full(scenario.radio.subchannels, scenario.radio.subchannel_hz),
        "system": system_of(scenario, get(framework)),
    }
    return RoundState(**{**values, **arrays})


@dataclass
class Expected:
    """What the equations say."""

    latency_s: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    participants: set[int] = field(default_factory=set)
    timed_out: set[int] = field(default_factory=set)
    client_energy_j: list[float] = field(default_factory=list)
    server_energy_j: float = 0.0
    traffic_bits: float = 0.0
    migration_bits: float = 0.0


def watts(dbm: float) -> float:
    return 10.0 ** (dbm / 10.0) / 1000.0


class Link:
    """Rates in bits/s of one client over the subchannels it owns, and what they cost."""

    def __init__(self, scenario: Scenario, state: RoundState, decision: Decision, client: int) -> None:
        radio = scenario.radio
        self._noise = watts(radio.noise_psd_dbm_per_hz)
        p_dl = watts(radio.downlink_psd_dbm_per_hz)
        gain, psd, hz = state.channel_gain[client], decision.power_w_per_hz, state.subchannel_hz
        self.own = [k for k in range(len(gain)) if decision.assignment[k] == client]
        self.up = sum(self._shannon(hz[k], psd[k], gain[k]) for k in self.own)
        self.down = sum(self._shannon(hz[k], p_dl, gain[k]) for k in self.own)
        self.band = sum(self._shannon(hz[k], p_dl, gain[k]) for k in range(len(gain)))
        self.client_w = sum(psd[k] * hz[k] for k in self.own)
        self.server_w = p_dl * sum(hz[k] for k in self.own)

    def _shannon(self, hz: float, psd: float, gain: float) -> float:
        return hz * math.log2(1.0 + psd * gain / self._noise)


def equations(scenario: Scenario, costs: Profile, state: RoundState, decision: Decision) -> Expected:
    """The round of the specification, client by client."""
    result = Expected(client_energy_j=[0.0] * len(state.client_hz))
    links = {i: Link(scenario, state, decision, i) for i in range(len(state.client_hz))}
    candidates = [i for i, link in links.items() if decision.selected[i] and state.available[i] and link.own]
    waited = {i: _before_the_server(result, scenario, costs, state, decision, i, links[i]) for i in candidates}
    result.latency_s = max((sum(path.values()) for path in waited.values()), default=0.0)
    if candidates:
        # Clients that all wait until the timeout are equally late: the first of them counts.
        for name, seconds in max(waited.values(), key=lambda path: float(f"{sum(path.values()):.10g}")).items():
            result.stages["migration" if name in ("fetch", "give") else name] += seconds
    if result.participants:
        participating = {i: links[i] for i in sorted(result.participants)}
        _from_the_server_on(result, scenario, costs, state, decision, participating)
    else:
        result.stages["uplink"] += scenario.episode.round_timeout_s - result.latency_s
        result.latency_s = scenario.episode.round_timeout_s
    return result


def _before_the_server(
    result: Expected, scenario: Scenario, costs: Profile, state: RoundState, decision: Decision, i: int, link: Link
) -> dict[str, float]:
    """Seconds of what client i does until its uplink ends or the timeout comes."""
    j, b, timeout = int(decision.cut_layer), scenario.training.batch_size, scenario.episode.round_timeout_s
    held, f = int(state.client_cut_layer[i]), state.client_hz[i]
    fetch = sum(costs.model_bits[held:j]) if 0 < held < j else 0.0
    give = sum(costs.model_bits[j:held]) if held > j else 0.0
    seconds = {
        "fetch": fetch / link.down,
        "give": _seconds(give, link.up),
        "client_fp": b * scenario.clients.cycles_per_flop * sum(costs.forward_flops[:j]) / f,
        "uplink": _seconds(b * costs.activation_bits[j - 1], link.up),
    }
    late = sum(seconds.values()) > timeout
    (result.timed_out if late else result.participants).add(i)
    result.migration_bits += 0.0 if late else fetch + give
    spent, clock = {}, 0.0
    for name, whole in seconds.items():
        spent[name] = min(whole, timeout - clock)
        clock += spent[name]
    sending = spent["give"] + spent["uplink"]
    result.client_energy_j[i] += scenario.clients.switched_capacitance * f**3 * spent["client_fp"]
    result.client_energy_j[i] += link.client_w * sending
    result.server_energy_j += link.server_w * spent["fetch"]
    result.traffic_bits += link.up * sending + link.down * spent["fetch"]
    return spent


def _seconds(bits: float, rate: float) -> float:
    if bits == 0:
        return 0.0
    return bits / rate if rate > 0 else math.inf


def _from_the_server_on(
    result: Expected,
    scenario: Scenario,
    costs: Profile,
    state: RoundState,
    decision: Decision,
    links: dict[int, Link],
) -> None:
    j, b, n = int(decision.cut_layer), scenario.training.batch_size, len(links)
    m = math.ceil(Fraction(float(decision.aggregation_ratio)).limit_denominator(10**6) * b)
    kappa_c, kappa_s = scenario.clients.cycles_per_flop, scenario.server.cycles_per_flop
    forward, backward, chi = list(costs.forward_flops), list(costs.backward_flops), float(costs.activation_bits[j - 1])
    f_s, p_dl = float(state.server_hz), watts(scenario.radio.downlink_psd_dbm_per_hz)
    server_fp = n * b * kappa_s * sum(forward[j:]) / f_s
    server_bp = ((m + n * (b - m)) * kappa_s * sum(backward[j:-1]) + n * b * kappa_s * backward[-1]) / f_s
    broadcast = m * chi / min(link.band for link in links.values())
    unicast = {i: (b - m) * chi / link.down for i, link in links.items()}
    client_bp = {i: b * kappa_c * sum(backward[:j]) / state.client_hz[i] for i in links}
    last = max(links, key=lambda i: unicast[i] + client_bp[i])
    after = {
        "server_fp": server_fp,
        "server_bp": server_bp,
        "broadcast": broadcast,
        "unicast": unicast[last],
        "client_bp": client_bp[last],
    }
    result.stages |= after
    result.latency_s += sum(after.values())
    result.traffic_bits += m * chi + n * (b - m) * chi
    band_w = p_dl * sum(state.subchannel_hz)
    result.server_energy_j += scenario.server.switched_capacitance * f_s**3 * (server_fp + server_bp)
    result.server_energy_j += band_w * broadcast
    for i, link in links.items():
        result.client_energy_j[i] += scenario.clients.switched_capacitance * state.client_hz[i] ** 3 * client_bp[i]
        result.server_energy_j += link.server_w * unicast[i]
