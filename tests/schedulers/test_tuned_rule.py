"""Tuned rules: what the table says of a rule is what it does."""

import tomllib

import gymnasium as gym
import numpy as np
import pytest

from splitgym import schedulers
from splitgym.schedulers.rule import Rule
from splitgym.schedulers.tuned_rule import TABLE


def table():
    return tomllib.loads(TABLE.read_text())


def test_it_holds_cut_layer_phi_and_number_of_clients():
    env = gym.make("SplitLearning-v0", scenario="iot", action="schedule", learner="surrogate").unwrapped
    env.reset(seed=1)
    agent, held = schedulers.make("best-fixed", env), table()["iot"]["best-fixed"]["options"]
    for _ in range(10):
        decision = agent.decide(env.state)
        assert decision.cut_layer == held["cut_layer"]
        assert decision.aggregation_ratio == held["aggregation_ratio"]
        assert decision.selected.sum() == held.get("k", 8)
        env.play(decision)


def test_a_rule_acts_as_its_options_say():
    env = gym.make("SplitLearning-v0", scenario="iot", action="schedule", learner="surrogate").unwrapped
    env.reset(seed=1)
    tuned = schedulers.make("tuned", env, rule="fastest-k").decide(env.state)
    options = table()["iot"]["fastest-k"]["options"]
    assert np.array_equal(tuned.assignment, Rule(env, **options).decide(env.state).assignment)


def test_unknown_rules_are_refused():
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate")
    with pytest.raises(ValueError, match=r"rule = 'fastest' is unknown, .*fastest-k"):
        schedulers.make("tuned", env, rule="fastest")
