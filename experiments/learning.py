"""Policies that an experiment trains for itself, and what plays a round."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from agents import algorithms
from agents.training.hyperparameters import Hyperparameters
from agents.training.imitation import imitate, rounds_of
from agents.training.jobs import derived_seed
from splitgym.envs import SB3VecEnv

Step = Callable[[Any, Any], tuple[Any, ...]]
"""Plays a round in an environment, from what was observed before; returns what `step` does."""


def learned(
    algorithm: str, steps: int, seed: int, learner: str, environment: Mapping[str, Any], imitated: str | None = None
) -> Step:
    """The policy after the last of so many rounds; untrained after none.

    Args:
        algorithm: Name in `agents.algorithms`, with its settings.
        steps: Rounds that it learns from.
        seed: Of policy and episodes.
        learner: Of the environments that it learns in.
        environment: Their other keyword arguments.
        imitated: Rule that it learns to act like before, as `agents.factory` reads it; None: it does not.
    """
    settings = replace(Hyperparameters.read(algorithms.get(algorithm), learner), least_steps=max(steps, 1))
    model = settings.model(_environments(settings.environments, learner, environment), derived_seed(seed, 0))
    if imitated is not None:
        own = {"learner": learner, **environment}
        imitate(model.policy, imitated, own, rounds_of(settings.steps), derived_seed(seed, 0))
    if steps:
        model.learn(settings.steps)
    return lambda env, observation: env.step(model.predict(observation, deterministic=True)[0])


def _environments(count: int, learner: str, environment: Mapping[str, Any]) -> VecEnv:
    """Those that a policy learns in."""
    if learner == "surrogate":
        return SB3VecEnv(count, threads=1, learner=learner, **environment)
    make = partial(gym.make, "SplitLearning-v0", disable_env_checker=True, learner=learner, **environment)
    return DummyVecEnv([make] * count)
