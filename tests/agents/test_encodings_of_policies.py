"""Trained policies decide in their own encoding, whichever the environment has, if it shows what they see."""

from dataclasses import replace
from functools import partial

import pytest
from small_trainings import rounds, toy

import agents
from agents import algorithms
from agents.policy_file import Card, PolicyError, described, save
from splitgym.evaluation import run_episodes


@pytest.fixture
def discrete(policies, tmp_path):
    """An untrained policy that decides every subchannel, and the environment for it."""
    env = toy("ppo", action="discrete")
    card = replace(
        Card.read(policies["ppo"] / "policy.toml"),
        action="discrete",
        spaces=described(env.observation_space, env.action_space),
        policy={},
    )
    policy = algorithms.get("ppo").policy_class(env.observation_space, env.action_space, lambda _: 0.0)
    save(tmp_path / "policy", policy, card)
    return tmp_path, env


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_episodes_do_not_depend_on_the_encoding_of_the_environment(name, policies):
    """The independent one is stepped with the raw actions, past the runner."""
    fixed = {"task": {"evaluation_samples": None, "evaluate_every": 1}, "clients": {"dropout_probability": 0.3}}
    own = toy(name, learner="surrogate", **fixed)
    agent = agents.make(name, own, policy=policies[name])
    own.action_space.seed(5)
    observation, info = own.reset(seed=5)
    elapsed_s, ended = [], False
    while not ended:
        observation, _, terminated, truncated, info = own.step(agent.act(observation, info))
        elapsed_s.append(info["elapsed_s"])
        ended = terminated or truncated
    for action in ("schedule", "priority", "continuous"):
        environment = {"scenario": "toy", "learner": "surrogate", "action": action, **fixed}
        (episode,) = run_episodes(name, partial(agents.make, name, policy=policies[name]), [5], environment)
        assert episode.elapsed_s.tolist() == elapsed_s
        assert episode.accuracy[-1] == info["accuracy"]


@pytest.mark.parametrize("action", ["schedule", "priority", "continuous"])
def test_action_in_another_encoding_is_the_nearest_to_the_decision(action, policies):
    """The spaces of the toy say cut layer, clients and phi 0 without loss."""
    env = toy("ppo", action=action, actions={"aggregation_levels": (0.0,)})
    agent = agents.make("ppo-equivariant", env, policy=policies["ppo-equivariant"])
    for observation, chosen in rounds(agent, count=3):
        assert env.action_space.contains(chosen)
        assert observation.shape == env.observation_space.shape
    decision, said = agent.decide(agent.env.state), agent.env.decode(agent.act(agent.env.observe(), {}))
    assert said.cut_layer == decision.cut_layer
    assert said.selected.tolist() == decision.selected.tolist()


def test_a_policy_that_decides_subchannels_needs_to_see_them(discrete):
    folder, env = discrete
    agent = agents.make("ppo", env, policy=folder)
    for _, action in rounds(agent):
        assert env.action_space.contains(action)
    with pytest.raises(PolicyError, match="allowed: an environment with action='discrete'"):
        agents.make("ppo", toy("ppo"), policy=folder)


@pytest.mark.parametrize("name", algorithms.ALGORITHMS)
def test_other_policies_do_not_see_subchannels(name, policies):
    own = algorithms.get(name).actions[0]
    with pytest.raises(PolicyError, match=f"allowed: an environment with action='{own}'"):
        agents.make(name, toy(name, action="discrete"), policy=policies[name])
