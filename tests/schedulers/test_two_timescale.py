"""The two-timescale scheme: a cut layer that is kept for a period, the rest anew in every round."""

import gymnasium as gym
import numpy as np
import pytest

from splitgym import schedulers
from splitgym.allocation.baselines.two_timescale import slow_cut


def started(scenario="iot", seed=0, **options):
    env = gym.make("SplitLearning-v0", scenario=scenario, **options).unwrapped
    env.reset(seed=seed)
    env.action_space.seed(seed)
    return env


@pytest.mark.parametrize("framework", ["epsl", "cpsl"])
@pytest.mark.parametrize("action", ["discrete", "continuous", "schedule"])
def test_it_acts_in_every_encoding(action, framework):
    env = started(action=action, framework=framework)
    agent = schedulers.make("two-timescale", env, swaps=5)
    observation, info = env.reset(seed=0)
    for _ in range(3):
        chosen = agent.act(observation, info)
        assert env.action_space.contains(chosen)
        observation, *_, info = env.step(chosen)
        assert info["participants"].any()


def test_the_cut_layer_changes_only_with_a_period():
    """Every period it is the best on average over the last states, as many as are remembered."""
    env = started("bandwidth-limited", radio={"fading_correlation": 0.0})
    agent = schedulers.make("two-timescale", env, period=3, samples=2)
    states, cuts = [], []
    for _ in range(7):
        states.append(env.state)
        decision = agent.decide(states[-1])
        cuts.append(decision.cut_layer)
        env.play(decision)
    phi = env.scenario.training.aggregation_ratio
    expected = [slow_cut(states[:1], phi), slow_cut(states[2:4], phi), slow_cut(states[5:7], phi)]
    assert cuts == [expected[0]] * 3 + [expected[1]] * 3 + [expected[2]]


def test_subchannels_follow_the_channel_in_every_round():
    env = started("bandwidth-limited", radio={"fading_correlation": 0.0})
    agent = schedulers.make("two-timescale", env, period=10)
    dealt = []
    for _ in range(3):
        decision = agent.decide(env.state)
        dealt.append(tuple(decision.assignment))
        env.play(decision)
    assert len(set(dealt)) == 3


def test_it_begins_anew_with_an_episode():
    env, fresh = started("bandwidth-limited", seed=1), started("bandwidth-limited", seed=2)
    agent, other = schedulers.make("two-timescale", env), schedulers.make("two-timescale", fresh)
    for _ in range(3):
        env.play(agent.decide(env.state))
    env.reset(seed=2)
    env.action_space.seed(2)
    for _ in range(2):
        decision, expected = agent.decide(env.state), other.decide(fresh.state)
        assert decision.cut_layer == expected.cut_layer
        assert np.array_equal(decision.assignment, expected.assignment)
        env.play(decision)
        fresh.play(expected)


@pytest.mark.parametrize("option", ["period", "samples", "swaps"])
@pytest.mark.parametrize("value", [0, 1.5])
def test_options_are_checked(option, value):
    with pytest.raises(ValueError, match=f"{option} = {value}, allowed: whole numbers from 1"):
        schedulers.make("two-timescale", started("toy"), **{option: value})
