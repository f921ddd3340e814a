"""The descent over subchannels, power and cut layer, against enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import cell, spent_w

from splitgym.allocation import allocate, best_cut, descend, descent_steps, equal_shares
from splitgym.allocation.power import control_power
from splitgym.rounds import Decision, RoundState
from splitgym.timing import round_cost

EVERYBODY = np.ones(3, bool)


def latency(state: RoundState, decision: Decision) -> float:
    return float(round_cost(state, decision).latency_s)


def optimum(state: RoundState, phi: float) -> float:
    """Least latency over every assignment that gives each client something, every cut, with exact power control."""
    clients, subchannels = state.channel_gain.shape
    best = np.inf
    for owners in itertools.product(range(clients), repeat=subchannels):
        if len(set(owners)) < clients:
            continue
        for cut in range(1, state.system.cut_layers + 1):
            assignment = np.array(owners)
            psd = control_power(state, cut, assignment, phi)
            best = min(best, latency(state, Decision(cut, assignment, psd, np.ones(clients, bool), phi)))
    return best


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_best_cut_is_that_of_an_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, state = cell(seed, client_cut_layer=rng.integers(0, 4, 3), available=rng.random(3) < 0.9)
    decision = equal_shares(state, 1, EVERYBODY, 0.5)
    each = [latency(state, replace(decision, cut_layer=cut)) for cut in (1, 2, 3)]
    best = best_cut(state, decision)
    assert best.decision.cut_layer == 1 + int(np.argmin(each))
    assert best.latency_s == min(each)
    np.testing.assert_array_equal(best.decision.assignment, decision.assignment)


@given(seed=st.integers(0, 2**32 - 1), phi=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_descent_never_goes_up_and_ends_no_worse_than_equal_shares(seed: int, phi: float) -> None:
    _, state = cell(seed, 3, 6, "bandwidth-limited", decades=3.0)
    steps = list(itertools.islice(descent_steps(state, EVERYBODY, phi), 100))
    assert len(steps) < 100
    seconds = [step.latency_s for step in steps]
    assert all(later <= earlier for earlier, later in itertools.pairwise(seconds))
    for step in steps:
        assert latency(state, step.decision) == step.latency_s
    assert seconds[0] <= min(latency(state, equal_shares(state, cut, EVERYBODY, phi)) for cut in (1, 2, 3))
    np.testing.assert_array_equal(descend(state, EVERYBODY, phi).assignment, steps[-1].decision.assignment)


@given(seed=st.integers(0, 2**32 - 1), clients=st.integers(1, 5), total_dbm=st.sampled_from([10.0, 40.0]))
@settings(max_examples=40, deadline=None)
def test_descent_keeps_the_papers_constraints(seed: int, clients: int, total_dbm: float) -> None:
    rng = np.random.default_rng(seed)
    selected = np.zeros(5, bool)
    selected[rng.permutation(5)[:clients]] = True
    scenario, state = cell(seed, 5, 6, total_dbm=total_dbm)
    decision = descend(state, selected, 0.5)
    decision.check(state)
    np.testing.assert_array_equal(decision.selected, selected)
    assert round_cost(state, decision).participants.tolist() == selected.tolist()
    power = spent_w(scenario, decision, 5)
    assert np.all(power <= scenario.radio.client_power_max_w * (1 + 1e-9))
    assert power.sum() <= scenario.radio.total_power_max_w * (1 + 1e-9)


@pytest.mark.parametrize(
    ("preset", "clients", "subchannels", "phi", "bound"),
    [
        ("iot", 2, 3, 0.0, 0.06),  # measured: 4.2 %
        ("iot", 3, 4, 0.5, 0.07),  # 4.9 %
        ("bandwidth-limited", 2, 3, 0.5, 0.10),  # 5.9 %
    ],
)
def test_mean_gap_to_the_exhaustive_optimum_is_small(
    preset: str, clients: int, subchannels: int, phi: float, bound: float
) -> None:
    """Gains of each subchannel independent over two decades: harder than a cell, where a client's go together."""
    gaps = []
    for seed in range(60):
        _, state = cell(seed, clients, subchannels, preset, total_dbm=40.0 if seed % 2 else 12.0)
        best = optimum(state, phi)
        gaps.append(latency(state, descend(state, np.ones(clients, bool), phi)) / best - 1)
    assert min(gaps) > -1e-9  # the optimum is one
    assert np.mean(gaps) < bound


def test_nobody_selected_or_nobody_there_gives_a_legal_decision() -> None:
    for state, selected in (
        (cell(0)[1], np.zeros(3, bool)),
        (cell(0, available=np.zeros(3, bool))[1], EVERYBODY),
    ):
        decision = descend(state, selected, 0.5)
        decision.check(state)
        assert not round_cost(state, decision).participants.any()


def test_who_is_away_gets_neither_subchannel_nor_power() -> None:
    _, state = cell(0, 3, 6, available=np.array([True, False, True]))
    for decision in (descend(state, EVERYBODY, 0.5), allocate(state, 2, EVERYBODY, 0.5)):
        assert 1 not in decision.assignment
        assert decision.selected.tolist() == [True, True, True]
        assert decision.selected is not EVERYBODY


def toy_state(timeout_s: float = 2.0, **arrays: object) -> RoundState:
    gain, hz = np.full((2, 2), 1e-10), np.full(2, 1e6)
    return cell(0, 2, 2, "toy", total_dbm=33.0103, timeout_s=timeout_s, channel_gain=gain, client_hz=hz, **arrays)[1]


@pytest.mark.parametrize(("held", "cut", "seconds"), [(0, 1, 0.085504), (1, 1, 0.085504), (2, 2, 0.098816)])
def test_price_of_moving_the_cut_can_hold_it_where_it_is(held: int, cut: int, seconds: float) -> None:
    """By hand: cut 1 takes 85.504 ms and cut 2 98.816 ms, but from cut 2 to 1 the units' upload takes 16.896 ms."""
    state = toy_state(client_cut_layer=np.full(2, held))
    decision = descend(state, np.ones(2, bool), 0.5)
    assert decision.cut_layer == cut
    assert latency(state, decision) == pytest.approx(seconds, rel=1e-9)


def test_descent_does_not_lose_clients_to_win_time() -> None:
    """At cut 1 both make the timeout of 43 ms (41 ms, then 45 ms more); at cut 2 (45 ms) nobody does, after 43 ms."""
    state, both = toy_state(timeout_s=0.043), np.ones(2, bool)
    assert round_cost(state, equal_shares(state, 1, both, 0.5)).participants.all()
    assert round_cost(state, descend(state, both, 0.5)).participants.all()


def test_best_cut_does_not_lose_clients_to_win_time() -> None:
    state = toy_state(timeout_s=0.043)
    decision = best_cut(state, equal_shares(state, 1, np.ones(2, bool), 0.5)).decision
    assert round_cost(state, decision).participants.all()
