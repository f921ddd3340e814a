"""Rules that select clients, in cells where the order of the clients is known: computing takes nearly all the time."""

import itertools
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from drawn import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import COSTS, cell

from splitgym.allocation.baselines.allocators import equal_shares
from splitgym.allocation.descent.descent import descend
from splitgym.allocation.selection.rules import (
    Deadline,
    Everybody,
    FastestK,
    HighestLossK,
    LossPerSecondK,
    Prospect,
    RandomK,
    RoundRobinK,
    Unified,
)
from splitgym.frameworks import names
from splitgym.timing import round_cost
from splitgym.types import Plan

RULES = [
    Everybody(),
    *(rule(k) for rule in (RandomK, RoundRobinK, FastestK, HighestLossK, LossPerSecondK) for k in (None, 1, 3, 9)),
    HighestLossK(2, candidates=3),
    Deadline(),
    Deadline(1.0),
    *(Unified(w, deadline_s) for w in (0, 0.5, 1.0) for deadline_s in (None, 1.0)),
    Unified(diversity="novelty"),
]


def at_cut_2(state, selected, aggregation_ratio):
    return equal_shares(state, Plan(2, aggregation_ratio), selected)


def prospect(state, allocation=at_cut_2, ratio=0.0, seed=0):
    return Prospect(state, ratio, allocation, np.random.default_rng(seed))


def computing(seed, clients=5, subchannels=8, **arrays):
    """Everybody hears everything 60 dB better than it takes to compute longer than to send."""
    rng = np.random.default_rng(seed)
    values = {
        "channel_gain": np.full((clients, subchannels), 1e-4),
        "client_hz": 1e7 * 10 ** rng.uniform(0, 1, clients),
        "client_loss": rng.uniform(0.1, 3, clients),
        "available": rng.random(clients) < 0.8,
    }
    return cell(seed, clients, subchannels, **{**values, **arrays})[1]


def chosen(rule, state, **options):
    selected = rule(prospect(state, **options))
    assert selected.shape == state.available.shape
    assert selected.dtype == np.bool_
    return set(np.flatnonzero(selected).tolist())


def there(state):
    return np.flatnonzero(state.available).tolist()


def latency(state, clients, allocation=at_cut_2):
    """T of these clients; infinite if one of them is left out."""
    selected = np.isin(np.arange(len(state.available)), list(clients))
    cost = round_cost(state, allocation(state, selected, 0.0))
    return float(cost.latency_s) if np.array_equal(cost.participants, selected) else np.inf


def sets(state):
    """Every set of clients that are there, nobody excepted."""
    return [s for n in range(1, len(there(state)) + 1) for s in itertools.combinations(there(state), n)]


@pytest.mark.parametrize(("rule", "framework"), drawn(66, RULES, names()), ids=str)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3, deadline=None)
def test_every_rule_selects_an_available_client(rule, framework, seed):
    rng = np.random.default_rng(seed)
    _, state = cell(seed, 5, int(rng.integers(2, 9)), framework=framework, available=rng.random(5) < 0.6)
    for allocation in (at_cut_2, descend):
        selected = chosen(rule, state, allocation=allocation)
        assert selected <= set(there(state))
        assert bool(selected) == state.available.any()
        if getattr(rule, "k", None):
            assert len(selected) == min(rule.k, len(there(state)))


def test_everybody_selects_all_available_clients():
    assert chosen(Everybody(), computing(0, available=np.array([1, 0, 1, 1, 0], bool))) == {0, 2, 3}


@pytest.mark.parametrize("rule", [RandomK, RoundRobinK, FastestK, HighestLossK, LossPerSecondK])
@pytest.mark.parametrize(("clients", "half"), [(1, 1), (4, 2), (5, 3)])
def test_default_is_half_of_all_rounded_up(rule, clients, half):
    state = computing(0, clients, available=np.ones(clients, bool))
    assert len(chosen(rule(), state)) == half


def test_random_takes_every_set_equally_often_and_repeats_itself():
    state = computing(0, available=np.array([1, 1, 0, 1, 1], bool))
    rng = np.random.default_rng(0)
    drawn = [RandomK(2)(Prospect(state, 0.0, at_cut_2, rng)) for _ in range(1200)]
    count = Counter(tuple(np.flatnonzero(selected).tolist()) for selected in drawn)
    assert set(count) == set(itertools.combinations((0, 1, 3, 4), 2))
    # 200 each; the deviation of a count is below 13.
    assert all(abs(times - 200) < 5 * 13 for times in count.values())
    assert chosen(RandomK(2), state, seed=4) == chosen(RandomK(2), state, seed=4)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_round_robin_takes_everybody_equally_often(k):
    rounds = [computing(0, round=n, available=np.ones(5, bool)) for n in range(5)]
    count = Counter(client for state in rounds for client in chosen(RoundRobinK(k), state))
    assert count == dict.fromkeys(range(5), k)


def test_round_robin_skips_unavailable_clients():
    states = [computing(0, round=n, available=np.array([1, 0, 1, 1, 1], bool)) for n in range(4)]
    # It would begin with 0, 2, 4 and 1.
    assert [chosen(RoundRobinK(2), state) for state in states] == [{0, 2}, {2, 3}, {0, 4}, {2, 3}]


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_fastest_are_those_with_most_cycles_per_second(seed, k):
    state = computing(seed)
    fastest = sorted(there(state), key=lambda i: -state.client_hz[i])[:k]
    assert chosen(FastestK(k), state) == set(fastest)


def test_fastest_hears_as_well_as_it_computes():
    """Equal processors; client 1 hears 20 dB less than the others and so sends for longest."""
    gain = 1e-12 * np.array([[1.0] * 4, [0.01] * 4, [1.1] * 4])
    _, state = cell(0, 3, 4, channel_gain=gain, client_hz=np.full(3, 5e7))
    assert chosen(FastestK(2), state) == {0, 2}
    assert chosen(FastestK(1), state) == {2}


def test_fastest_counts_what_has_to_move_first():
    """Client 0, a little faster, still has the cut layer 3 and has to give up a unit."""
    state = computing(
        0, 2, client_hz=np.array([5.05e7, 5e7]), available=np.ones(2, bool), client_cut_layer=np.array([3, 2])
    )
    slow = replace(state, channel_gain=np.full((2, 8), 1e-13))
    assert chosen(FastestK(1), replace(slow, client_cut_layer=np.array([2, 2]))) == {0}
    assert chosen(FastestK(1), slow) == {1}


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_highest_losses_are_those_of_the_worst_clients(seed, k):
    state = computing(seed)
    worst = sorted(there(state), key=lambda i: -state.client_loss[i])[:k]
    assert chosen(HighestLossK(k), state) == set(worst)
    assert chosen(HighestLossK(k, candidates=6), state) == set(worst)


def test_at_least_as_many_are_candidates_as_are_selected():
    state = computing(0, available=np.ones(5, bool))
    assert len(chosen(HighestLossK(candidates=1), state)) == 3
    assert len(chosen(HighestLossK(2, candidates=2), state)) == 2


def test_ties_of_the_loss_go_to_the_first():
    state = computing(0, client_loss=np.array([1.0, 2.0, 1.0, 2.0, 2.0]), available=np.ones(5, bool))
    assert chosen(HighestLossK(2), state) == {1, 3}
    assert chosen(HighestLossK(4), state) == {0, 1, 3, 4}


def test_power_of_choice_draws_its_candidates_by_their_data():
    """With d = k it is a draw of k by the data; with d = 2 and k = 1 the worse of two."""
    share, loss = np.array([0.6, 0.3, 0.1]), np.array([1.0, 2.0, 3.0])
    state = computing(0, 3, data_share=share, client_loss=loss, available=np.ones(3, bool))
    single = Counter(next(iter(chosen(HighestLossK(1, candidates=1), state, seed=n))) for n in range(1000))
    # Deviations are below 16.
    assert all(abs(single[i] - 1000 * share[i]) < 5 * 16 for i in range(3))
    worse = Counter(next(iter(chosen(HighestLossK(1, candidates=2), state, seed=n))) for n in range(1000))
    # Clients 0 and 1: 0.6 * 0.3 / 0.4 + 0.3 * 0.6 / 0.7.
    assert abs(worse[1] - 1000 * (0.45 + 0.18 / 0.7)) < 5 * 16
    assert worse[0] == 0


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_loss_per_second_weighs_loss_and_speed(seed, k):
    state = computing(seed)
    best = sorted(there(state), key=lambda i: -state.client_loss[i] * state.client_hz[i])[:k]
    assert chosen(LossPerSecondK(k), state) == set(best)


def test_where_nothing_is_done_by_itself_the_loss_decides():
    _, state = cell(0, 3, framework="centralised", client_loss=np.array([0.2, 0.9, 0.5]))
    assert chosen(LossPerSecondK(2), state) == {1, 2}


@given(seed=st.integers(0, 2**32 - 1), quantile=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_by_the_deadline_nobody_could_select_more(seed, quantile):
    state = computing(seed)
    if not state.available.any():
        return
    times = {clients: latency(state, clients) for clients in sets(state)}
    deadline_s = float(np.quantile(list(times.values()), quantile))
    selected = chosen(Deadline(deadline_s), state)
    assert times[tuple(sorted(selected))] <= deadline_s
    assert len(selected) == max(len(clients) for clients, seconds in times.items() if seconds <= deadline_s)


def test_if_nobody_is_in_time_the_fastest_goes_alone():
    state = computing(0, client_hz=np.array([1e7, 2e7, 4e7, 3e7, 1e7]), available=np.ones(5, bool))
    assert chosen(Deadline(1e-6), state) == {2}
    assert chosen(Unified(0.0, deadline_s=1e-6), state) == {2}


@pytest.mark.parametrize("rule", [Deadline(1e9), Unified(0.0)], ids=str)
def test_a_client_that_would_be_dropped_is_not_selected(rule):
    """Two subchannels for five clients; then a timeout that the two slowest miss."""
    hz = np.array([1e7, 2e7, 4e7, 4.1e7, 3.9e7])
    few = computing(0, 5, 2, client_hz=hz, available=np.ones(5, bool))
    assert chosen(rule, few) == {2, 3}
    scenario, state = cell(0, 5, 8, channel_gain=np.full((5, 8), 1e-4), client_hz=hz)
    forward_cycles = scenario.training.batch_size * scenario.clients.cycles_per_flop * COSTS.forward_flops[:2].sum()
    state = replace(state, system=replace(state.system, round_timeout_s=float(forward_cycles / 3e7)))
    assert chosen(rule, state) == {2, 3, 4}


def test_deadline_is_the_timeout_of_the_scenario_unless_given():
    hz = np.array([1e7, 2e7, 4e7, 4.1e7, 3.9e7])
    state = computing(0, client_hz=hz, available=np.ones(5, bool))
    timeout_s = latency(state, [1, 2, 3, 4]) * 1.001
    state = replace(state, system=replace(state.system, round_timeout_s=timeout_s))
    assert chosen(Deadline(), state) == chosen(Deadline(timeout_s), state) == {1, 2, 3, 4}


def weight_per_second(state, clients, w, seconds):
    mean = state.client_loss[there(state)].mean()
    return sum((1 - w) + w * state.client_loss[i] / mean for i in clients) / seconds


@given(seed=st.integers(0, 2**32 - 1), in_time=st.booleans())
@settings(max_examples=40, deadline=None)
def test_unified_without_loss_is_the_best_of_all_sets(seed, in_time):
    """With w = 0 the best set is one of the fastest clients, so enumeration finds none that is better."""
    state = computing(seed)
    if not state.available.any():
        return
    times = {clients: latency(state, clients) for clients in sets(state)}
    deadline_s = float(np.median(list(times.values()))) if in_time else None
    selected = tuple(sorted(chosen(Unified(0.0, deadline_s), state)))
    rates = {s: len(s) / seconds for s, seconds in times.items() if seconds <= (deadline_s or np.inf)}
    assert rates[selected] == pytest.approx(max(rates.values()), rel=1e-12)


@pytest.mark.parametrize("w", [0.5, 1.0])
def test_unified_is_near_the_best_of_all_sets(w):
    gaps = []
    for seed in range(60):
        state = computing(seed, available=np.ones(5, bool))
        rates = {s: weight_per_second(state, s, w, latency(state, s)) for s in sets(state)}
        gaps.append(1 - rates[tuple(sorted(chosen(Unified(w), state)))] / max(rates.values()))
    assert min(gaps) >= 0
    assert np.mean(gaps) < 0.01  # measured: 0.84 %


@given(seed=st.integers(0, 2**32 - 1), w=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_unified_is_the_best_of_the_sets_it_looks_at(seed, w):
    state = computing(seed)
    if not state.available.any():
        return
    mean = state.client_loss[there(state)].mean()
    order = sorted(there(state), key=lambda i: -(1 - w + w * state.client_loss[i] / mean) * state.client_hz[i])
    looked_at = [order[:n] for n in range(1, len(order) + 1)]
    best = max(looked_at, key=lambda s: weight_per_second(state, s, w, latency(state, s)))
    assert chosen(Unified(w), state) == set(best)


def test_the_more_the_loss_weighs_the_more_of_it_is_selected():
    """A slow client with ten times the loss of the others, for whom a round takes five times as long."""
    state = computing(
        0,
        client_hz=np.array([5e7, 5e7, 1e7, 5e7, 5e7]),
        client_loss=np.array([0.2, 0.2, 2.0, 0.2, 0.2]),
        available=np.ones(5, bool),
    )
    assert chosen(Unified(0.0), state) == {0, 1, 3, 4}
    assert 2 in chosen(Unified(1.0), state)


def test_losses_of_nothing_are_no_division_by_nothing():
    state = computing(0, client_loss=np.zeros(5), available=np.ones(5, bool))
    assert chosen(Unified(1.0), state)
    assert len(chosen(LossPerSecondK(2), state)) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *(
            (partial(rule, k), ("k = ", repr(k), "1 or more"))
            for rule in (RandomK, FastestK)
            for k in (0, -1, 1.5, "3", True)
        ),
        (partial(HighestLossK, 3, 2), ("candidates = 2", "k = 3 or more")),
        (partial(HighestLossK, None, 0), ("candidates = 0", "1 or more")),
        (partial(Deadline, 0), ("deadline_s = 0", "above 0")),
        (partial(Deadline, "4"), ("deadline_s = '4'", "above 0")),
        (partial(Deadline, np.inf), ("deadline_s = inf", "above 0")),
        (partial(Deadline, np.nan), ("deadline_s = nan", "above 0")),
        (partial(Unified, 1.1), ("w = 1.1", "0..1")),
        (partial(Unified, -0.1), ("w = -0.1", "0..1")),
        (partial(Unified, np.nan), ("w = nan", "0..1")),
        (partial(Unified, "half"), ("w = 'half'", "0..1")),
        (partial(Unified, 0.5, -1.0), ("deadline_s = -1.0", "above 0")),
        (partial(Unified, diversity="novlty"), ("diversity = 'novlty'", "'novelty'")),
        (partial(Unified, diversity=1), ("diversity = 1", "novelty")),
    ],
)
def test_parameter_that_is_not_allowed_is_one_clear_error(make, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        make()
    assert all(word in str(caught.value) for word in words), str(caught.value)
