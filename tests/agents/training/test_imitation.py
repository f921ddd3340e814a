"""Policies that begin as a rule: what they say, what of them stays as it was, and how many rounds it takes."""

from dataclasses import replace

import numpy as np
import pytest
from small_trainings import job, small, toy

from agents import factory
from agents.algorithms import ALGORITHMS
from agents.policy_file import Card, fill_in
from agents.training import jobs
from agents.training.imitation import PASSES, ROUNDS, imitate, rounds_of
from agents.training.jobs import train
from agents.training.learner_file import steps_done
from splitgym.envs import SB3VecEnv

TOY = {"scenario": "toy", "learner": "surrogate"}


def imitating(algorithm, rule, rounds=1024, **environment):
    """A policy that learnt to act like a rule, and itself as it was before."""
    environment = {**TOY, **environment}
    model, untrained = (small(algorithm).model(SB3VecEnv(4, threads=1, **environment), seed=0) for _ in range(2))
    imitate(model.policy, rule, environment, rounds, seed=0)
    return model.policy, untrained.policy


def said(rule, policies, rounds=60, **environment):
    """[rounds, ...] actions of a rule in episodes that nobody learnt from, and of each policy in the same states."""
    env = toy("ppo", learner="surrogate", **environment)
    scheduler, actions = factory(rule)(env), []
    observation, info = env.reset(seed=9_000)
    for _ in range(rounds):
        own = scheduler.act(observation, info)
        actions.append([own, *(policy.predict(observation, deterministic=True)[0] for policy in policies)])
        observation, _, terminated, truncated, info = env.step(own)
        if terminated or truncated:
            observation, info = env.reset()
    return [np.array(each) for each in zip(*actions, strict=True)]


@pytest.mark.parametrize("rule", ["index:speed=1.0,absence=0.5", "fastest-k:k=2"])
def test_equivariant_policy_comes_near_to_a_rule_in_states_that_it_has_not_seen(rule):
    own, policy, untrained = said(rule, imitating("ppo-equivariant", rule, 4096, action="priority"), action="priority")
    assert np.abs(policy - own).mean() < 0.4 * np.abs(untrained - own).mean()


@pytest.mark.parametrize("algorithm", ["ppo", "maskable-ppo"])
def test_policy_in_whole_numbers_says_what_a_rule_always_says(algorithm):
    rule = "fixed:cut_layer=2"
    own, policy, untrained = said(rule, imitating(algorithm, rule, action="schedule"), action="schedule")
    assert (policy == own).mean() > 0.9 > (untrained == own).mean()


def test_deviations_and_what_judges_states_stay():
    policy, untrained = imitating("ppo-equivariant", "index", 64, action="priority")
    before = dict(untrained.named_parameters())
    stays = {name for name, weights in policy.named_parameters() if bool((weights == before[name]).all())}
    assert stays == {name for name in before if name == "log_std" or "critic" in name or "value_net" in name}


@pytest.mark.parametrize("algorithm", [name for name, each in ALGORITHMS.items() if each.imitates])
def test_same_seed_gives_the_same_policy_even_of_a_rule_that_draws(algorithm):
    for action in ALGORITHMS[algorithm].actions:
        one, other = (imitating(algorithm, "random", 16, action=action)[0].state_dict() for _ in range(2))
        assert all(bool((weights == other[name]).all()) for name, weights in one.items())


def test_rounds_are_a_quarter_of_the_training_at_most():
    assert [rounds_of(steps) for steps in (1, 1000, 10**9)] == [PASSES, 250, ROUNDS]


def test_training_starts_with_the_policy_that_imitates(tmp_path):
    for name, rule in (("usual", None), ("imitating", "index")):
        train(replace(job(tmp_path / name), imitated=rule))
    policies = [small("ppo-equivariant").model(SB3VecEnv(2, action="priority", **TOY), seed=0).policy for _ in range(2)]
    for policy, name in zip(policies, ("usual", "imitating"), strict=True):
        fill_in(tmp_path / name / "initial", policy)
    own, usual, imitator = said("index", policies, action="priority")
    assert np.abs(imitator - own).mean() < np.abs(usual - own).mean()


def test_policy_that_goes_on_imitates_no_rule_again(tmp_path, monkeypatch):
    begun = replace(job(tmp_path / "run"), imitated="index")
    train(begun)
    monkeypatch.setattr(jobs, "imitate", lambda *_: pytest.fail("imitates"))
    train(replace(begun, hyperparameters=replace(begun.hyperparameters, least_steps=256)))
    assert steps_done(tmp_path / "run" / "last.safetensors") == 256


def test_training_that_only_harms_keeps_the_policy_that_imitates(tmp_path):
    """With steps so large that nothing of the policy is left."""
    harmful = small("ppo-equivariant").changed(learning_rate=1.0)
    train(replace(job(tmp_path / "run"), hyperparameters=harmful, imitated="index"))
    card = Card.read(tmp_path / "run" / "policy.toml")
    assert (card.steps, card.largest_change) == (0, 0.0)
