"""Rounds of the frameworks beside EPSL and PSL as plain Python over one world, without splitgym's own arithmetic.

Nothing moves between client and server before the round: these frameworks charge the client model every round.
"""

from dataclasses import replace

import numpy as np
from equations_of_a_round import Expected, Link, watts

from splitgym.models import Profile
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState

SPLIT = ("model_down", "client_fp", "uplink", "server_fp", "server_bp", "unicast", "client_bp", "model_up")
STAGES = {
    "fl": ("migration", "model_down", "client_fp", "client_bp", "model_up"),
    "centralised": ("migration", "server_fp", "server_bp"),
    **dict.fromkeys(("sl", "sfl-v1", "sfl-v2", "cpsl"), ("migration", *SPLIT)),
    "hierarchical": (
        *("migration", "client_fp", "uplink", "server_fp", "backhaul_up", "cloud_fp", "cloud_bp", "backhaul_down"),
        *("server_bp", "unicast", "client_bp"),
    ),
    "u-shaped": (
        *("migration", "client_fp", "uplink", "server_fp", "tail_unicast", "tail_fp", "tail_bp", "tail_uplink"),
        *("server_bp", "unicast", "client_bp"),
    ),
}


def framework_equations(
    name: str, scenario: Scenario, costs: Profile, state: RoundState, decision: Decision
) -> Expected:
    """The round of a framework of `STAGES`, slot by slot."""
    clients = len(state.client_hz)
    result = Expected(stages=dict.fromkeys(STAGES[name], 0.0), client_energy_j=[0.0] * clients)
    present = [i for i in range(clients) if decision.selected[i] and state.available[i]]
    keys = {"sl": list(range(clients)), "cpsl": list(decision.cluster)}.get(name, [0] * clients)
    groups = [[i for i in present if keys[i] == key] for key in sorted({keys[i] for i in present})]
    again = len(groups) > 1 or (name == "sl" and bool(groups))
    for group in groups or [[]]:
        shared = deal(scenario, state, decision, group) if again else decision
        links = {i: Link(scenario, state, shared, i) for i in group}
        if name == "centralised":
            slot_of_the_server(result, scenario, costs, state, links)
        else:
            links = {i: link for i, link in links.items() if link.own}
            slot = {"fl": slot_of_fl, "hierarchical": slot_of_three_tiers, "u-shaped": slot_of_u}.get(name, slot_of_sfl)
            slot(result, scenario, costs, state, decision, links)
    return result


def deal(scenario: Scenario, state: RoundState, decision: Decision, members: list[int]) -> Decision:
    """The band of a slot: own subchannels stay, every other one goes to who has the fewest Hz, power evenly."""
    radio, hz = scenario.radio, state.subchannel_hz
    owner = [int(i) if i in members else None for i in decision.assignment]

    def own_hz(member: int) -> float:
        return sum(hz[k] for k in range(len(owner)) if owner[k] == member)

    for k in range(len(owner)):
        if owner[k] is None:
            owner[k] = min(members, key=lambda i: (own_hz(i), i))
    served = len(set(owner))
    power = min(watts(radio.client_power_max_dbm), watts(radio.total_power_max_dbm) / served)
    psd = [power / own_hz(i) for i in owner]
    return replace(decision, assignment=np.array(owner), power_w_per_hz=np.array(psd))


def nobody(result: Expected, scenario: Scenario, stage: str, spent_s: float = 0.0) -> None:
    result.stages[stage] += scenario.episode.round_timeout_s - spent_s
    result.latency_s += scenario.episode.round_timeout_s


def slot_of_the_server(
    result: Expected, scenario: Scenario, costs: Profile, state: RoundState, links: dict[int, Link]
) -> None:
    """Centralised: the server trains on everybody's mini-batch."""
    if not links:
        return nobody(result, scenario, "migration")
    rows, f_s = len(links) * scenario.training.batch_size, float(state.server_hz)
    for stage, flops in (("server_fp", costs.forward_flops), ("server_bp", costs.backward_flops)):
        seconds = rows * scenario.server.cycles_per_flop * sum(flops) / f_s
        result.stages[stage] += seconds
        result.latency_s += seconds
        result.server_energy_j += scenario.server.switched_capacitance * f_s**3 * seconds
    result.participants |= set(links)
    return None


def until_the_deadline(
    result: Expected,
    scenario: Scenario,
    state: RoundState,
    links: dict[int, Link],
    model_bits: float,
    work: dict[str, tuple[str, float]],
) -> dict[int, Link]:
    """The model is broadcast, then each client works off `work` (stage: kind, amount), until the timeout; who is left.

    Latency, energy and traffic of this part of the slot are added to the result.
    """
    timeout, p_dl = scenario.episode.round_timeout_s, watts(scenario.radio.downlink_psd_dbm_per_hz)
    rate = min(link.band for link in links.values())
    down = min(model_bits / rate, timeout)
    result.traffic_bits += model_bits if down < timeout else rate * timeout
    result.server_energy_j += p_dl * sum(state.subchannel_hz) * down
    paths, left = {}, {}
    for i, link in links.items():
        wanted = {
            stage: amount / state.client_hz[i] if kind == "cycles" else amount / link.up if link.up else np.inf
            for stage, (kind, amount) in work.items()
        }
        if model_bits / rate + sum(wanted.values()) > timeout:
            result.timed_out.add(i)
        else:
            left[i] = link
        spent, clock = {}, down
        for stage, seconds in wanted.items():
            spent[stage] = min(seconds, timeout - clock)
            clock += spent[stage]
            if work[stage][0] == "cycles":
                energy = scenario.clients.switched_capacitance * state.client_hz[i] ** 3 * spent[stage]
            else:
                energy = link.client_w * spent[stage]
                result.traffic_bits += link.up * spent[stage]
            result.client_energy_j[i] += energy
        paths[i] = spent
    result.stages["model_down"] += down
    # Clients that all wait until the timeout are equally late: the first of them counts.
    slowest = max(paths.values(), key=lambda path: float(f"{sum(path.values()):.10g}"))
    for stage, seconds in slowest.items():
        result.stages[stage] += seconds
    result.latency_s += down + sum(slowest.values())
    result.participants |= set(left)
    return left


def slot_of_fl(
    result: Expected,
    scenario: Scenario,
    costs: Profile,
    state: RoundState,
    decision: Decision,
    links: dict[int, Link],
) -> None:
    """Model down, local steps on the whole network, model up."""
    if not links:
        return nobody(result, scenario, "model_up")
    rows, kappa = scenario.training.local_steps * scenario.training.batch_size, scenario.clients.cycles_per_flop
    model = float(sum(costs.model_bits))
    work = {
        "client_fp": ("cycles", rows * kappa * sum(costs.forward_flops)),
        "client_bp": ("cycles", rows * kappa * sum(costs.backward_flops)),
        "model_up": ("bits", model),
    }
    until_the_deadline(result, scenario, state, links, model, work)
    return None


def slot_of_sfl(
    result: Expected,
    scenario: Scenario,
    costs: Profile,
    state: RoundState,
    decision: Decision,
    links: dict[int, Link],
) -> None:
    """Client model down, the round of PSL, client model up."""
    if not links:
        return nobody(result, scenario, "uplink")
    j, b, kappa_s = int(decision.cut_layer), scenario.training.batch_size, scenario.server.cycles_per_flop
    kappa_c = scenario.clients.cycles_per_flop
    model, psi = float(sum(costs.model_bits[:j])), float(costs.activation_bits[j - 1])
    work = {
        "client_fp": ("cycles", b * kappa_c * sum(costs.forward_flops[:j])),
        "uplink": ("bits", b * psi),
    }
    left = until_the_deadline(result, scenario, state, links, model, work)
    if not left:
        return None
    f_s, n = float(state.server_hz), len(left)
    server = {
        "server_fp": n * b * kappa_s * sum(costs.forward_flops[j:]) / f_s,
        "server_bp": n * b * kappa_s * sum(costs.backward_flops[j:]) / f_s,
    }
    result.server_energy_j += scenario.server.switched_capacitance * f_s**3 * sum(server.values())
    after = {}
    for i, link in left.items():
        after[i] = {
            "unicast": b * psi / link.down,
            "client_bp": b * kappa_c * sum(costs.backward_flops[:j]) / state.client_hz[i],
            "model_up": model / link.up,
        }
        computing = scenario.clients.switched_capacitance * state.client_hz[i] ** 3 * after[i]["client_bp"]
        result.client_energy_j[i] += computing + link.client_w * after[i]["model_up"]
        result.server_energy_j += link.server_w * after[i]["unicast"]
        result.traffic_bits += b * psi + model
    last = max(after.values(), key=lambda path: sum(path.values()))
    for stage, seconds in (server | last).items():
        result.stages[stage] += seconds
        result.latency_s += seconds
    return None


def slot_of_three_tiers(
    result: Expected,
    scenario: Scenario,
    costs: Profile,
    state: RoundState,
    decision: Decision,
    links: dict[int, Link],
) -> None:
    """PSL whose units behind the second cut are in the cloud."""
    if not links:
        return nobody(result, scenario, "uplink")
    j, b, cloud = int(decision.cut_layer), scenario.training.batch_size, scenario.cloud
    second = max(j, cloud.cut_layer)
    forward, backward = list(costs.forward_flops), list(costs.backward_flops)
    psi, kappa_c = float(costs.activation_bits[j - 1]), scenario.clients.cycles_per_flop
    narrow = float(costs.activation_bits[second - 1])
    work = {"client_fp": ("cycles", b * kappa_c * sum(forward[:j])), "uplink": ("bits", b * psi)}
    result.stages["model_down"] = 0.0
    left = until_the_deadline(result, scenario, state, links, 0.0, work)
    assert result.stages.pop("model_down") == 0
    if not left:
        return None
    rows, f_s, f_cloud = len(left) * b, float(state.server_hz), cloud.compute_hz
    edge = {
        "server_fp": rows * scenario.server.cycles_per_flop * sum(forward[j:second]) / f_s,
        "server_bp": rows * scenario.server.cycles_per_flop * sum(backward[j:second]) / f_s,
    }
    beyond = {
        "cloud_fp": rows * cloud.cycles_per_flop * sum(forward[second:]) / f_cloud,
        "cloud_bp": rows * cloud.cycles_per_flop * sum(backward[second:]) / f_cloud,
    }
    link = dict.fromkeys(("backhaul_up", "backhaul_down"), rows * narrow / cloud.link_bits_per_s)
    result.server_energy_j += scenario.server.switched_capacitance * f_s**3 * sum(edge.values())
    result.server_energy_j += cloud.switched_capacitance * f_cloud**3 * sum(beyond.values())
    result.traffic_bits += 2 * rows * narrow
    after = {}
    for i, own in left.items():
        seconds = b * kappa_c * sum(backward[:j]) / state.client_hz[i]
        after[i] = {"unicast": b * psi / own.down, "client_bp": seconds}
        result.client_energy_j[i] += scenario.clients.switched_capacitance * state.client_hz[i] ** 3 * seconds
        result.server_energy_j += own.server_w * after[i]["unicast"]
        result.traffic_bits += b * psi
    last = max(after.values(), key=lambda path: sum(path.values()))
    for stage, seconds in (edge | beyond | link | last).items():
        result.stages[stage] += seconds
        result.latency_s += seconds
    return None


def slot_of_u(
    result: Expected,
    scenario: Scenario,
    costs: Profile,
    state: RoundState,
    decision: Decision,
    links: dict[int, Link],
) -> None:
    """PSL whose last units are at the clients; the server waits for all before each of its passes."""
    if not links:
        return nobody(result, scenario, "uplink")
    j, b, units = int(decision.cut_layer), scenario.training.batch_size, len(costs)
    second = units - scenario.clients.tail_units
    forward, backward = list(costs.forward_flops), list(costs.backward_flops)
    psi, chi = float(costs.activation_bits[j - 1]), float(costs.activation_bits[second - 1])
    kappa_c, xi = scenario.clients.cycles_per_flop, scenario.clients.switched_capacitance
    work = {"client_fp": ("cycles", b * kappa_c * sum(forward[:j])), "uplink": ("bits", b * psi)}
    result.stages["model_down"] = 0.0
    left = until_the_deadline(result, scenario, state, links, 0.0, work)
    assert result.stages.pop("model_down") == 0
    if not left:
        return None
    cycles = len(left) * b * scenario.server.cycles_per_flop / float(state.server_hz)
    server = {"server_fp": cycles * sum(forward[j:second]), "server_bp": cycles * sum(backward[j:second])}
    result.server_energy_j += scenario.server.switched_capacitance * state.server_hz**3 * sum(server.values())
    tails, heads = {}, {}
    for i, own in left.items():
        tails[i] = {
            "tail_unicast": b * chi / own.down,
            "tail_fp": b * kappa_c * sum(forward[second:]) / state.client_hz[i],
            "tail_bp": b * kappa_c * sum(backward[second:]) / state.client_hz[i],
            "tail_uplink": b * chi / own.up,
        }
        heads[i] = {"unicast": b * psi / own.down, "client_bp": b * kappa_c * sum(backward[:j]) / state.client_hz[i]}
        computing = tails[i]["tail_fp"] + tails[i]["tail_bp"] + heads[i]["client_bp"]
        result.client_energy_j[i] += xi * state.client_hz[i] ** 3 * computing + own.client_w * tails[i]["tail_uplink"]
        result.server_energy_j += own.server_w * (tails[i]["tail_unicast"] + heads[i]["unicast"])
        result.traffic_bits += b * (2 * chi + psi)
    last = [max(part.values(), key=lambda path: sum(path.values())) for part in (tails, heads)]
    for stage, seconds in (server | last[0] | last[1]).items():
        result.stages[stage] += seconds
        result.latency_s += seconds
    return None
