"""Rules that assign subchannels: what every one of them keeps, and what each is by its definition."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell, spent_w

from splitgym.allocation.baselines.allocators import (
    assign_at_best_cut,
    assign_evenly,
    at_random,
    in_index_order,
    proportional_fair,
    round_robin,
    strongest_signal,
)
from splitgym.allocation.clusters import form_clusters
from splitgym.timing import round_cost
from splitgym.types import Plan
from splitgym.types.legal import check_decision

RULES = {
    "in turn": in_index_order,
    "round robin": round_robin,
    "strongest signal": strongest_signal,
    "proportional fair": proportional_fair,
    "at random": partial(at_random, rng=np.random.default_rng(0)),
}


def some(rng, clients=5, subchannels=4, **options):
    """A cell, and a selection of which some are unavailable."""
    _, state = cell(
        int(rng.integers(2**32)),
        clients,
        subchannels,
        available=rng.random(clients) < 0.8,
        round=int(rng.integers(100)),
        **options,
    )
    return state, rng.random(clients) < 0.8


@pytest.mark.parametrize("rule", RULES)
@given(seed=st.integers(0, 2**32 - 1), subchannels=st.sampled_from([1, 3, 5, 12]))
@settings(max_examples=60)
def test_everybody_there_gets_one_as_far_as_there_are_and_nothing_is_left(rule, seed, subchannels):
    state, selected = some(np.random.default_rng(seed), subchannels=subchannels)
    there = set(np.flatnonzero(selected & state.available))
    owners = RULES[rule](state, selected)
    assert owners.shape == (subchannels,)
    if not there:
        assert owners.tolist() == [-1] * subchannels
        return
    assert set(owners) <= there
    assert len(set(owners)) == min(len(there), subchannels)


def test_round_robin_gives_equal_numbers():
    _, state = cell(0, 4, 7, available=np.array([True, True, False, True]))
    assert in_index_order(state, np.array([True, True, True, False])).tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert in_index_order(state, np.ones(4, bool), first=2).tolist() == [3, 0, 1, 3, 0, 1, 3]


@pytest.mark.parametrize("subchannels", [2, 3, 5, 8])
def test_round_robin_makes_everybody_first_and_serves_everybody_equally_often(subchannels):
    _, state = cell(0, 5, subchannels, available=np.array([True, True, False, True, True]))
    owners = np.array([round_robin(replace(state, round=n), np.ones(5, bool)) for n in range(3, 7)])
    assert sorted(owners[:, 0]) == [0, 1, 3, 4]
    assert np.bincount(owners.ravel(), minlength=5).tolist() == [
        subchannels,
        subchannels,
        0,
        subchannels,
        subchannels,
    ]


@given(seed=st.integers(0, 2**32 - 1), subchannels=st.sampled_from([3, 5, 12]))
@settings(max_examples=100)
def test_strongest_signal_moves_no_more_than_it_must(seed, subchannels):
    """Each move serves one more client, so those who hear nothing best cost one subchannel each."""
    state, selected = some(np.random.default_rng(seed), subchannels=subchannels)
    there = np.flatnonzero(selected & state.available)
    if len(there) == 0:
        return
    best = there[state.channel_gain[there].argmax(0)]
    owners = strongest_signal(state, selected)
    changed = owners != best
    assert changed.sum() == min(len(there), subchannels) - len(set(best))
    assert not set(owners[changed]) & set(best)


def test_strongest_signal_gives_up_what_loses_least():
    """Client 0 hears everything best. Client 1 is 3 dB below on 0 and 16 dB on 1; client 2 is 20 dB below on 2."""
    gain = 1e-12 * np.array([[1.0, 40.0, 2.0], [0.5, 1.0, 0.002], [0.001, 0.04, 0.02]])
    _, state = cell(0, 3, 3, channel_gain=gain)
    # Subchannel 0 to client 1, although it hears 1 better; then 2 to client 2, although that hears 1 better.
    assert strongest_signal(state, np.ones(3, bool)).tolist() == [1, 0, 2]
    assert strongest_signal(state, np.array([True, True, False])).tolist() == [1, 0, 0]
    assert strongest_signal(state, np.array([True, False, False])).tolist() == [0, 0, 0]


def test_proportional_fair_by_hand():
    """1 W for each half of 4 MHz is 0.5 W on a subchannel; with SNR 1, 3 and 7 it carries 1, 2 and 3 Mbit/s."""
    snr = np.array([[1.0, 1.0, 3.0, 3.0], [7.0, 3.0, 7.0, 1.0]])
    _, toy = cell(0, 2, 4, "toy", total_dbm=33.0103, channel_gain=snr * 1e-16 / 0.5e-6)
    # 0: to 1 with 3. 1: to 0, who has none. 2: 2/1 for 0 against 3/3 for 1. 3: 2/3 for 0 against 1/3 for 1.
    assert proportional_fair(toy, np.ones(2, bool)).tolist() == [1, 0, 0, 0]
    # 1: to 0, with 3. 2: 1/3 for 0 against 3/3 for 1. 3: 2/3 for 0 against 1/6 for 1.
    snr[0, 1], snr[0, 2] = 7.0, 1.0
    _, toy = cell(0, 2, 4, "toy", total_dbm=33.0103, channel_gain=snr * 1e-16 / 0.5e-6)
    assert proportional_fair(toy, np.ones(2, bool)).tolist() == [1, 0, 1, 0]


@given(seed=st.integers(0, 2**32 - 1), subchannels=st.sampled_from([3, 5, 12]))
@settings(max_examples=60)
def test_proportional_fair_is_what_its_definition_says(seed, subchannels):
    state, selected = some(np.random.default_rng(seed), subchannels=subchannels, total_dbm=16.0)
    there = np.flatnonzero(selected & state.available)
    if len(there) == 0:
        return
    system = state.system
    power_w = min(system.client_power_max_w, system.total_power_max_w / len(there))
    psd = power_w / (state.subchannel_hz.sum() / len(there))
    rate = state.subchannel_hz * np.log2(1 + psd * state.channel_gain / system.noise_psd_w_per_hz)
    assigned = np.zeros(5)
    for k, owner in enumerate(proportional_fair(state, selected)):
        without = [i for i in there if assigned[i] == 0]
        metric = {i: rate[i, k] if without else rate[i, k] / assigned[i] for i in without or there}
        assert metric[owner] == pytest.approx(max(metric.values()), rel=1e-9)
        assigned[owner] += rate[owner, k]


def test_random_assignment_uses_all_subchannels_serves_all_and_repeats():
    _, state = cell(0, 2, 3)
    seen = {tuple(at_random(state, np.ones(2, bool), np.random.default_rng(seed))) for seed in range(200)}
    assert seen == set(itertools.product((0, 1), repeat=3)) - {(0, 0, 0), (1, 1, 1)}
    again = [at_random(state, np.ones(2, bool), np.random.default_rng(7)).tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_random_assignment_serves_all_with_the_same_probability_if_too_few():
    _, state = cell(0, 4, 2)
    rng = np.random.default_rng(0)
    served = np.bincount(np.concatenate([at_random(state, np.ones(4, bool), rng) for _ in range(2000)]))
    # 4,000 places; the deviation of each count is below 32.
    assert np.all(np.abs(served - 1000) < 5 * 32)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("framework", ["epsl", "cpsl", "sl"])
def test_even_powers_spend_the_budget_of_each_slot(rule, framework):
    scenario, state = cell(5, 5, 8, framework=framework, total_dbm=16.0)
    selected = np.array([True, True, False, True, True])
    decision = assign_evenly(state, Plan(2, 0.5), selected, RULES[rule])
    check_decision(decision, state)
    cluster = form_clusters(state, Plan(2, 0.5), selected)
    slots = {"epsl": [[0, 1, 3, 4]], "sl": [[0], [1], [], [3], [4]]}.get(
        framework, [[i for i in (0, 1, 3, 4) if cluster[i] == t] for t in (0, 1)]
    )
    bands = np.atleast_2d(decision.assignment)
    assert [sorted(set(band) - {-1}) for band in bands] == slots
    for clients, band, psd in zip(slots, bands, np.atleast_2d(decision.power_w_per_hz), strict=True):
        each = min(scenario.radio.client_power_max_w, scenario.radio.total_power_max_w / max(len(clients), 1))
        expected = [each if i in clients else 0.0 for i in range(5)]
        power = spent_w(scenario, replace(decision, assignment=band, power_w_per_hz=psd), 5)
        np.testing.assert_allclose(power, expected, rtol=1e-12)
    assert round_cost(state, decision).participants.tolist() == selected.tolist()


@pytest.mark.parametrize("framework", ["epsl", "cpsl", "sl", "centralised"])
@given(seed=st.integers(0, 2**32 - 1), timeout_s=st.sampled_from([1e5, 5.0]))
@settings(max_examples=15, deadline=None)
def test_best_cut_loses_nobody_and_then_no_time(framework, seed, timeout_s):
    rng = np.random.default_rng(seed)
    held = np.zeros(5, int) if framework == "centralised" else rng.integers(0, 4, 5)
    state, selected = some(rng, framework=framework, timeout_s=timeout_s, client_cut_layer=held)
    best = assign_at_best_cut(state, selected, 0.5, strongest_signal)
    cost = round_cost(state, best)
    for cut in (1, 2, 3):
        other = round_cost(state, assign_evenly(state, Plan(cut, 0.5), selected, strongest_signal))
        assert cost.participants.sum() >= other.participants.sum()
        assert cost.participants.sum() > other.participants.sum() or cost.latency_s <= other.latency_s


def test_best_cut_does_not_lose_clients_to_win_time():
    """By hand: within 43 ms both uplinks end at cut 1, of a round of 86 ms; at cut 2 none, and the round ends then."""
    arrays = {"channel_gain": np.full((2, 2), 1e-10), "client_hz": np.full(2, 1e6)}
    _, state = cell(0, 2, 2, "toy", total_dbm=33.0103, timeout_s=0.043, **arrays)
    decision = assign_at_best_cut(state, np.ones(2, bool), 0.5, in_index_order)
    assert decision.cut_layer == 1
    assert round_cost(state, decision).participants.all()
