"""`untrained`: a policy as it is before any training, the control for what training adds to encoding and network."""

from typing import Any

import gymnasium as gym
import torch

from splitgym.schedulers.scheduler import Scheduler

from . import algorithms
from .learned import Learned, own_codec
from .training.hyperparameters import Hyperparameters

SEEDS = 2**31
"""Of weights: 0 up to it."""


class Untrained(Learned):
    """Acts by a policy whose weights are drawn as a training would begin with them.

    Args:
        env: The environment.
        algorithm: Whose policy; it acts in the algorithm's own encoding.
        seed: Of the weights.

    Raises:
        ValueError: there is no such algorithm, or the seed is not allowed.
        PolicyError: the environment shows something else than the policy sees.
    """

    def __init__(self, env: gym.Env[Any, Any], algorithm: str = "ppo-equivariant", seed: int = 0) -> None:
        Scheduler.__init__(self, env)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
            raise ValueError(f"seed = {seed!r}, allowed: 0..{SEEDS - 1}")
        self._algorithm = algorithms.get(algorithm)
        self._deterministic = self._algorithm.deterministic
        self._codec = own_codec(self.env, self._algorithm, self._algorithm.actions[0], self.env.scenario.name)
        arguments = Hyperparameters.read(self._algorithm, "surrogate", None).policy_arguments
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would reseed the GPUs too, which the fork does not restore.
            torch.default_generator.manual_seed(seed)
            policy = self._algorithm.policy_class(
                self.env.observation_space, self._codec.space, lambda _: 0.0, **arguments
            )
        policy.set_training_mode(False)
        self._act_by(policy)
