"""`ppo`: proximal policy optimisation (Stable-Baselines3) on the environment's observation and action encoding."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.save_util import load_from_zip_file

from agents.agent import Agent

SETTINGS: Mapping[str, Any] = {
    "policy": "MlpPolicy",
    "learning_rate": 3e-3,
    "n_steps": 128,
    "batch_size": 128,
    "n_epochs": 10,
    "gamma": 0.98,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.002,
    "policy_kwargs": {"net_arch": {"pi": [], "vf": [64, 64]}},
}
"""Keyword arguments of `stable_baselines3.PPO`; n_steps is per environment.

Real rounds are dear: with some ten thousand of them a linear policy learns faster than one with hidden layers.
"""


class CheckpointError(ValueError):
    """A checkpoint is missing, broken, or of another environment; the message says which."""


class Ppo(Agent):
    """Acts with a trained PPO policy: draws from its distribution, as in training.

    The most likely action would name the same clients round after round and never hear the others' data. Draws come
    from the generator of the environment's action space: `env.action_space.seed(seed)` makes them repeatable.

    Args:
        env: The environment.
        checkpoint: Zip file that `train_agent.py` saved.
        deterministic: Take the most likely action all the same.

    Raises:
        ValueError: `deterministic` is no truth value.
        CheckpointError: the file is not a checkpoint for this environment.
    """

    def __init__(self, env: gym.Env[Any, Any], checkpoint: str | Path, deterministic: bool = False) -> None:
        super().__init__(env)
        if not isinstance(deterministic, bool):
            raise ValueError(f"deterministic = {deterministic!r}, allowed: true or false")  # noqa: TRY004 - as every value
        self._model = load(checkpoint, self.env)
        self._deterministic = deterministic

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The policy's action."""
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would reseed the GPUs too, which the fork does not restore.
            torch.default_generator.manual_seed(int(self.env.action_space.np_random.integers(2**63)))
            action, _ = self._model.predict(observation, deterministic=self._deterministic)
        return action

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """As Stable-Baselines3's `predict`: the most likely action if `deterministic`, otherwise as `act`."""
        if deterministic:
            return self._model.predict(observation, deterministic=True)[0], state
        return super().predict(observation, state, episode_start)


def load(checkpoint: str | Path, env: Any = None) -> PPO:
    """Loads a checkpoint; with `env` its spaces must fit.

    Raises:
        CheckpointError: the file is missing, not a checkpoint, or of other spaces.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise CheckpointError(f"checkpoint {str(path)!r} does not exist")
    try:
        settings, _, _ = load_from_zip_file(path, device="cpu")
        model = PPO.load(path, device="cpu") if settings and "clip_range" in settings else None
    except (zipfile.BadZipFile, AssertionError, ValueError, KeyError, RuntimeError, EOFError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"checkpoint {str(path)!r} is not a PPO checkpoint: {reason}") from error
    if model is None:
        raise CheckpointError(f"checkpoint {str(path)!r} is not a PPO checkpoint: it holds no PPO settings")
    if env is not None:
        for name in ("observation_space", "action_space"):
            saved, needed = getattr(model, name), getattr(env, name)
            if saved != needed:
                raise CheckpointError(f"checkpoint {str(path)!r} has {name} {saved}, this environment has {needed}")
    return model
