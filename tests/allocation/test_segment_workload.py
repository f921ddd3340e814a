"""What each client has to do by itself, against what a round takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from small_cells import COSTS, cell, latency, random_bands, with_timeout
from synchronous import SYNCHRONOUS

from splitgym.allocation.workload import own_seconds, own_workload
from splitgym.frameworks import get
from splitgym.frameworks.phases import Access
from splitgym.timing import round_cost
from splitgym.types import Plan


def some(seed, framework):
    """A cell whose clients hold all kinds of cuts, and a decision in it in which somebody takes part."""
    rng = np.random.default_rng(seed)
    _, state = cell(
        seed,
        4,
        5,
        framework=framework,
        timeout_s=1e9,
        client_cut_layer=rng.integers(0, 4 - get(framework).has_tail, 4),
        available=rng.random(4) < 0.8,
    )
    cut = int(rng.integers(1, state.system.cut_layers + 1))
    decision = random_bands(rng, state, cut, rng.random(4) < 0.8, rng.choice([0, 0.3, 0.5, 1]))
    assume((decision.selected & state.available).any())
    return state, decision


def slot_s(state, workload, band, psd):
    """The equation of `splitgym.allocation.workload` for one slot with [M] owners and powers.

    Returns seconds until the timeout applies, and all seconds.
    """
    system = state.system
    uplink = state.subchannel_hz * np.log1p(psd * state.channel_gain / system.noise_psd_w_per_hz) / np.log(2)
    downlink = system.downlink_psd_w_per_hz * state.channel_gain / system.noise_psd_w_per_hz
    downlink = state.subchannel_hz * np.log1p(downlink) / np.log(2)
    served = sorted(set(band[band >= 0]))
    ends = [
        max(
            workload.compute_s[s, i]
            + workload.uplink_bits[s, i] / uplink[i, band == i].sum()
            + workload.downlink_bits[s, i] / downlink[i, band == i].sum()
            for i in served
        )
        for s in range(workload.segments[0])
    ]
    broadcast = min(downlink[i].sum() for i in served)
    before, after = (seconds + each * len(served) + bits / broadcast for seconds, each, bits in workload.common)
    return before + sum(ends[: workload.segments[1] + 1]), before + after + sum(ends)


@pytest.mark.parametrize("framework", SYNCHRONOUS)
@given(seed=st.integers(0, 2**32 - 1))
def test_workload_and_rates_make_the_latency(framework, seed):
    state, decision = some(seed, framework)
    workload = own_workload(state, Plan(decision.cut_layer, decision.aggregation_ratio))
    bands = zip(np.atleast_2d(decision.assignment), np.atleast_2d(decision.power_w_per_hz), strict=True)
    expected = sum(slot_s(state, workload, *band)[1] for band in bands if (band[0] >= 0).any())
    assert latency(state, decision) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("framework", SYNCHRONOUS)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_timeout_applies_behind_the_segment_that_the_workload_says(framework, seed):
    state, decision = some(seed, framework)
    workload = own_workload(state, Plan(decision.cut_layer, decision.aggregation_ratio))
    if framework == "centralised":
        assert workload.segments[1] == -1
        assert round_cost(with_timeout(state, 1e-9), decision).participants.any()
    elif state.system.program.access is Access.PARALLEL:
        until_s, _ = slot_s(state, workload, decision.assignment, decision.power_w_per_hz)
        assume(until_s > 0)  # PSL-drop may drop everything
        there = decision.selected & state.available
        in_time = round_cost(with_timeout(state, until_s * (1 + 1e-9)), decision).participants
        too_late = round_cost(with_timeout(state, until_s * (1 - 1e-9)), decision).participants
        assert in_time.tolist() == there.tolist()
        assert too_late.sum() < there.sum()


def test_workload_of_epsl_and_psl_drop_by_hand():
    """A quarter of the 16 rows: EPSL computes and sends all of them up and gets 12 back, PSL-drop has 12 throughout."""
    for framework, rows in (("epsl", 16), ("psl-drop", 12)):
        scenario, state = cell(0, client_cut_layer=np.array([1, 2, 3]), framework=framework)
        workload, per_flop = (
            own_workload(state, Plan(2, 0.25)),
            rows * scenario.clients.cycles_per_flop / state.client_hz,
        )
        assert workload.segments.tolist() == [2, 0]
        forward, backward = COSTS.forward_flops[:2].sum(), COSTS.backward_flops[:2].sum()
        np.testing.assert_allclose(workload.compute_s[:2], [per_flop * forward, per_flop * backward])
        given_up = np.array([0, 0, COSTS.model_bits[2]])
        np.testing.assert_allclose(workload.uplink_bits[:2], [rows * COSTS.activation_bits[1] + given_up, np.zeros(3)])
        got_back = np.full(3, 12 * COSTS.activation_bits[1])
        np.testing.assert_allclose(workload.downlink_bits[:2], [[COSTS.model_bits[1], 0, 0], got_back])


def test_common_workload_of_epsl_by_hand():
    """All of it comes after the uplink: m rows of the server's backward pass once, the rest for each client."""
    scenario, state = cell(0)
    (seconds, each, bits), per_flop = own_workload(state, Plan(1, 0.25)).common[1], scenario.server.cycles_per_flop
    backward = COSTS.backward_flops[1:-1].sum()
    flops = 16 * COSTS.forward_flops[1:].sum() + 12 * backward + 16 * COSTS.backward_flops[-1]
    assert not own_workload(state, Plan(1, 0.25)).common[0].any()
    assert seconds == pytest.approx(4 * backward * per_flop / state.server_hz)
    assert each == pytest.approx(flops * per_flop / state.server_hz)
    assert bits == 4 * COSTS.activation_bits[0]


def test_workload_of_fl_is_all_in_one_segment_by_hand():
    scenario, state = cell(0, framework="fl")
    workload = own_workload(state, Plan(1, 0.0))
    flops = COSTS.forward_flops.sum() + COSTS.backward_flops.sum()
    assert workload.segments.tolist() == [1, 0]
    np.testing.assert_allclose(workload.compute_s[0], 16 * scenario.clients.cycles_per_flop * flops / state.client_hz)
    np.testing.assert_allclose(workload.uplink_bits[0], COSTS.model_bits.sum())
    assert not workload.downlink_bits[0].any()
    np.testing.assert_allclose(workload.common, [[0, 0, COSTS.model_bits.sum()], [0, 0, 0]])


@pytest.mark.parametrize("framework", ["sl", "sfl-v1", "sfl-v2", "cpsl"])
def test_workload_of_sfl_has_a_second_uplink_by_hand(framework):
    scenario, state = cell(0, framework=framework)
    workload, per_flop = own_workload(state, Plan(2, 0.0)), 16 * scenario.clients.cycles_per_flop / state.client_hz
    smashed, model = 16 * COSTS.activation_bits[1], COSTS.model_bits[:2].sum()
    assert workload.segments.tolist() == [2, 0]
    forward, backward = COSTS.forward_flops[:2].sum(), COSTS.backward_flops[:2].sum()
    np.testing.assert_allclose(workload.compute_s[:2], [per_flop * forward, per_flop * backward])
    np.testing.assert_allclose(workload.uplink_bits[:2].T, [[smashed, model]] * 3)
    np.testing.assert_allclose(workload.downlink_bits[:2].T, [[0, smashed]] * 3)
    np.testing.assert_allclose(workload.common[0], [0, 0, model])


def test_what_moves_before_a_broadcast_is_a_segment_of_its_own():
    """SFL broadcasts the model first: whoever gives units up is waited for before that, but no timeout applies yet."""
    _, state = cell(0, framework="sfl-v1", client_cut_layer=np.array([1, 2, 3]))
    workload = own_workload(state, Plan(2, 0.0))
    assert workload.segments.tolist() == [3, 1]
    assert workload.uplink_bits[0].tolist() == [0, 0, COSTS.model_bits[2]]
    assert workload.downlink_bits[0].tolist() == [COSTS.model_bits[1], 0, 0]


def test_centralised_has_no_workload_of_its_own():
    scenario, state = cell(0, framework="centralised")
    workload = own_workload(state, Plan(1, 0.0))
    assert workload.segments.tolist() == [0, -1]
    flops = 16 * (COSTS.forward_flops.sum() + COSTS.backward_flops.sum())
    each = flops * scenario.server.cycles_per_flop / state.server_hz
    np.testing.assert_allclose(workload.common.sum(0), [0, each, 0])


@pytest.mark.parametrize("total_share", [10.0, 0.5])
def test_own_seconds_are_those_of_an_even_share(total_share):
    """Three of EPSL's clients share four subchannels: each gets 4/3 of them at its mean gain."""
    scenario, state = cell(3, 4, 4)
    p_max, noise = state.system.client_power_max_w, state.system.noise_psd_w_per_hz
    state = replace(state, system=replace(state.system, total_power_max_w=total_share * p_max))
    hz, power, gain = 4 / 3 * 180e3, min(1, total_share / 3) * p_max, state.channel_gain.mean(1)
    flops = COSTS.forward_flops[:2].sum() + COSTS.backward_flops[:2].sum()
    uplink = hz * np.log2(1 + power / hz * gain / noise)
    downlink = hz * np.log2(1 + state.system.downlink_psd_w_per_hz * gain / noise)
    expected = (
        16 * scenario.clients.cycles_per_flop * flops / state.client_hz
        + 16 * COSTS.activation_bits[1] / uplink
        + 12 * COSTS.activation_bits[1] / downlink
    )
    assert scenario.radio.subchannel_hz == 180e3
    np.testing.assert_allclose(own_seconds(state, Plan(2, 0.25), 3), expected, rtol=1e-12)
