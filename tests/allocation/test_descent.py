"""The descent over subchannels, power and cut layer: against the round's clock, its blocks held, and enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell, check_budgets, latency

from experiments.cells import random_states
from splitgym.allocation import BLOCKS, allocate, control_power, descend, descent, equal_shares, even_psd
from splitgym.allocation.baselines.allocators import strongest_signal
from splitgym.allocation.descent.greedy import greedy_subchannels
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan, RoundState

EVERYBODY = np.ones(3, bool)


def some(seed: int, clients: int = 4, subchannels: int = 6, **options: object) -> tuple[RoundState, np.ndarray, float]:
    """A cell in which some are unavailable but client 0, a selection of it and others, and phi; all can be in time."""
    rng = np.random.default_rng(seed)
    values = {
        "preset": str(rng.choice(["iot", "bandwidth-limited"])),
        "decades": float(rng.choice([1.0, 4.0])),
        "total_dbm": float(rng.choice([12.0, 40.0])),
        "available": rng.random(clients) < 0.9,
        "client_cut_layer": rng.integers(0, 4, clients),
        "timeout_s": 1e9,
    }
    values["available"][0] = True
    _, state = cell(seed, clients, subchannels, **{**values, **options})
    selected = rng.random(clients) < 0.9
    selected[0] = True
    return state, selected, float(rng.choice([0, 0.3, 1]))


def no_worse(one: tuple[int, float], other: tuple[int, float]) -> bool:
    """Whether with the first more clients take part, or as many in no more time."""
    return one[0] > other[0] or (one[0] == other[0] and one[1] <= other[1] * (1 + 1e-9))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_what_it_expects_is_what_the_round_takes(seed: int) -> None:
    state, selected, phi = some(seed)
    found = descent(state, selected, phi)
    found.decision.check(state)
    cost = round_cost(state, found.decision)
    assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-9)
    assert found.participants == cost.participants.sum()
    assert cost.participants.tolist() == (selected & state.available).tolist()
    assert found.decision.selected.tolist() == selected.tolist()
    assert found.decision.selected is not selected
    assert found.decision.aggregation_ratio == phi


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_steps_go_down_to_the_latency(seed: int) -> None:
    found = descent(*some(seed))
    assert found.steps_s.shape == (len(BLOCKS),)
    assert np.all(np.diff(found.steps_s) <= 1e-12 * found.steps_s[0])
    assert found.steps_s[-1] == found.latency_s


def test_every_step_shortens_some_round() -> None:
    """Guards the test above: each block shortens the round in some cells."""
    steps = np.array([descent(*some(seed)).steps_s for seed in range(30)])
    assert np.all((np.diff(steps, axis=1) < 0).sum(0) > 3)


@given(seed=st.integers(0, 2**32 - 1), clients=st.integers(1, 5))
@settings(max_examples=40)
def test_descent_keeps_the_papers_constraints(seed: int, clients: int) -> None:
    state, _, phi = some(seed, 5, available=np.ones(5, bool))
    selected = np.zeros(5, bool)
    selected[np.random.default_rng(seed).permutation(5)[:clients]] = True
    decision = descend(state, selected, phi)
    check_budgets(state, decision)
    assert set(decision.assignment) - {-1} == set(np.flatnonzero(selected))


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 3))
@settings(max_examples=40)
def test_the_held_cut_layer_is_held(seed: int, cut: int) -> None:
    state, selected, phi = some(seed)
    held = descent(state, selected, phi, cut_layer=cut)
    assert held.decision.cut_layer == cut
    allocated = allocate(state, Plan(cut, phi), selected)
    assert allocated.cut_layer == cut
    np.testing.assert_array_equal(allocated.assignment, held.decision.assignment)
    np.testing.assert_array_equal(allocated.power_w_per_hz, held.decision.power_w_per_hz)
    batch = allocate(state.repeat(2), Plan(np.array([cut, cut]), np.full(2, phi)), np.stack([selected] * 2))
    np.testing.assert_array_equal(batch.assignment, [allocated.assignment] * 2)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_the_free_cut_layer_is_no_worse_than_those_held(seed: int) -> None:
    """Cells so small that trials do not run out; without swaps it is the best of them."""
    state, selected, phi = some(seed, 2, 3)
    best_s = min(descent(state, selected, phi, cut_layer=cut).latency_s for cut in (1, 2, 3))
    assert descent(state, selected, phi).latency_s <= best_s * (1 + 1e-9)
    held = [descent(state, selected, phi, cut_layer=cut, search=False).latency_s for cut in (1, 2, 3)]
    found = descent(state, selected, phi, search=False)
    assert found.latency_s == min(held) == held[found.decision.cut_layer - 1]


@pytest.mark.parametrize("preset", ["iot", "bandwidth-limited", "epsl", "edge6g"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_held_cut_layer_is_less_than_a_percent_behind_on_average(preset: str, share: float) -> None:
    """Swaps that start at one assignment, against those that start at several, at the cut layer that these choose."""
    scenario = build(preset, {"episode": {"round_timeout_s": 1e9}})
    states = random_states(scenario, get("epsl"), range(60))
    ratios = []
    for state in states:
        selected = np.arange(scenario.clients.count) < share * scenario.clients.count
        best = descent(state, selected, 0.5)
        held = descent(state, selected, 0.5, cut_layer=best.decision.cut_layer)
        ratios.append(held.latency_s / best.latency_s)
    assert np.mean(ratios) < 1.01


@given(seed=st.integers(0, 2**32 - 1), cut=st.sampled_from([None, 1, 3]))
@settings(max_examples=40)
def test_the_held_subchannels_are_held_and_get_exact_powers(seed: int, cut: int | None) -> None:
    state, selected, phi = some(seed, available=np.ones(4, bool))
    owners = strongest_signal(state, selected)
    found = descent(state, selected, phi, assignment=owners, cut_layer=cut)
    np.testing.assert_array_equal(found.decision.assignment, owners)
    psd = control_power(state, Plan(found.decision.cut_layer, phi), owners)
    np.testing.assert_allclose(found.decision.power_w_per_hz, psd, rtol=1e-9)
    assert found.latency_s == pytest.approx(latency(state, found.decision), rel=1e-9)
    for other in (1, 2, 3) if cut is None else (cut,):
        psd = control_power(state, Plan(other, phi), owners)
        assert found.latency_s <= latency(state, Decision(other, owners, psd, selected, phi)) * (1 + 1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_held_subchannels_of_unavailable_clients_stay_unused(seed: int) -> None:
    """The owner is unavailable or not selected; and who is selected but owns nothing takes no part."""
    state, selected, phi = some(seed)
    owners = np.random.default_rng(seed).integers(-1, 4, 6)
    found = descent(state, selected, phi, assignment=owners)
    there = (owners >= 0) & (selected & state.available)[owners]
    np.testing.assert_array_equal(found.decision.assignment, np.where(there, owners, -1))
    cost = round_cost(state, found.decision)
    assert found.participants == cost.participants.sum()
    assert found.latency_s == pytest.approx(cost.latency_s, rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1), subchannels_held=st.booleans())
@settings(max_examples=40)
def test_held_power_is_an_even_split(seed: int, subchannels_held: bool) -> None:
    state, selected, phi = some(seed)
    held = {"assignment": strongest_signal(state, selected)} if subchannels_held else {}
    found = descent(state, selected, phi, power="even", **held)
    expected = even_psd(state, found.decision.assignment)
    np.testing.assert_allclose(found.decision.power_w_per_hz, expected, rtol=1e-12)
    assert found.latency_s == pytest.approx(latency(state, found.decision), rel=1e-9)


@pytest.mark.parametrize("total_w", [0.01, 0.1, 10.0])
def test_even_split_by_hand(total_w: float) -> None:
    """Of 0.5 W for a client and so much for all together; alone a client spends the smaller of the two."""
    state, _, _ = some(0)
    state = replace(state, system=replace(state.system, client_power_max_w=0.5, total_power_max_w=total_w))
    owners = np.zeros(state.channel_gain.shape[1], np.int64)
    alone = even_psd(state, owners)
    assert (alone * state.subchannel_hz).sum() == pytest.approx(min(0.5, total_w))
    owners[0] = 1
    spent = even_psd(state, owners) * state.subchannel_hz
    assert [spent[0], spent[1:].sum()] == pytest.approx([min(0.5, total_w / 2)] * 2)


@given(seed=st.integers(0, 2**32 - 1), power=st.sampled_from(["control", "even"]))
@settings(max_examples=40)
def test_without_search_the_greedy_assigns_at_the_best_cut_layer(seed: int, power: str) -> None:
    state, selected, phi = some(seed)
    found = descent(state, selected, phi, power=power, search=False)
    each = []
    for cut in (1, 2, 3):
        owners = greedy_subchannels(state, Plan(cut, phi), selected & state.available)
        psd = control_power(state, Plan(cut, phi), owners) if power == "control" else even_psd(state, owners)
        each.append(Decision(cut, owners, psd, selected, phi))
    best = min(each, key=lambda decision: latency(state, decision))
    assert found.latency_s == pytest.approx(latency(state, best), rel=1e-9)
    if (selected & state.available).any():
        np.testing.assert_array_equal(found.decision.assignment, each[found.decision.cut_layer - 1].assignment)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_no_block_that_is_held_does_better(seed: int) -> None:
    state, selected, phi = some(seed)
    found = descent(state, selected, phi)
    for held in (
        {"search": False},
        {"power": "even"},
        {"assignment": strongest_signal(state, selected)},
    ):
        other = descent(state, selected, phi, **held)
        assert no_worse((found.participants, found.latency_s), (other.participants, other.latency_s)), held


@given(seed=st.integers(0, 2**32 - 1), held=st.sampled_from(["nothing", "cut", "subchannels", "power", "search"]))
@settings(max_examples=60)
def test_worlds_of_a_batch_are_those_by_themselves(seed: int, held: str) -> None:
    """To the bit; also if nobody is there, and if somebody cannot be heard at all."""
    rng = np.random.default_rng(seed)
    state = replace(
        some(seed)[0].repeat(3),
        channel_gain=10 ** rng.uniform(-13, -11, (3, 4, 6)) * (rng.random((3, 4, 1)) < 0.9),
        client_hz=10 ** rng.uniform(6.5, 8, (3, 4)),
        server_hz=10 ** rng.uniform(7, 9, 3),
        available=rng.random((3, 4)) < 0.9,
        subchannel_hz=rng.uniform(1e5, 4e5, (3, 6)),
        client_cut_layer=rng.integers(0, 4, (3, 4)),
    )
    selected, phi = rng.random((3, 4)) < 0.6, rng.choice([0, 0.3, 1], 3)
    by_world = {"cut": {"cut_layer": rng.integers(1, 4, 3)}, "subchannels": {"assignment": rng.integers(-1, 4, (3, 6))}}
    by_world = by_world.get(held, {})
    same = {"power": {"power": "even"}, "search": {"search": False}}.get(held, {})
    together = descent(state, selected, phi, **by_world, **same)
    for n in range(3):
        alone = descent(state.world(n), selected[n], phi[n], **{name: v[n] for name, v in by_world.items()}, **same)
        for name in ("cut_layer", "assignment", "power_w_per_hz", "selected", "aggregation_ratio", "cluster"):
            expected = getattr(alone.decision, name)
            np.testing.assert_array_equal(getattr(together.decision, name)[n], expected, err_msg=name)
        assert together.participants[n] == alone.participants
        assert together.latency_s[n] == alone.latency_s
        np.testing.assert_array_equal(together.steps_s[n], alone.steps_s)


def optimum(state: RoundState, phi: float) -> float:
    """Least latency over every assignment that gives each client something, every cut, with exact power control."""
    clients, subchannels = state.channel_gain.shape
    best = np.inf
    for owners in itertools.product(range(clients), repeat=subchannels):
        if len(set(owners)) < clients:
            continue
        for cut in range(1, state.system.cut_layers + 1):
            assignment = np.array(owners)
            psd = control_power(state, Plan(cut, phi), assignment)
            best = min(best, latency(state, Decision(cut, assignment, psd, np.ones(clients, bool), phi)))
    return best


@pytest.mark.parametrize(
    ("preset", "framework", "clients", "subchannels", "phi"),
    [
        ("iot", "epsl", 2, 3, 0.0),
        ("iot", "epsl", 3, 4, 0.5),
        ("bandwidth-limited", "epsl", 2, 3, 0.5),
        ("iot", "fl", 3, 4, 0.0),
        ("iot", "sfl-v1", 3, 4, 0.0),
    ],
)
def test_mean_gap_to_the_exhaustive_optimum_is_below_one_percent(
    preset: str, framework: str, clients: int, subchannels: int, phi: float
) -> None:
    """Gains of each subchannel independent over two decades: harder than a cell, where a client's go together."""
    gaps = []
    for seed in range(60):
        dbm = 40.0 if seed % 2 else 12.0
        _, state = cell(seed, clients, subchannels, preset, total_dbm=dbm, framework=framework)
        best = optimum(state, phi)
        gaps.append(latency(state, descend(state, np.ones(clients, bool), phi)) / best - 1)
    assert min(gaps) > -1e-9  # the optimum is one
    assert np.mean(gaps) < 0.01


def test_an_unavailable_client_gets_neither_subchannel_nor_power() -> None:
    _, state = cell(0, 3, 6, available=np.array([True, False, True]))
    for decision in (descend(state, EVERYBODY, 0.5), allocate(state, Plan(2, 0.5), EVERYBODY)):
        assert 1 not in decision.assignment
        assert decision.selected.tolist() == [True, True, True]


def toy_state(timeout_s: float = 2.0, **arrays: object) -> RoundState:
    gain, hz = np.full((2, 2), 1e-10), np.full(2, 1e6)
    return cell(0, 2, 2, "toy", total_dbm=33.0103, timeout_s=timeout_s, channel_gain=gain, client_hz=hz, **arrays)[1]


@pytest.mark.parametrize(("held", "cut", "seconds"), [(0, 1, 0.085504), (1, 1, 0.085504), (2, 2, 0.098816)])
def test_price_of_moving_the_cut_can_hold_it_where_it_is(held: int, cut: int, seconds: float) -> None:
    """By hand: cut 1 takes 85.504 ms and cut 2 98.816 ms, but from cut 2 to 1 the units' upload takes 16.896 ms."""
    found = descent(toy_state(client_cut_layer=np.full(2, held)), np.ones(2, bool), 0.5)
    assert found.decision.cut_layer == cut
    assert found.latency_s == pytest.approx(seconds, rel=1e-9)


def test_descent_does_not_lose_clients_to_win_time() -> None:
    """At cut 1 both make the timeout of 43 ms (41 ms, then 45 ms more); at cut 2 (45 ms) nobody does, after 43 ms."""
    state, both = toy_state(timeout_s=0.043), np.ones(2, bool)
    assert round_cost(state, equal_shares(state, Plan(1, 0.5), both)).participants.all()
    assert round_cost(state, descend(state, both, 0.5)).participants.all()


@pytest.mark.parametrize(
    ("framework", "held", "words"),
    [
        ("epsl", {"power": "full"}, r"^power = 'full', allowed: 'control', 'even'$"),
        ("epsl", {"cut_layer": 0}, r"^cut_layer = 0, allowed: 1\.\.3$"),
        ("epsl", {"cut_layer": 4}, r"^cut_layer = 4, allowed: 1\.\.3$"),
        ("sl", {"assignment": np.zeros(4, int)}, r"^assignment of a round with slots \(SEQUENTIAL\), allowed: None$"),
        ("cpsl", {"assignment": np.zeros(4, int)}, r"^assignment of a round with slots \(CLUSTERED\), allowed: None$"),
    ],
)
def test_what_cannot_be_held_is_one_clear_error(framework: str, held: dict[str, object], words: str) -> None:
    _, state = cell(0, framework=framework)
    with pytest.raises(ValueError, match=words):
        descent(state, EVERYBODY, 0.0, **held)


def test_more_than_two_uplinks_are_one_clear_error() -> None:
    """A model that goes up before the broadcast with which SFL begins is a third one."""
    _, state = cell(0, framework="sfl-v1", client_cut_layer=np.full(3, 3))
    with pytest.raises(ValueError, match=r"^the round has 3 uplinks .* allowed: 2$"):
        descent(state, EVERYBODY, 0.0, cut_layer=1)
