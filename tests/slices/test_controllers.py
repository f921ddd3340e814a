"""Controllers against enumeration and hand-made latencies."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.allocation import descend
from splitgym.slices import SplitLearningSlicesEnv, factory, make, names
from splitgym.slices.controllers import best_counts, utility
from splitgym.timing import round_cost


def made(**arguments):
    env = SplitLearningSlicesEnv(**{"learner": "surrogate", "radio": {"subchannels": 16}, **arguments})
    env.reset(seed=1)
    return env


@given(
    st.integers(1, 3).flatmap(
        lambda slices: st.integers(slices, 8).flatmap(
            lambda most: st.lists(
                st.lists(st.floats(-5, 5), min_size=most, max_size=most), min_size=slices, max_size=slices
            )
        )
    )
)
def test_best_counts_are_those_of_enumeration(table):
    utilities = np.array(table)
    slices, most = utilities.shape
    found = best_counts(utilities)

    def total(counts):
        return sum(utilities[index, count - 1] for index, count in enumerate(counts))

    best = max(total(counts) for counts in product(range(1, most + 1), repeat=slices) if sum(counts) == most)
    assert found.sum() == most
    assert found.min() >= 1
    assert total(found) == pytest.approx(best, abs=1e-12)


def with_latencies(monkeypatch, env, laws):
    """Lets slices expect latencies by laws of the number of subchannels and the share of the server."""
    for each, law in zip(env.slices, laws, strict=True):
        monkeypatch.setattr(each, "expected_latency_s", law)


@pytest.mark.parametrize(("alpha", "counts"), [(1, [8, 8]), (100, [12, 4])])
def test_alpha_fair_by_hand(monkeypatch, alpha, counts):
    """Rates n / 16 of both: halves. Max-min of n / 16 and 3 n / 16, which are the same at 12 and 4."""
    env = made()
    faster = 3 if alpha == 100 else 1
    with_latencies(monkeypatch, env, [lambda n, share: 1 / n, lambda n, share: 1 / min(faster * n, 16)])
    shares = make("alpha-fair", env, alpha=alpha).decide()
    assert shares.subchannels.tolist() == counts
    assert shares.server.tolist() == [count / 16 for count in counts]


def test_sum_of_rates_gives_all_to_the_one_that_gains_most(monkeypatch):
    env = made()
    with_latencies(monkeypatch, env, [lambda n, share: 1 / n**2, lambda n, share: 1 / n**0.5])
    # x^2 on one side is convex: everything, or one subchannel; the sum of (n / 16)^2 + ((16 - n) / 16)^0.5 by table.
    n = np.arange(1, 16)
    best = int(n[np.argmax((n / 16) ** 2 + ((16 - n) / 16) ** 0.5)])
    assert make("alpha-fair", env, alpha=0).decide().subchannels.tolist() == [best, 16 - best]


def test_utility_is_the_limit_at_one():
    rate = np.array([0.2, 0.5, 1.0])
    near = utility(rate, 1 + 1e-7) - utility(np.ones(1), 1 + 1e-7)
    np.testing.assert_allclose(near, utility(rate, 1), atol=1e-5)


@pytest.mark.parametrize(("need", "counts"), [(3, [4, 12]), (7.9, [10, 6]), (100, [15, 1])])
def test_priority_gives_what_is_needed_and_no_more(monkeypatch, need, counts):
    """Latency 4 need / n s against 0.8 of 4 s: the first whole number from need / 0.8, at most 15."""
    env = made()
    with_latencies(monkeypatch, env, [lambda n, share: 4 * need / n, lambda n, share: 1.0])
    assert make("priority", env).decide().subchannels.tolist() == counts


def test_priority_margin_says_how_near_the_deadline(monkeypatch):
    env = made()
    with_latencies(monkeypatch, env, [lambda n, share: 32 / n, lambda n, share: 1.0])
    assert make("priority", env, margin=1.0).decide().subchannels.tolist() == [8, 8]
    assert make("priority", env, margin=2.0).decide().subchannels.tolist() == [4, 12]


def test_static_splits(monkeypatch):
    env = made()
    assert make("static", env).decide().subchannels.tolist() == [8, 8]
    shares = factory("static:critical=0.75")(env).decide()
    assert shares.subchannels.tolist() == [12, 4]
    assert shares.server.tolist() == [0.75, 0.25]


@pytest.mark.parametrize("name", names())
def test_every_controller_plays_by_actions_and_by_shares(name):
    env = made()
    env.action_space.seed(0)
    controller = make(name, env)
    observation, info = env.reset(seed=2)
    for _ in range(3):
        action = controller.act(observation, info)
        assert env.action_space.contains(action)
        observation, *_, info = env.step(action)
        env.play(controller.decide())


def test_expected_latency_is_that_of_the_round_that_greedy_plays_if_belief_is_truth():
    """Two independent ways: the descent on a part of the belief; and what the slice's own round then took."""
    rows = [{"name": "a", "scenario": "toy"}, {"name": "b", "scenario": "toy"}]
    env = SplitLearningSlicesEnv(slices=rows, learner="surrogate", radio={"subchannels": 8}, period_s=30.0)
    env.reset(seed=0)
    first = env.slices[0]
    expected = first.expected_latency_s(4, 0.5)
    *_, info = env.step(np.zeros(4))
    assert expected == pytest.approx(info["slices"]["a"]["played"][0]["round_latency_s"])


def test_expected_latency_falls_with_subchannels_and_speed():
    env = made()
    first = env.slices[0]
    latency_s = [first.expected_latency_s(count, 0.5) for count in (6, 9, 16)]
    assert latency_s[0] > latency_s[1] > latency_s[2]
    assert first.expected_latency_s(8, 0.01) > first.expected_latency_s(8, 1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("statik", "did you mean 'static'?"),
        ("alpha-fair:beta=1", "no option 'beta'"),
        ("alpha-fair:alpha=-1", "alpha = -1, allowed: 0..100"),
        ("static:critical=1.5", "critical = 1.5, allowed"),
        ("priority:margin=0", "margin = 0, allowed"),
    ],
)
def test_bad_controllers_are_refused_in_one_line(text, said):
    env = made()
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        factory(text)(env)
    assert said in str(refused.value)


def test_a_controller_needs_its_environment():
    with pytest.raises(TypeError, match="SplitLearningSlices"):
        make("static", gym.make("SplitLearning-v0", learner="surrogate"))


def test_cost_of_a_part_is_worked_out_with_its_own_number_of_subchannels():
    env = made()
    each = env.slices[0].env
    for subchannels in (5, 9, 5):
        each.restrict(np.arange(subchannels), 1e8)
        assert each.state.channel_gain.shape[-1] == each.system.subchannels == subchannels
        decision = descend(each.state, each.state.available, 0.0)
        assert len(decision.assignment) == subchannels
        assert round_cost(each.truth, decision).latency_s > 0
