"""An agent of one environment in another one: it answers what it is given, as Stable-Baselines3 does, or refuses."""

from functools import partial
from itertools import cycle

import numpy as np
import pytest
from safetensors.torch import load_file
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from small_trainings import learner, rounds, toy
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import agents
from agents import algorithms
from splitgym.envs import SB3VecEnv
from splitgym.evaluation.processes import START_METHOD, worker_context

LEARNED = tuple(algorithms.ALGORITHMS)
WITH_OPTIONS = ("tuned", "best-fixed", "look-ahead", "rollout", "gpsl", "untrained")
HEURISTICS = {
    **{name: {} for name in agents.names() if name not in (*LEARNED, *WITH_OPTIONS)},
    "look-ahead": {"horizon": 1, "candidates": "greedy"},
    "rollout": {"samples": 1, "rounds": 2},
    "tuned": {"rule": "unified", "scenario": "iot"},
    "best-fixed": {"scenario": "toy"},
}
UNSTEADY = {
    "clients": {"dropout_probability": 0.3, "compute_max_hz": 4e9},
    "episode": {"max_rounds": 7, "target_accuracy": 0.5},
    "task": {"evaluation_samples": None},
}
"""A toy in which something happens, so that states tell environments apart, and episodes differ in length."""


def refusal(call):
    with pytest.raises(ValueError, match="make an agent for each environment") as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unsteady(algorithm="ppo", **options):
    return toy(algorithm, learner="surrogate", **{**UNSTEADY, **options})


def started(env, seed=0):
    env.reset(seed=seed)
    return env


@pytest.mark.parametrize("name", HEURISTICS)
def test_heuristics_refuse_what_another_environment_shows(name):
    env, other = started(unsteady()), started(unsteady(), seed=1)
    agent = agents.make(name, env, **HEURISTICS[name])
    for call in (
        lambda: evaluate_policy(agent, Monitor(other), 1),
        lambda: agent.predict(other.unwrapped.observe()),
        lambda: agent.act(other.unwrapped.observe(), {}),
        lambda: agent.act(env.unwrapped.observe()[:-1], {}),
        lambda: agents.make(name, unsteady(), **HEURISTICS[name]).act(env.unwrapped.observe(), {}),
    ):
        assert "observation" in refusal(call)
    agent.act(env.unwrapped.observe(), {})


def test_heuristics_refuse_the_observation_of_the_round_before():
    env = started(unsteady())
    agent, before = agents.make("greedy", env), env.unwrapped.observe()
    env.step(agent.act(before, {}))
    refusal(lambda: agent.act(before, {}))


@pytest.mark.parametrize("name", ["look-ahead", "rollout", "two-timescale", *LEARNED])
def test_agents_that_read_more_than_a_state_decide_for_their_own_one(name, policies):
    env, other = started(unsteady(name if name in LEARNED else "ppo")), started(unsteady(), seed=1)
    options = {"policy": policies[name]} if name in LEARNED else HEURISTICS[name]
    agent = agents.make(name, env, **options)
    mine, its = env.unwrapped.state, other.unwrapped.state
    assert "state is not the present one" in refusal(lambda: agent.decide(its))
    env.unwrapped.play(agent.decide(mine))
    refusal(lambda: agent.decide(mine))
    agent.decide(env.unwrapped.state)


RULES = [name for name in HEURISTICS if name not in ("look-ahead", "rollout", "two-timescale")]


@pytest.mark.parametrize("name", RULES)
def test_rules_decide_from_the_state_alone(name):
    """That of another environment with the same scenario is decided as by its own agent."""
    env, other = started(unsteady()), started(unsteady(), seed=1)
    decisions = []
    for of in (env, other):
        of.action_space.seed(3)
        decision = agents.make(name, of, **HEURISTICS[name]).decide(other.unwrapped.state)
        decisions.append({key: np.asarray(value).tolist() for key, value in vars(decision).items()})
    assert decisions[0] == decisions[1]


@pytest.mark.parametrize(
    ("name", "options"),
    list(zip(RULES, cycle([{"framework": "psl"}, {"radio": {"subchannels": 3}}, {"training": {"batch_size": 5}}]))),
)
def test_rules_refuse_states_of_another_scenario_or_framework(name, options):
    other = started(toy("ppo", **options))
    agent = agents.make(name, started(toy("ppo")), **HEURISTICS[name])
    assert "another scenario or framework" in refusal(lambda: agent.decide(other.unwrapped.state))


def learner_of(name, folder):
    """Stable-Baselines3's own object with the weights of the policy that was kept."""
    model = learner(folder, name)
    model.policy.load_state_dict(load_file(folder / "policy.safetensors"))
    return model


@pytest.mark.parametrize("vector", ["single", "SB3VecEnv", "DummyVecEnv"])
@pytest.mark.parametrize("name", LEARNED)
def test_learned_agents_are_evaluated_as_stable_baselines_evaluates_their_policies(name, vector, policies):
    """In other environments than their own, episodes that end at different times, recurrent policies with memories."""
    action = algorithms.get(name).actions[0]
    make = {
        "single": lambda: Monitor(unsteady(name)),
        "SB3VecEnv": lambda: SB3VecEnv(3, scenario="toy", learner="surrogate", action=action, **UNSTEADY),
        "DummyVecEnv": lambda: DummyVecEnv([lambda: Monitor(unsteady(name))] * 3),
    }[vector]
    agent = agents.make(name, toy(name), policy=policies[name])
    results = []
    for evaluated in (agent, learner_of(name, policies[name])):
        env = make()
        if vector == "single":
            env.reset(seed=4)
        else:
            env.seed(4)
        # The agent finds the masks in the observations, Stable-Baselines3 asks the environments for them.
        masked = name == "maskable-ppo" and evaluated is not agent
        evaluate = evaluate_masked if masked else evaluate_policy
        results.append(evaluate(evaluated, env, 7, return_episode_rewards=True))
    assert results[0] == results[1]
    assert len(set(results[0][0])) > 1


def test_masks_that_are_given_hold(policies):
    agent = agents.make("maskable-ppo", toy("maskable-ppo"), policy=policies["maskable-ppo"])
    env = started(unsteady("maskable-ppo", clients={}))
    observation, masks = env.unwrapped.observe(), env.unwrapped.action_masks()
    masks[:2] = [False, True]
    for one_of in (0, 1):
        masks[2:6] = [True, False, True, False] if one_of else [False, True, False, True]
        action, _ = agent.predict(observation, action_masks=masks)
        assert action[:3].tolist() == [1, 1 - one_of, 1 - one_of]
    with pytest.raises(ValueError, match=r"action_masks has shape \(1, 5\), allowed: \(1, 11\)"):
        agent.predict(observation, action_masks=masks[:5])
    with pytest.raises(ValueError, match="'ppo' knows no masks"):
        agents.make("ppo", toy("ppo"), policy=policies["ppo"]).predict(observation, action_masks=masks)


def test_memory_of_a_recurrent_policy_goes_through_predict(policies):
    """`predict` leaves the memory of `act` alone, and `act` that of `predict`."""
    name = "recurrent-ppo"
    agent, again = (agents.make(name, toy(name), policy=policies[name]) for _ in range(2))
    memory, begins = None, np.array([True])
    for (observation, action), _ in zip(rounds(agent), range(5), strict=True):
        likewise, memory = again.predict(observation[None], memory, begins)
        again.predict(np.zeros_like(observation))
        begins = np.array([False])
        assert np.array_equal(likewise[0], action)
    for state, words in (
        ([part.repeat(2, axis=1) for part in memory], r"state has arrays of shape \(1, 2, 8\), allowed: \(layers, 1,"),
        ((np.zeros(3), np.zeros(3)), r"state has arrays of shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            agent.predict(observation, state)
    with pytest.raises(ValueError, match=r"episode_start has shape \(2,\), allowed: \(1,\)"):
        agent.predict(observation, memory, np.array([True, False]))


def test_a_recurrent_policy_acts_with_its_own_memory_in_its_own_environment_only(policies):
    name = "recurrent-ppo"
    agent = agents.make(name, started(unsteady(name)), policy=policies[name])
    refusal(lambda: agent.act(started(unsteady(name), seed=1).unwrapped.observe(), {}))


@pytest.mark.parametrize("name", LEARNED)
def test_learned_agents_say_what_does_not_fit(name, policies):
    env = toy(name)
    agent, observation = agents.make(name, env, policy=policies[name]), env.reset(seed=0)[0]
    size = len(observation)
    for wrong, words in (
        (observation[:-1], f"shape ({size - 1},), allowed: ({size},) or (N, {size})"),
        (np.zeros((2, 3, size)), f"shape (2, 3, {size})"),
        (np.float32(0.5), "shape ()"),
        (np.zeros((0, size)), f"shape (0, {size})"),
        (env.reset(seed=0), "no array but a tuple"),
        ({"observation": observation}, "no array but a dict"),
    ):
        assert words in refusal(partial(agent.predict, wrong))
    for wrong in (observation - 1e-3, observation * 3 + 1, np.full(size, np.nan)):
        with pytest.raises(ValueError, match=r"allowed: 0\.\.1, .*only rewards .*norm_obs=False"):
            agent.predict(wrong)
    refusal(lambda: agent.act(np.stack([observation] * 2), {}))


@pytest.mark.parametrize(("name", "action"), [("ppo", "priority"), ("maskable-ppo", "continuous"), ("tqc", "schedule")])
def test_a_policy_in_an_environment_of_another_encoding_answers_for_that_environment_only(name, action, policies):
    env = started(unsteady(name, action=action))
    agent, observation = agents.make(name, env, policy=policies[name]), env.unwrapped.observe()
    chosen, _ = agent.predict(observation)
    assert env.action_space.contains(chosen)
    assert np.array_equal(agent.predict(observation[None])[0], chosen[None])
    assert np.array_equal(agent.act(observation, {}), chosen)
    other = started(unsteady(name, action=action), seed=1)
    refusal(lambda: agent.predict(other.unwrapped.observe()))
    refusal(lambda: evaluate_policy(agent, Monitor(other), 1))
    assert "2 observations at once" in refusal(lambda: agent.predict(np.stack([observation] * 2)))


def test_learned_agents_act_in_other_processes(policies):
    """As in the own process, but that rewards are rounded in between; the environment of a heuristic is another one."""
    make = partial(toy, "ppo", **UNSTEADY, learner="surrogate")
    agent = agents.make("ppo", make(), policy=policies["ppo"])
    worker_context()  # its server, which the workers are forked from, has imported what they need
    there, here = SubprocVecEnv([make] * 2, start_method=START_METHOD), DummyVecEnv([make] * 2)
    try:
        results = []
        for envs in (there, here):
            envs.seed(1)
            results.append(evaluate_policy(agent, envs, 4, return_episode_rewards=True, warn=False))
        assert results[0][1] == results[1][1]
        assert results[0][0] == pytest.approx(results[1][0], abs=1e-5)
        refusal(lambda: evaluate_policy(agents.make("greedy", started(make())), there, 1, warn=False))
    finally:
        there.close()
