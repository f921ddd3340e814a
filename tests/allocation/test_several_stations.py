"""Rounds and allocations with several stations: against a plain program, each other, brute force, and limit cases."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from drawn import drawn
from drawn_stations import NAMES, WAYS, attached_cell, stations
from small_cells import check_budgets, random_bands
from synchronous import SYNCHRONOUS

from splitgym.allocation import control_power, descent, equal_shares, exact
from splitgym.frameworks import get
from splitgym.frameworks.resources import Resource
from splitgym.frameworks.segments import Weights
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan

OWN = {Resource.CLIENT, Resource.UPLINK, Resource.UNICAST}


def plain_slot(state, decision, band, psd, members, delay_s):
    """Seconds, and bits that are sent by radio and over wires, of one slot without a timeout; no units move."""
    system, program = state.system, state.system.program
    plan = int(decision.plan.indices(state)[0])
    hz, noise, gain = state.subchannel_hz, system.noise_psd_w_per_hz, state.channel_gain
    rates, seconds, bits = {}, {}, 0.0
    hops = [len(WAYS[NAMES[s]]) for s in state.station]
    for i in members:
        own = band == i
        up = (hz[own] * np.log2(1 + psd[own] * gain[i, own] / noise)).sum()
        down = (hz[own] * np.log2(1 + system.downlink_psd_w_per_hz * gain[i, own] / noise)).sum()
        rates[i] = {Resource.UPLINK: up, Resource.UNICAST: down}
        # Who neither sends nor receives by itself waits for no handover.
        seconds[i] = float(state.interruption_s[i]) if program.uses_own_subchannels else 0.0
    now = 0.0
    for phase, kind in enumerate(program.resource):
        once, each = program.work[plan, phase], program.per_participant[plan, phase]
        if kind in OWN:
            for i in members if once > 0 else ():
                if kind == Resource.CLIENT:
                    seconds[i] += once / state.client_hz[i]
                    continue
                wired = once * state.wired_s_per_bit[i, 0] + (delay_s * hops[i])
                seconds[i] += once / rates[i][kind] + wired
                bits += once * (1 + hops[i])
            continue
        now = max(seconds.values())
        amount = once + each * len(members)
        if amount > 0 and kind == Resource.BROADCAST:
            bands = (hz * np.log2(1 + system.downlink_psd_w_per_hz * gain / noise)).sum(1)
            now += max(amount / bands[i] + amount * state.wired_s_per_bit[i, 0] for i in members) + 2 * delay_s
            bits += amount * (1 + len({name for i in members for name in WAYS[NAMES[state.station[i]]]}))
        elif amount > 0:
            speed = state.server_hz if kind == Resource.SERVER else program.resources.speed[kind]
            now += amount / speed
            bits += amount if program.resources.is_link[kind] else 0.0
        seconds = dict.fromkeys(members, now)
    return max(seconds.values()), bits


@pytest.mark.parametrize(("framework", "seed", "delay_s"), drawn(24, SYNCHRONOUS, range(24), [0.0, 0.02]))
def test_round_is_that_of_a_plain_program(framework, seed, delay_s):
    _, state = attached_cell(seed, framework, delay_s=delay_s)
    rng = np.random.default_rng(seed)
    decision = random_bands(rng, state, int(rng.integers(1, 3)), np.ones(4, bool), 0.0)
    slots = get(framework).access.slot_of_clients(decision.cluster)
    bands, psd = np.atleast_2d(decision.assignment), np.atleast_2d(decision.power_w_per_hz)
    plain = [
        plain_slot(state, decision, bands[t], psd[t], np.flatnonzero(slots == t).tolist(), delay_s)
        for t in sorted(set(slots.tolist()))
    ]
    cost = round_cost(state, decision)
    assert cost.latency_s == pytest.approx(sum(seconds for seconds, _ in plain), rel=1e-9)
    assert cost.traffic_bits == pytest.approx(sum(bits for _, bits in plain), rel=1e-9)
    assert cost.stage_s.sum() == pytest.approx(cost.latency_s, rel=1e-9)


@pytest.mark.parametrize("framework", [name for name in SYNCHRONOUS if name != "centralised"])
def test_wires_spend_no_energy_and_neither_do_interruptions(framework):
    _, state = attached_cell(3, framework, delay_s=0.01)
    decision = random_bands(np.random.default_rng(3), state, 1, np.ones(4, bool), 0.0)
    nothing = replace(state, wired_s_per_bit=np.zeros((4, 1)), interruption_s=np.zeros(4), station=np.zeros(4, int))
    with_wires, without = round_cost(state, decision), round_cost(nothing, decision)
    assert with_wires.latency_s > without.latency_s
    np.testing.assert_allclose(with_wires.client_energy_j, without.client_energy_j, rtol=1e-9)
    if not (state.system.program.resource == Resource.BROADCAST).any():
        assert with_wires.server_energy_j == pytest.approx(without.server_energy_j, rel=1e-9)


@pytest.mark.parametrize(("framework", "seed", "delay_s"), drawn(30, SYNCHRONOUS, range(30), [0.0, 0.02]))
def test_descent_predicts_the_round(framework, seed, delay_s):
    # Parts of the network move over wires, too.
    held = np.random.default_rng(seed).integers(0, 3, 4) if get(framework).segments[0].weights is Weights.OWN else 0
    _, state = attached_cell(
        seed,
        framework,
        delay_s=delay_s,
        available=np.array([True, seed % 3 > 0, True, True]),
        client_cut_layer=np.zeros(4, np.int64) + held,
    )
    selected = np.array([True, True, seed % 2 > 0, True])
    phi = 0.25 if get(framework).aggregates else 0.0
    found = descent(state, selected, phi)
    cost = round_cost(state, found.decision)
    check_budgets(state, found.decision)
    np.testing.assert_array_equal(cost.participants, selected & state.available)
    assert found.latency_s == pytest.approx(float(cost.latency_s), rel=1e-8)
    if get(framework).name != "centralised":
        everybody_alike = round_cost(state, equal_shares(state, found.decision.plan, selected))
        assert cost.latency_s <= everybody_alike.latency_s * (1 + 1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_optimum_is_the_best_of_all_assignments(seed):
    _, state = attached_cell(seed, clients=2, subchannels=3)
    both = np.ones(2, bool)
    best = np.inf
    for cut, owners in product(range(1, state.system.cut_layers + 1), product(range(2), repeat=3)):
        if len(set(owners)) == 2:
            plan, owner = Plan(cut, 0.5), np.array(owners)
            decision = Decision.under(plan, owner, control_power(state, plan, owner), both)
            best = min(best, float(round_cost(state, decision).latency_s))
    found = exact(state, both, 0.5)
    assert found.latency_s == pytest.approx(best, rel=1e-5)
    assert found.bound_s <= best * (1 + 1e-5)
    assert best <= descent(state, both, 0.5).latency_s * (1 + 1e-8)


def test_free_links_are_no_links():
    free = {"inner": 1e30, "outer": 1e30}
    _, state = attached_cell(5, rates=free)
    alone = replace(state, wired_s_per_bit=np.zeros((4, 1)))
    everybody = np.ones(4, bool)
    one, other = descent(state, everybody, 0.5), descent(alone, everybody, 0.5)
    np.testing.assert_array_equal(one.decision.assignment, other.decision.assignment)
    assert one.latency_s == pytest.approx(float(other.latency_s), rel=1e-12)


def test_interruption_counts_for_the_first_row():
    _, state = attached_cell(1)
    later = replace(state, interruption_s=np.full(4, 2.5))
    decision = equal_shares(state, Plan(1, 0.0), np.ones(4, bool))
    now, then = (round_cost(replace(each), decision) for each in (replace(state, interruption_s=np.zeros(4)), later))
    assert then.latency_s == pytest.approx(now.latency_s + 2.5, rel=1e-12)
    assert then.stage_s[0] == pytest.approx(2.5)
    np.testing.assert_allclose(then.start_s, now.start_s + 2.5)


def test_lent_subchannels_are_refused():
    with pytest.raises(ScenarioError, match=r"radio\.sharing = 'on-demand' with rows of stations, allowed: 'static'"):
        build({**stations(), "radio": {"sharing": "on-demand"}})
