"""Sets with the largest utility, against rules and enumerations made here."""

from dataclasses import replace
from itertools import combinations, pairwise

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import splitgym  # noqa: F401 - registers the environment
from splitgym.allocation import Prospect, Unified, allocate, best_utility, descend, descent
from splitgym.allocation.selection.utility import allocate_best_unchecked, sizes
from splitgym.allocation.workload import own_seconds
from splitgym.types import Plan


def states(count, preset="iot", **overrides):
    """A batch of believed states, and each of them by itself."""
    settings = {"scenario": preset, "learner": "surrogate", "action": "schedule", **overrides}
    envs = gym.make_vec("SplitLearning-v0", count, "vector_entry_point", **settings)
    envs.reset(seed=3)
    envs.action_space.seed(0)
    for _ in range(3):
        envs.step(envs.action_space.sample())
    ((_, simulation),) = envs.unwrapped._simulations
    state = simulation.world.state
    return state, [state.world(n) for n in range(count)]


BATCH, SINGLES = states(12, clients={"dropout_probability": 0.2, "return_probability": 0.5})


@pytest.mark.parametrize("phi", [0.0, 0.5])
@pytest.mark.parametrize("w", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("cut", [1, 3])
def test_with_exponent_one_it_is_the_unified_rule(cut, w, phi):
    """The rule works on one world, with whatever allocation it is given."""
    weight = np.zeros(BATCH.available.shape)
    for n, state in enumerate(SINGLES):
        loss = state.client_loss
        weight[n] = (1 - w) * loss[state.available].mean() + w * loss
    plan = Plan(np.full(len(weight), cut), np.full(len(weight), phi))
    got = best_utility(BATCH, weight, np.ones(len(weight)), plan)
    rng = np.random.default_rng(0)

    def allocation(state, selected, ratio):
        return descend(state, selected, ratio, cut_layer=cut, search=False)

    for n, state in enumerate(SINGLES):
        assert np.array_equal(got[n], Unified(w=w)(Prospect(state, phi, allocation, rng))), n


@given(seed=st.integers(0, 10_000), latency_exponent=st.floats(0, 2))
def test_no_prefix_of_the_order_has_a_larger_utility(seed, latency_exponent):
    weight = np.random.default_rng(seed).uniform(0.1, 8, (12, 8))
    got = best_utility(BATCH, weight, np.full(12, latency_exponent), Plan(np.ones(12, int), np.zeros(12)))
    n = seed % 12
    state, mine = SINGLES[n], weight[n]

    def value(selected):
        found = descent(state, selected, 0.0, cut_layer=1, search=False)
        return (
            mine[selected].sum() / found.latency_s**latency_exponent
            if found.participants == selected.sum()
            else -np.inf
        )

    clients = np.flatnonzero(state.available)
    each = mine / own_seconds(state, Plan(1, 0.0), len(clients)) ** latency_exponent
    order = sorted(clients, key=lambda i: -each[i])
    values = [value(np.isin(np.arange(8), order[:size])) for size in range(1, len(order) + 1)]
    assert got[n].sum() == 1 + int(np.argmax(values))
    assert set(np.flatnonzero(got[n])) == set(order[: got[n].sum()])


def by_client(state):
    """The same, with cut layers that may differ."""
    program = state.system.program
    plans = replace(program.plans, cut_by_client=True)
    return replace(state, system=replace(state.system, program=replace(program, plans=plans)))


BATCHES = {
    "everybody in time": BATCH,
    "few subchannels": states(12, "bandwidth-limited", clients={"dropout_probability": 0.2})[0],
    "short timeout": states(12, "iot", episode={"round_timeout_s": 0.8})[0],
    "cuts of clients' own": by_client(states(12, "iot", framework="psl")[0]),
}


@pytest.mark.parametrize("name", BATCHES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_it_is_the_best_of_descents_for_every_size(name, seed):
    """A plain loop: it skips no size, and keeps nothing of one for the next."""
    batch, rng = BATCHES[name], np.random.default_rng(seed)
    differ, (worlds, clients) = batch.system.program.plans.cut_by_client, batch.available.shape
    weight = np.where(rng.random((worlds, clients)) < 0.1, 0.0, 8.0 ** rng.uniform(-1, 1, (worlds, clients)))
    latency_exponent = rng.choice([0.0, 0.5, 1.0, 2.0], worlds)
    cuts = rng.integers(1, batch.system.cut_layers + 1, (worlds, clients) if differ else worlds)
    plan = Plan(cuts, np.zeros(worlds) if differ else rng.choice([0.0, 0.5], worlds))
    wanted = np.where(batch.available, weight, 0.0)
    counts = (wanted > 0).sum(-1)
    each = wanted / own_seconds(batch, plan, np.maximum(counts, 1)) ** latency_exponent[:, None]
    place = np.argsort(np.argsort(-each, axis=-1, kind="stable"), axis=-1)
    best, most = (wanted > 0) & (place == 0), np.full(worlds, -np.inf)
    for size in range(1, clients + 1):
        chosen = (place < size) & (wanted > 0)
        found = descent(batch, chosen, plan.aggregation_ratio, cut_layer=cuts, search=False)
        value = (chosen * wanted).sum(-1) / found.latency_s**latency_exponent
        better = (found.participants == chosen.sum(-1)) & (value > most)
        best[better], most[better] = chosen[better], value[better]
    assert np.array_equal(best_utility(batch, weight, latency_exponent, plan), best)


def test_what_the_set_gets_is_what_it_is_given_by_itself():
    weight = np.random.default_rng(5).uniform(0.1, 8, (12, 8))
    plan = Plan(np.full(12, 2), np.full(12, 0.25))
    decision = allocate_best_unchecked(BATCH, weight, np.full(12, 1.5), plan)
    alone = allocate(BATCH, plan, decision.selected)
    assert np.array_equal(decision.selected, best_utility(BATCH, weight, np.full(12, 1.5), plan))
    assert np.array_equal(decision.assignment, alone.assignment)
    assert np.array_equal(decision.power_w_per_hz, alone.power_w_per_hz)


def test_in_a_small_cell_it_is_the_best_of_all_sets():
    """Two equal clients: with all sets looked at, as the order cannot be wrong."""
    state, (single,) = states(1, "toy")
    for weight in ([1.0, 1.0], [1.0, 3.0], [5.0, 0.1]):
        for latency_exponent in (0.5, 1.0, 2.0):
            sets = [np.isin([0, 1], members) for k in (1, 2) for members in combinations([0, 1], k)]
            values = [
                np.dot(weight, s) / descent(single, s, 0.0, cut_layer=2, search=False).latency_s ** latency_exponent
                for s in sets
            ]
            (got,) = best_utility(
                state, np.array([weight]), np.array([latency_exponent]), Plan(np.array([2]), np.zeros(1))
            )
            assert np.dot(weight, got) / descent(
                single, got, 0.0, cut_layer=2, search=False
            ).latency_s ** latency_exponent == pytest.approx(max(values))


def test_worlds_do_not_see_one_another():
    weight = np.random.default_rng(1).uniform(0, 3, (12, 8))
    latency_exponent, cuts, ratios = np.full(12, 1.3), np.full(12, 2), np.full(12, 0.25)
    together = best_utility(BATCH, weight, latency_exponent, Plan(cuts, ratios))
    for n in range(12):
        arrays = {name: value[n : n + 1] for name, value in vars(BATCH).items() if np.ndim(value)}
        one = slice(n, n + 1)
        alone = best_utility(replace(BATCH, **arrays), weight[one], latency_exponent[one], Plan(cuts[one], ratios[one]))
        assert np.array_equal(alone[0], together[n])


def test_sizes_are_all_up_to_sixteen_and_end_with_everybody():
    assert sizes(9).tolist() == list(range(1, 10))
    assert sizes(0).tolist() == []
    many = sizes(100).tolist()
    assert many[:16] == list(range(1, 17))
    assert many[-1] == 100
    assert all(1 < b / a <= 1.25 for a, b in pairwise(many[15:]))
