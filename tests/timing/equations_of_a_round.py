"""The equations of shared/system-model.md as plain Python over one world; nothing here uses splitgym's own arithmetic."""

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from splitgym.envs.world import system_of
from splitgym.frameworks import get
from splitgym.models import Profile, build, profile
from splitgym.rounds import Decision, RoundState
from splitgym.scenario import Scenario

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
        "data_share": np.full(clients, 1 / clients),
        "client_loss": np.full(clients, math.log(10)),
        "accuracy": 0.1,
        "round": 0,
        "elapsed_s": 0.0,
        "cut_layer": 0,
        "client_cut_layer": np.zeros(clients, np.int64),
        "available": np.ones(clients, bool),
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


def equations(scenario: Scenario, costs: Profile, state: RoundState, decision: Decision) -> Expected:
    """The round of the specification, client by client."""
    result = Expected()
    j, b = int(decision.cut_layer), scenario.training.batch_size
    m = math.ceil(Fraction(float(decision.aggregation_ratio)).limit_denominator(10**6) * b)
    kappa_c, kappa_s = scenario.clients.cycles_per_flop, scenario.server.cycles_per_flop
    B, n0 = scenario.radio.subchannel_hz, watts(scenario.radio.noise_psd_dbm_per_hz)
    p_dl = watts(scenario.radio.downlink_psd_dbm_per_hz)
    timeout, f_s = scenario.episode.round_timeout_s, float(state.server_hz)
    xi_c, xi_s = scenario.clients.switched_capacitance, scenario.server.switched_capacitance
    F, Bk = list(costs.forward_flops), list(costs.backward_flops)
    psi = chi = float(costs.activation_bits[j - 1])
    clients, subchannels = state.channel_gain.shape

    def shannon(psd: float, gain: float) -> float:
        return B * math.log2(1.0 + psd * gain / n0)

    own = {i: [k for k in range(subchannels) if decision.assignment[k] == i] for i in range(clients)}
    candidates = [i for i in range(clients) if decision.selected[i] and state.available[i] and own[i]]
    energy = [0.0] * clients
    path: dict[int, list[tuple[str, float]]] = {}
    for i in candidates:
        up = sum(shannon(decision.power_w_per_hz[k], state.channel_gain[i, k]) for k in own[i])
        down = sum(shannon(p_dl, state.channel_gain[i, k]) for k in own[i])
        power = sum(decision.power_w_per_hz[k] * B for k in own[i])
        held = int(state.client_cut_layer[i])
        fetch = sum(costs.model_bits[held:j]) if 0 < held < j else 0.0
        give = sum(costs.model_bits[j:held]) if held > j else 0.0
        steps = [
            ("fetch", fetch / down),
            ("give", give / up if up > 0 else (math.inf if give else 0.0)),
            ("client_fp", b * kappa_c * sum(F[:j]) / state.client_hz[i]),
            ("uplink", b * psi / up if up > 0 else math.inf),
        ]
        clock, cut_off = 0.0, []
        for name, seconds in steps:
            spent = min(seconds, timeout - clock)
            cut_off.append((name, spent))
            clock += spent
        late = sum(seconds for _, seconds in steps) > timeout
        (result.timed_out if late else result.participants).add(i)
        path[i] = cut_off
        took = dict(cut_off)
        energy[i] = xi_c * state.client_hz[i] ** 3 * took["client_fp"] + power * (took["give"] + took["uplink"])
        result.traffic_bits += up * (took["give"] + took["uplink"]) + down * took["fetch"]
        result.server_energy_j += p_dl * B * len(own[i]) * took["fetch"]
        if not late:
            result.migration_bits += fetch + give

    waited = {i: sum(s for _, s in path[i]) for i in candidates}
    if candidates:
        slowest = max(waited, key=lambda i: waited[i])
        for name, seconds in path[slowest]:
            result.stages["migration" if name in ("fetch", "give") else name] += seconds
    result.client_energy_j = energy
    if not result.participants:
        result.stages["uplink"] += timeout - max(waited.values(), default=0.0)
        result.latency_s = timeout
        return result

    n = len(result.participants)
    server_fp = n * b * kappa_s * sum(F[j:]) / f_s
    server_bp = ((m + n * (b - m)) * kappa_s * sum(Bk[j:-1]) + n * b * kappa_s * Bk[-1]) / f_s
    band = min(sum(shannon(p_dl, g) for g in state.channel_gain[i]) for i in result.participants)
    broadcast = m * chi / band
    unicast = {
        i: (b - m) * chi / sum(shannon(p_dl, state.channel_gain[i, k]) for k in own[i]) for i in result.participants
    }
    client_bp = {i: b * kappa_c * sum(Bk[:j]) / state.client_hz[i] for i in result.participants}
    last = max(result.participants, key=lambda i: unicast[i] + client_bp[i])
    result.stages |= {
        "server_fp": server_fp,
        "server_bp": server_bp,
        "broadcast": broadcast,
        "unicast": unicast[last],
        "client_bp": client_bp[last],
    }
    result.latency_s = max(waited.values()) + server_fp + server_bp + broadcast + unicast[last] + client_bp[last]
    result.server_energy_j += xi_s * f_s**3 * (server_fp + server_bp) + p_dl * B * subchannels * broadcast
    result.traffic_bits += m * chi + n * (b - m) * chi
    for i in result.participants:
        energy[i] += xi_c * state.client_hz[i] ** 3 * client_bp[i]
        result.server_energy_j += p_dl * B * len(own[i]) * unicast[i]
    return result
