"""Clusters of clients that have slots."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import COSTS, cell

from splitgym.allocation import allocate, clusters_for, descend, descent, equal_shares, form_clusters
from splitgym.frameworks import names
from splitgym.scenario import Scenario
from splitgym.timing import round_cost
from splitgym.types import Plan, RoundState


def own_seconds(scenario: Scenario, state: RoundState, cut: int, sharing: int) -> np.ndarray:
    """[C] all that a client does by itself in a round of CPSL, with an even share of band and power."""
    radio, b = scenario.radio, scenario.training.batch_size
    hz, gain = radio.subchannels * radio.subchannel_hz / sharing, state.channel_gain.mean(1)
    power = min(radio.client_power_max_w, radio.total_power_max_w / sharing)
    up = hz * np.log2(1 + power / hz * gain / radio.noise_psd_w_per_hz)
    down = hz * np.log2(1 + radio.downlink_psd_w_per_hz * gain / radio.noise_psd_w_per_hz)
    flops = COSTS.forward_flops[:cut].sum() + COSTS.backward_flops[:cut].sum()
    smashed, model = b * COSTS.activation_bits[cut - 1], COSTS.model_bits[:cut].sum()
    computing = b * scenario.clients.cycles_per_flop * flops / state.client_hz
    return computing + (smashed + model) / up + smashed / down


def with_clusters(state: RoundState, clusters: int) -> RoundState:
    return replace(state, system=replace(state.system, clusters=clusters))


@given(seed=st.integers(0, 2**32 - 1), clusters=st.integers(1, 9), cut=st.integers(1, 3))
@settings(max_examples=80)
def test_clusters_are_even_slices_of_the_order_by_speed(seed: int, clusters: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    selected, total_dbm = rng.random(7) < 0.7, float(rng.choice([12.0, 40.0]))
    scenario, state = cell(seed, 7, 4, total_dbm=total_dbm, framework="cpsl", available=rng.random(7) < 0.8)
    cluster = form_clusters(with_clusters(state, clusters), Plan(cut, 0.0), selected)
    members = np.flatnonzero(selected & state.available)
    assert cluster.shape == (7,)
    assert not np.delete(cluster, members).any()
    if len(members) == 0:
        return
    sizes = np.bincount(cluster[members])
    assert len(sizes) == min(clusters, len(members))
    assert sizes.max() - sizes.min() <= 1
    seconds = own_seconds(scenario, state, cut, len(members))
    slices = [seconds[members[cluster[members] == index]] for index in range(len(sizes))]
    for faster, slower in pairwise(slices):
        assert faster.max() <= slower.min()


def test_compute_and_channel_both_count_by_hand() -> None:
    _, state = cell(0, 4, 4, framework="cpsl")
    equal = replace(state, channel_gain=np.full((4, 4), 1e-11), client_hz=np.full(4, 2e7))
    by_compute = replace(equal, client_hz=np.array([2e7, 8e7, 1e7, 7e7]))
    assert form_clusters(by_compute, Plan(2, 0.0), np.ones(4, bool)).tolist() == [1, 0, 1, 0]
    by_channel = replace(equal, channel_gain=np.array([[1e-11], [1e-14], [1e-14], [1e-11]]) * np.ones(4))
    assert form_clusters(by_channel, Plan(2, 0.0), np.ones(4, bool)).tolist() == [0, 1, 1, 0]
    assert form_clusters(equal, Plan(2, 0.0), np.ones(4, bool)).tolist() == [
        0,
        0,
        1,
        1,
    ]  # ties: the order of the indices
    assert form_clusters(by_compute, Plan(2, 0.0), np.array([True, False, True, True])).tolist() == [0, 0, 1, 0]


def test_a_client_out_of_reach_is_the_slowest() -> None:
    _, state = cell(0, 3, 4, framework="cpsl")
    gain = state.channel_gain.copy()
    gain[0] = 0.0
    cluster = form_clusters(replace(state, channel_gain=gain), Plan(1, 0.0), np.ones(3, bool))
    assert cluster[0] == 1


@pytest.mark.parametrize("framework", names())
def test_decisions_have_clusters_where_these_take_slots(framework: str) -> None:
    _, state = cell(1, 5, 6, framework=framework)
    selected = np.array([True, True, False, True, True])
    expected = form_clusters(state, Plan(2, 0.0), selected) if framework == "cpsl" else np.zeros(5)
    for decision in (allocate(state, Plan(2, 0.0), selected), equal_shares(state, Plan(2, 0.0), selected)):
        np.testing.assert_array_equal(decision.cluster, expected)
    np.testing.assert_array_equal(clusters_for(state, Plan(2, 0.0), selected), expected)
    assert descend(state, selected, 0.0).cluster.any() == (framework == "cpsl")


def test_alike_clients_together_wait_less_than_mixed_ones() -> None:
    """Two fast and two slow devices: mixed clusters both wait for a slow one."""
    _, state = cell(3, 4, 4, framework="cpsl", decades=0.0, client_hz=np.array([8e7, 4e6, 8e7, 4e6]))
    alike = descent(state, np.ones(4, bool), 0.0, cut_layer=3)
    assert alike.decision.cluster.tolist() == [0, 1, 0, 1]
    mixed = descent(state, np.ones(4, bool), 0.0, cut_layer=3, cluster=np.array([0, 0, 1, 1]))
    assert alike.latency_s < mixed.latency_s


@given(seed=st.integers(0, 2**32 - 1), cut=st.sampled_from([None, 2]))
@settings(max_examples=20)
def test_held_clusters_are_held(seed: int, cut: int | None) -> None:
    """Also one in which nobody is: its slot takes no time."""
    _, state = cell(seed, 4, 5, framework="cpsl")
    cluster = np.random.default_rng(seed).integers(0, 3, 4)
    found = descent(state, np.ones(4, bool), 0.0, cut_layer=cut, cluster=cluster)
    found.decision.check(state)
    assert found.decision.cluster.tolist() == cluster.tolist()
    assert found.decision.assignment.shape == (cluster.max() + 1, 5)
    for slot, band in enumerate(found.decision.assignment):
        assert set(band) - {-1} == set(np.flatnonzero(cluster == slot))
    cost = round_cost(state, found.decision)
    assert found.participants == cost.participants.sum() == 4
    assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-9)


def test_clusters_are_those_of_the_cut_layer_that_is_chosen() -> None:
    """Fast computers far away, slow ones near by: who is alike depends on where the cut is."""
    differ = 0
    for seed in range(20):
        _, state = cell(seed, 5, 6, framework="cpsl", decades=4.0)
        decision = descend(state, np.ones(5, bool), 0.0)
        formed = [form_clusters(state, Plan(cut, 0.0), np.ones(5, bool)).tolist() for cut in (1, 2, 3)]
        assert decision.cluster.tolist() == formed[decision.cut_layer - 1]
        each = [descent(state, np.ones(5, bool), 0.0, cut_layer=cut).latency_s for cut in (1, 2, 3)]
        assert decision.cut_layer == 1 + np.argmin(each)
        differ += formed.count(formed[0]) < 3
    assert differ > 3
