"""The paper's descent, against its three blocks run one after the other in the open."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell, check_budgets, latency, with_timeout

from splitgym.allocation import (
    best_cut,
    control_power,
    descent_steps,
    equal_shares,
    even_psd,
    greedy_subchannels,
    paper_descend,
)
from splitgym.frameworks import names
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan
from splitgym.types.legal import check_decision

EVERYBODY = np.ones(3, bool)


def steps_of(state, selected, phi):
    steps = list(itertools.islice(descent_steps(state, selected, phi), 100))
    assert len(steps) < 100
    return steps


def in_the_open(state, selected, phi):
    """The paper's loop: each block for what the others were before, kept if the round gets shorter."""
    cuts = range(1, state.system.cut_layers + 1)
    start = equal_shares(state, Plan(1, phi), selected)
    now = min((replace(start, cut_layer=cut) for cut in cuts), key=lambda d: latency(state, d))
    while True:
        before_s = latency(state, now)
        owners = greedy_subchannels(state, Plan(now.cut_layer, phi), selected & state.available)
        for psd in (even_psd, lambda state, owners, cut=now.cut_layer: control_power(state, Plan(cut, phi), owners)):
            step = Decision(now.cut_layer, owners, psd(state, owners), selected, phi)
            now = min((now, step), key=lambda d: latency(state, d))
        now = min((now, *(replace(now, cut_layer=cut) for cut in cuts)), key=lambda d: latency(state, d))
        if before_s - latency(state, now) <= 1e-6 * before_s:
            return now


@pytest.mark.parametrize("framework", ["epsl", "fl", "sfl-v1"])
@given(seed=st.integers(0, 2**32 - 1), phi=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=30)
def test_it_ends_where_the_blocks_in_the_open_end(framework, seed, phi):
    _, state = cell(seed, 3, 6, "bandwidth-limited", decades=3.0, framework=framework, timeout_s=1e9)
    selected = np.random.default_rng(seed).random(3) < 0.8
    ours, expected = paper_descend(state, selected, phi), in_the_open(state, selected, phi)
    assert latency(state, ours) == pytest.approx(latency(state, expected), rel=1e-9)
    if selected.any():
        assert ours.cut_layer == expected.cut_layer
        np.testing.assert_array_equal(ours.assignment, expected.assignment)
        np.testing.assert_allclose(ours.power_w_per_hz, expected.power_w_per_hz, rtol=1e-6)


@pytest.mark.parametrize("framework", names())
@given(seed=st.integers(0, 2**32 - 1), subchannels=st.sampled_from([2, 6]), timeout_s=st.sampled_from([1e5, 5.0]))
@settings(max_examples=8)
def test_steps_go_round_the_blocks_and_never_get_worse(framework, seed, subchannels, timeout_s):
    rng = np.random.default_rng(seed)
    selected, there = rng.random(4) < 0.8, rng.random(4) < 0.9
    _, state = cell(seed, 4, subchannels, framework=framework, timeout_s=timeout_s, available=there)
    steps = steps_of(state, selected, 0.5)
    blocks = [step.block for step in steps]
    assert blocks == ["start", *["subchannels", "power", "cut"] * (len(blocks) // 3)]
    for earlier, later in itertools.pairwise(steps):
        assert not earlier.better_than(later)
    for step in steps:
        check_decision(step.decision, state)
        check_budgets(state, step.decision)
        np.testing.assert_array_equal(step.decision.selected, selected)
        cost = round_cost(state.synchronous(), step.decision)
        assert step.latency_s == cost.latency_s
        assert step.participants == cost.participants.sum()
    last = paper_descend(state, selected, 0.5)
    np.testing.assert_array_equal(last.assignment, steps[-1].decision.assignment)
    np.testing.assert_array_equal(last.power_w_per_hz, steps[-1].decision.power_w_per_hz)


@pytest.mark.parametrize("framework", names())
@given(seed=st.integers(0, 2**32 - 1), timeout_s=st.sampled_from([1e5, 5.0]))
@settings(max_examples=8)
def test_it_is_no_worse_than_equal_shares_at_any_cut(framework, seed, timeout_s):
    rng = np.random.default_rng(seed)
    _, state = cell(seed, 4, 6, framework=framework, timeout_s=timeout_s, available=rng.random(4) < 0.9)
    selected = rng.random(4) < 0.8
    cost = round_cost(state.synchronous(), paper_descend(state, selected, 0.5))
    shares = equal_shares(state, Plan(1, 0.5), selected)
    for cut in range(1, state.system.cut_layers + 1):
        share = round_cost(state.synchronous(), replace(shares, cut_layer=cut))
        assert cost.participants.sum() >= share.participants.sum()
        if cost.participants.sum() == share.participants.sum():
            assert cost.latency_s <= share.latency_s


def test_every_block_shortens_some_round():
    """Guards the tests above: each block shortens the round in some cells, the first ones not for nothing."""
    won = {"subchannels": 0, "power": 0, "cut": 0}
    for seed in range(30):
        _, state = cell(seed, 3, 6, "bandwidth-limited", decades=3.0)
        for earlier, later in itertools.pairwise(steps_of(state, EVERYBODY, 0.5)):
            won[later.block] += later.latency_s < earlier.latency_s
    assert won["subchannels"] > 10
    assert won["power"] > 10


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_best_cut_is_that_of_an_enumeration(seed):
    rng = np.random.default_rng(seed)
    _, state = cell(seed, client_cut_layer=rng.integers(0, 4, 3), available=rng.random(3) < 0.9)
    decision = equal_shares(state, Plan(1, 0.5), EVERYBODY)
    each = [latency(state, replace(decision, cut_layer=cut)) for cut in (1, 2, 3)]
    best = best_cut(state, decision)
    assert best.decision.cut_layer == 1 + int(np.argmin(each))
    assert best.latency_s == min(each)
    np.testing.assert_array_equal(best.decision.assignment, decision.assignment)


def test_neither_best_cut_nor_the_descent_loses_clients_to_win_time():
    """At cut 1 both make the timeout of 43 ms (41 ms, then 45 ms more); at cut 2 (45 ms) nobody does, after 43 ms."""
    gain, hz, both = np.full((2, 2), 1e-10), np.full(2, 1e6), np.ones(2, bool)
    _, state = cell(0, 2, 2, "toy", total_dbm=33.0103, timeout_s=0.043, channel_gain=gain, client_hz=hz)
    shares = equal_shares(state, Plan(1, 0.5), both)
    assert latency(state, shares) > latency(state, replace(shares, cut_layer=2))
    assert round_cost(state.synchronous(), best_cut(state, shares).decision).participants.all()
    assert round_cost(state.synchronous(), paper_descend(state, both, 0.5)).participants.all()
    assert not round_cost(with_timeout(state, 0.04), paper_descend(state, both, 0.5)).participants.any()
