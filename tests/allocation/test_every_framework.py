"""Subchannels, powers and cut layer for the rounds of every framework, with and without slots."""

from dataclasses import replace

import numpy as np
import pytest
from drawn import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell, check_budgets, random_assignment
from synchronous import SYNCHRONOUS

from splitgym.allocation import (
    allocate,
    control_power,
    descend,
    descent,
    equal_shares,
    form_clusters,
    greedy_subchannels,
    paper_descend,
)
from splitgym.frameworks import get, names
from splitgym.frameworks.phases import Access
from splitgym.frameworks.segments import Weights
from splitgym.timing import round_cost
from splitgym.types import Plan

pytestmark = pytest.mark.filterwarnings("error")

OWN_CLIENTS = [name for name in names() if get(name).segments[0].weights is Weights.OWN]
"""Frameworks whose clients keep a part of the network from round to round."""
ROUNDING = 1e-8
"""Relative; the golden-section search over two uplinks is about as exact."""


def some(seed, framework, clients=4, subchannels=6, **options):
    """A cell in which some are unavailable but client 0, a selection of it and others, and phi."""
    rng = np.random.default_rng(seed)
    values = {
        "total_dbm": float(rng.choice([12.0, 40.0])),
        "available": rng.random(clients) < 0.9,
        "client_cut_layer": rng.integers(0, 4 - get(framework).has_tail, clients) * (framework in OWN_CLIENTS),
        "timeout_s": 1e9,
    }
    values["available"][0] = True
    _, state = cell(seed, clients, subchannels, framework=framework, **{**values, **options})
    phi = rng.choice([0, 0.3, get(framework).highest_ratio(16)]) if get(framework).aggregates else 0.0
    selected = rng.random(clients) < 0.8
    selected[0] = True
    return state, selected, float(phi)


@pytest.mark.parametrize("framework", names())
def test_everybody_takes_part_in_an_allocated_round(framework):
    _, state = cell(7, 3, 6, framework=framework)
    everybody = np.ones(3, bool)
    for decision in (
        allocate(state, Plan(2, 0.25), everybody),
        equal_shares(state, Plan(2, 0.25), everybody),
        descend(state, everybody, 0.25),
        paper_descend(state, everybody, 0.25),
    ):
        assert round_cost(state, decision).participants.all()


@pytest.mark.parametrize("framework", SYNCHRONOUS)
@pytest.mark.parametrize("power", ["control", "even"])
@given(seed=st.integers(0, 2**32 - 1), subchannels=st.sampled_from([3, 6]), timeout_s=st.sampled_from([1e9, 5.0]))
@settings(max_examples=8)
def test_what_it_expects_is_what_the_round_takes(framework, power, seed, subchannels, timeout_s):
    state, selected, phi = some(seed, framework, subchannels=subchannels, timeout_s=timeout_s)
    found = descent(state, selected, phi, power=power)
    found.decision.check(state)
    np.testing.assert_array_equal(found.decision.selected, selected)
    check_budgets(state, found.decision)
    cost = round_cost(state, found.decision)
    assert found.participants == cost.participants.sum()
    assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-9)
    assert found.steps_s[-1] == found.latency_s


@pytest.mark.parametrize("framework", names())
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_it_is_no_worse_than_its_blocks_held(framework, seed):
    state, selected, phi = some(seed, framework)
    found = descent(state, selected, phi)
    assert np.all(np.diff(found.steps_s) <= ROUNDING * found.steps_s[0])
    for held in ({"search": False}, {"power": "even"}, {"cut_layer": 2}):
        assert found.latency_s <= descent(state, selected, phi, **held).latency_s * (1 + ROUNDING), held


@pytest.mark.parametrize("framework", [name for name in SYNCHRONOUS if name != "centralised"])
def test_it_is_better_than_equal_shares(framework):
    """Hardly ever worse, as swaps end where no single one helps; equal shares may be lucky."""
    worse, won = 0, []
    for seed in range(20):
        state, selected, phi = some(seed, framework)
        cuts = range(1, state.system.cut_layers + 1)
        shares = [round_cost(state, equal_shares(state, Plan(cut, phi), selected)).latency_s for cut in cuts]
        won.append(1 - descent(state, selected, phi).latency_s / min(shares))
        worse += won[-1] < -ROUNDING
    assert worse <= 1
    assert np.mean(won) > 0.01


@pytest.mark.parametrize("framework", names())
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_with_on_demand_sharing_the_round_takes_no_longer_than_expected(framework, seed):
    state, selected, phi = some(seed, framework)
    state = replace(state, system=replace(state.system, on_demand=True))
    found = descent(state, selected, phi)
    cost = round_cost(state, found.decision)
    assert cost.participants.sum() == found.participants
    assert cost.latency_s <= found.latency_s * (1 + 1e-9)


@pytest.mark.parametrize(
    ("framework", "held"),
    drawn(22, SYNCHRONOUS, [{}, {"cut_layer": np.array([1, 2, 3])}, {"power": "even"}, {"search": False}]),
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=4)
def test_worlds_of_a_batch_are_those_by_themselves(framework, held, seed):
    rng = np.random.default_rng(seed)
    state = replace(
        some(seed, framework)[0].repeat(3),
        channel_gain=10 ** rng.uniform(-13, -11, (3, 4, 6)),
        client_hz=10 ** rng.uniform(6.5, 8, (3, 4)),
        available=rng.random((3, 4)) < 0.9,
        subchannel_hz=rng.uniform(1e5, 4e5, (3, 6)),
    )
    selected, phi = rng.random((3, 4)) < 0.6, rng.choice([0, 0.3, 1], 3)
    held = {name: np.minimum(of, state.system.cut_layers) if name == "cut_layer" else of for name, of in held.items()}
    together = descent(state, selected, phi, **held)
    for n in range(3):
        alone = descent(
            state.world(n), selected[n], phi[n], **{**held, **{k: held[k][n] for k in ("cut_layer",) if k in held}}
        )
        assert together.participants[n] == alone.participants
        assert together.latency_s[n] == alone.latency_s
        np.testing.assert_array_equal(together.steps_s[n], alone.steps_s)
        assert together.decision.cut_layer[n] == alone.decision.cut_layer
        np.testing.assert_array_equal(together.decision.cluster[n], alone.decision.cluster)
        # A batch has as many slots as the world with most of them; nobody is in the others.
        band, psd = (np.atleast_2d(getattr(together.decision, name)[n]) for name in ("assignment", "power_w_per_hz"))
        expected, expected_psd = np.atleast_2d(alone.decision.assignment), np.atleast_2d(alone.decision.power_w_per_hz)
        np.testing.assert_array_equal(band[: len(expected)], expected)
        np.testing.assert_array_equal(psd[: len(expected)], expected_psd)
        assert np.all(band[len(expected) :] == -1)
    cost, somebody = round_cost(state, together.decision), (selected & state.available).any(1)
    np.testing.assert_allclose(cost.latency_s[somebody], together.latency_s[somebody], rtol=1e-9)


@pytest.mark.parametrize("framework", ["sl", "cpsl"])
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 3))
@settings(max_examples=20)
def test_each_slot_is_the_round_of_sfl_with_its_clients_alone(framework, seed, cut):
    """At a cut layer that is held; their phases are the same. Cells so small that trials do not run out."""
    state, selected, _ = some(seed, framework, 4, 4)
    found = descent(state, selected, 0.0, cut_layer=cut)
    of_sfl = replace(state, system=cell(seed, 4, 4, framework="sfl-v1", timeout_s=1e9)[1].system)
    of_sfl = replace(of_sfl, system=replace(of_sfl.system, total_power_max_w=state.system.total_power_max_w))
    slot = state.system.program.access.slot_of_clients(found.decision.cluster)
    latency_s = 0.0
    for t in range(slot.max() + 1):
        members = selected & state.available & (slot == t)
        alone = descent(of_sfl, members, 0.0, cut_layer=cut)
        np.testing.assert_array_equal(found.decision.assignment[t], alone.decision.assignment)
        np.testing.assert_array_equal(found.decision.power_w_per_hz[t], alone.decision.power_w_per_hz)
        latency_s += alone.latency_s if members.any() else 0.0
    assert found.latency_s == pytest.approx(latency_s, rel=1e-12)


@pytest.mark.parametrize("framework", names())
@pytest.mark.parametrize("power", ["control", "even"])
def test_with_nobody_there_the_timeout_passes(framework, power):
    _, state = cell(0, framework=framework, available=np.array([True, True, False]))
    for selected in (np.zeros(3, bool), np.array([False, False, True])):
        found = descent(state, selected, 0.0, power=power)
        found.decision.check(state)
        cost = round_cost(state, found.decision)
        assert not cost.participants.any()
        assert found.participants == 0
        assert (found.decision.assignment == -1).all()
        assert not found.decision.power_w_per_hz.any()
        assert found.latency_s == cost.latency_s == state.system.round_timeout_s


@pytest.mark.parametrize("framework", names())
def test_slots_have_a_row_each(framework):
    _, state = cell(1, 5, 6, framework=framework)
    decision = descend(state, np.ones(5, bool), 0.0)
    clusters = form_clusters(state, Plan(decision.cut_layer, 0.0), np.ones(5, bool)).max() + 1
    rows = {Access.PARALLEL: None, Access.CLUSTERED: clusters, Access.SEQUENTIAL: 5}[get(framework).access]
    shape = (6,) if rows is None else (rows, 6)
    assert decision.assignment.shape == decision.power_w_per_hz.shape == shape


@pytest.mark.parametrize("power", ["control", "even"])
@pytest.mark.parametrize("subchannels", [2, 6])
def test_centralised_has_nothing_to_allocate_and_everybody_takes_part(subchannels, power):
    _, state = cell(7, 4, subchannels, framework="centralised", timeout_s=1e-6)
    found = descent(state, np.ones(4, bool), 0.0, power=power)
    cost = round_cost(state, found.decision)
    assert cost.participants.all()
    assert found.participants == 4
    assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-12)


def test_without_an_uplink_there_is_nothing_to_power():
    _, state = cell(0, 3, 5, framework="centralised")
    owners = greedy_subchannels(state, Plan(1, 0.0), np.ones(3, bool))
    assert not control_power(state, Plan(1, 0.0), owners).any()
    assert not control_power(state, Plan(1, 0.0), np.array([0, 1, 2, 0, 1])).any()


@pytest.mark.parametrize("seed", range(5))
def test_a_client_with_nothing_to_send_leaves_its_power_to_the_others(seed):
    """Only the client whose cut gets shallower sends something in a round without uplinks."""
    _, state = cell(seed, 3, 6, framework="centralised")
    state = replace(state, client_cut_layer=np.array([1, 3, 1]))
    assignment = random_assignment(np.random.default_rng(seed), 3, 6)
    psd = control_power(state, Plan(1, 0.0), assignment)
    assert not psd[assignment != 1].any()
    assert psd[assignment == 1].sum() * 180e3 == pytest.approx(state.system.client_power_max_w, rel=1e-6)
