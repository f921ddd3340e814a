"""Delays of wired links behind the edge server: each phase over a link takes so much longer, and sends no more."""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import state_of

from splitgym.allocation import descent, equal_shares
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Plan

RELAY = {"name": "relay", "compute_hz": 1e9, "cycles_per_flop": 1.0, "switched_capacitance": 1e-27}


def state_with(delay_s, sharing="static"):
    """`sfl-v2` with its fed server behind a link: the mean comes over it, and the clients' parts go back."""
    wire = {"name": "wire", "ends": ("server", "relay"), "bits_per_s": 1e6, "delay_s": delay_s}
    scenario = build(
        "iot",
        {
            "nodes": [RELAY],
            "links": [wire],
            "fed_server": {"node": "relay"},
            "radio": {"sharing": sharing},
            "episode": {"round_timeout_s": 1e9},
        },
    )
    return state_of(scenario, "sfl-v2", client_hz=np.geomspace(1e7, 5e7, scenario.clients.count))


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_two_phases_over_the_link_take_two_delays_more(sharing):
    everybody = np.ones(8, bool)
    fast, slow = state_with(0.0, sharing), state_with(0.25, sharing)
    decision = equal_shares(fast, Plan(1, 0.0), everybody)
    one, other = round_cost(fast, decision), round_cost(slow, decision)
    assert other.latency_s == pytest.approx(one.latency_s + 0.5, rel=1e-9)
    assert other.stage_s.sum() == pytest.approx(other.latency_s, rel=1e-9)
    assert other.traffic_bits == pytest.approx(one.traffic_bits, rel=1e-12)
    stages = {name: other.seconds_by_stage()[name] - one.seconds_by_stage()[name] for name in one.seconds_by_stage()}
    assert {name for name, more in stages.items() if more > 1e-6} == {"fed_down", "fed_up"}


def test_descent_knows_of_them():
    slow = state_with(0.25)
    found = descent(slow, np.ones(8, bool), 0.0)
    assert found.latency_s == pytest.approx(float(round_cost(slow, found.decision).latency_s), rel=1e-8)


def test_nobody_waits_for_a_link_over_which_nothing_goes():
    slow = state_with(0.25)
    program = slow.system.program
    idle = replace(program, work=program.work * ~program.resources.is_link[program.resource])
    idle = replace(idle, per_participant=idle.per_participant * ~program.resources.is_link[program.resource])
    silent = replace(slow, system=replace(slow.system, program=idle))
    decision = equal_shares(slow, Plan(1, 0.0), np.ones(8, bool))
    cost = round_cost(silent, decision)
    assert cost.seconds_by_stage()["fed_down"] == cost.seconds_by_stage()["fed_up"] == 0.0
