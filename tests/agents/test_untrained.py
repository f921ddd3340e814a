"""The untrained control: the policy with which a training begins."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import agents
from agents import algorithms
from agents.training.hyperparameters import Hyperparameters
from splitgym.envs import SB3VecEnv


def started(action="priority"):
    env = gym.make("SplitLearning-v0", scenario="iot", action=action, learner="surrogate")
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("algorithm", ["ppo-equivariant", "maskable-ppo"])
def test_its_weights_are_those_with_which_a_training_begins(algorithm):
    of = algorithms.get(algorithm)
    env = started(of.actions[0])
    untrained = agents.make("untrained", env, algorithm=algorithm, seed=7).policy.state_dict()
    envs = SB3VecEnv(2, threads=1, scenario="iot", learner="surrogate", action=of.actions[0])
    began = Hyperparameters.read(of, "surrogate", None).model(envs, 7).policy.state_dict()
    assert untrained.keys() == began.keys()
    assert all(torch.equal(untrained[name], began[name]) for name in began)


def test_other_seeds_have_other_weights_and_draws_of_others_stay():
    env = started()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    actions = [agents.make("untrained", env, seed=seed).act(env.unwrapped.observe(), {}) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])


def test_what_is_not_allowed_is_refused():
    with pytest.raises(ValueError, match="seed = -1, allowed: 0"):
        agents.make("untrained", started(), seed=-1)
    with pytest.raises(ValueError, match="does not see what this environment shows"):
        agents.make("untrained", started("discrete"))
