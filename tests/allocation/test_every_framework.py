"""Loads, and subchannels, powers and cut for the rounds of every framework."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import COSTS, cell, random_assignment, spent_w

from splitgym.allocation import allocate, control_power, descend, descent_steps, equal_shares, greedy_subchannels
from splitgym.allocation.load import own_load
from splitgym.frameworks import names
from splitgym.timing import round_cost

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("framework", names())
@given(seed=st.integers(0, 2**32 - 1), subchannels=st.sampled_from([2, 6]), timeout_s=st.sampled_from([1e5, 5.0]))
@settings(max_examples=8)
def test_descent_ends_no_worse_than_it_begins(framework: str, seed: int, subchannels: int, timeout_s: float) -> None:
    rng = np.random.default_rng(seed)
    selected = rng.random(4) < 0.8
    scenario, state = cell(
        seed, 4, subchannels, framework=framework, timeout_s=timeout_s, available=rng.random(4) < 0.9
    )
    steps = list(itertools.islice(descent_steps(state, selected, 0.5), 100))
    assert len(steps) < 100
    for earlier, later in itertools.pairwise(steps):
        assert not earlier.better_than(later)
    decision = steps[-1].decision
    decision.check(state)
    np.testing.assert_array_equal(decision.selected, selected)
    power = spent_w(scenario, decision, 4)
    assert np.all(power <= scenario.radio.client_power_max_w * (1 + 1e-9))
    assert power.sum() <= scenario.radio.total_power_max_w * (1 + 1e-9)
    cost = round_cost(state, decision)
    shares = equal_shares(state, 1, selected & state.available, 0.5)
    for cut in (1, 2, 3):
        share = round_cost(state, replace(shares, cut_layer=cut))
        assert cost.participants.sum() >= share.participants.sum()
        if cost.participants.sum() == share.participants.sum():
            assert cost.latency_s <= share.latency_s


@pytest.mark.parametrize("framework", names())
def test_everybody_takes_part_in_an_allocated_round(framework: str) -> None:
    _, state = cell(7, 3, 6, framework=framework)
    for decision in (
        allocate(state, 2, np.ones(3, bool), 0.25),
        equal_shares(state, 2, np.ones(3, bool), 0.25),
        descend(state, np.ones(3, bool), 0.25),
    ):
        assert round_cost(state, decision).participants.all()


def test_load_of_epsl_and_psl_drop() -> None:
    """A quarter of the 16 rows: EPSL computes and sends all of them up and gets 12 back, PSL-drop has 12 throughout."""
    for framework, rows in (("epsl", 16), ("psl-drop", 12)):
        scenario, state = cell(0, client_cut_layer=np.array([1, 2, 3]), framework=framework)
        load, per_flop = own_load(state, 2, 0.25), rows * scenario.clients.cycles_per_flop / state.client_hz
        np.testing.assert_allclose(load.compute_before_s, per_flop * COSTS.forward_flops[:2].sum())
        np.testing.assert_allclose(load.compute_after_s, per_flop * COSTS.backward_flops[:2].sum())
        given_up = np.array([0, 0, COSTS.model_bits[2]])
        np.testing.assert_allclose(load.uplink_bits, rows * COSTS.activation_bits[1] + given_up)
        np.testing.assert_allclose(load.downlink_bits_before, [COSTS.model_bits[1], 0, 0])
        np.testing.assert_allclose(load.downlink_bits_after, 12 * COSTS.activation_bits[1])


def test_load_of_fl_is_all_before_the_deadline() -> None:
    scenario, state = cell(0, framework="fl")
    load = own_load(state, 1, 0.0)
    flops = COSTS.forward_flops.sum() + COSTS.backward_flops.sum()
    np.testing.assert_allclose(load.compute_before_s, 16 * scenario.clients.cycles_per_flop * flops / state.client_hz)
    np.testing.assert_allclose(load.uplink_bits, COSTS.model_bits.sum())
    assert not np.any([load.compute_after_s, load.downlink_bits_before, load.downlink_bits_after])


@pytest.mark.parametrize("framework", ["sl", "sfl-v1", "sfl-v2", "cpsl"])
def test_load_of_sfl_counts_the_model_that_goes_up_at_the_end(framework: str) -> None:
    scenario, state = cell(0, framework=framework)
    load, per_flop = own_load(state, 2, 0.0), 16 * scenario.clients.cycles_per_flop / state.client_hz
    np.testing.assert_allclose(load.compute_before_s, per_flop * COSTS.forward_flops[:2].sum())
    np.testing.assert_allclose(load.compute_after_s, per_flop * COSTS.backward_flops[:2].sum())
    np.testing.assert_allclose(load.uplink_bits, 16 * COSTS.activation_bits[1] + COSTS.model_bits[:2].sum())
    np.testing.assert_allclose(load.downlink_bits_after, 16 * COSTS.activation_bits[1])
    assert not load.downlink_bits_before.any()


def test_without_an_uplink_there_is_nothing_to_do_and_nothing_to_power() -> None:
    _, state = cell(0, 3, 5, framework="centralised")
    assert not np.any(own_load(state, 1, 0.0))
    owners = greedy_subchannels(state, 1, np.ones(3, bool), 0.0)
    assert sorted(owners) == [-1, -1, 0, 1, 2]
    assert not control_power(state, 1, owners, 0.0).any()
    assert round_cost(state, descend(state, np.ones(3, bool), 0.0)).participants.all()


@pytest.mark.parametrize("seed", range(5))
def test_who_has_nothing_to_send_leaves_its_power_to_the_others(seed: int) -> None:
    """Only the client whose cut gets shallower sends something in a round without uplinks."""
    _, state = cell(seed, 3, 6, framework="centralised")
    state = replace(state, client_cut_layer=np.array([1, 3, 1]))
    assignment = random_assignment(np.random.default_rng(seed), 3, 6)
    psd = control_power(state, 1, assignment, 0.0)
    assert not psd[assignment != 1].any()
    assert psd[assignment == 1].sum() * 180e3 == pytest.approx(state.system.client_power_max_w, rel=1e-6)
