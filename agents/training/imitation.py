"""Begins a policy where a rule already stands: it learns to act as the rule does, before it learns by itself."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import Tensor

from ..registry import factory

Imitator = ActorCriticPolicy | MaskableActorCriticPolicy
"""Policies that tell how likely an action is."""
ROUNDS, PART = 12_288, 4
"""Rounds that are imitated: so many, and at most one for this number of the training's."""
PASSES = 4
"""Times that rounds are played and learnt from: first the rule plays them, then the policy (Ross et al. 2011)."""
EPOCHS, BATCH, LEARNING_RATE = 8, 512, 1e-3
"""Of each pass, over all rounds so far."""


def rounds_of(steps: int) -> int:
    """How many rounds are imitated before a training of so many steps."""
    return max(PASSES, min(ROUNDS, steps // PART))


def imitate(policy: BasePolicy, rule: str, environment: Mapping[str, Any], rounds: int, seed: int) -> None:
    """Teaches a policy to act as a rule: the likelihood of the rule's actions grows (Pomerleau 1991).

    In rounds that the policy plays the rule says what it would have done, so that the policy knows what to do where its
    own mistakes lead. Deviations with which it explores stay as they are, and so does all that judges states.

    Args:
        policy: Of an algorithm whose `imitates` is true.
        rule: As `splitgym.agents.factory` reads it.
        environment: Keyword arguments of the environment.
        rounds: That are played.
        seed: Of episodes and of the order in which the policy learns.
    """
    assert isinstance(policy, Imitator)
    env: Any = gym.make("SplitLearning-v0", disable_env_checker=True, **environment)
    # Some rules draw from its generator.
    env.action_space.seed(seed)
    scheduler = factory(rule)(env)
    actors = [weights for name, weights in policy.named_parameters() if name != "log_std"]
    optimizer = torch.optim.Adam(actors, LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    observation, info = env.reset(seed=seed)
    seen: list[NDArray[Any]] = []
    said: list[NDArray[Any]] = []
    for number in range(PASSES):
        for _ in range(rounds // PASSES):
            action = scheduler.act(observation, info)
            seen.append(observation)
            said.append(action)
            played = action if number == 0 else _play(policy, observation, env)
            observation, _, terminated, truncated, info = env.step(played)
            if terminated or truncated:
                observation, info = env.reset()
        _learn(policy, optimizer, torch.as_tensor(np.stack(seen)), torch.as_tensor(np.stack(said)), generator)
    env.close()


def _play(policy: Imitator, observation: NDArray[Any], env: Any) -> NDArray[Any]:
    """An action as the policy draws it when it learns by itself."""
    if isinstance(policy, MaskableActorCriticPolicy):
        return policy.predict(observation, action_masks=env.unwrapped.action_masks())[0]
    return policy.predict(observation)[0]


def _learn(
    policy: Imitator, optimizer: torch.optim.Optimizer, seen: Tensor, said: Tensor, generator: torch.Generator
) -> None:
    """Makes the actions that were said more likely, among all: masks would leave none to a rule that breaks them."""
    policy.set_training_mode(True)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(seen), generator=generator).split(BATCH):
            _, log_likelihood, _ = policy.evaluate_actions(seen[batch], said[batch])
            optimizer.zero_grad()
            (-log_likelihood.mean()).backward()
            optimizer.step()
