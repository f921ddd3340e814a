"""The Gymnasium environments: worlds, action encodings, observation, rewards; one at a time or many at once."""

from importlib import import_module
from typing import Any

from splitgym.envs.environment import SplitLearningEnv
from splitgym.envs.vector import SplitLearningVectorEnv

__all__ = ["SB3VecEnv", "SplitLearningEnv", "SplitLearningVectorEnv"]


def __getattr__(name: str) -> Any:
    if name == "SB3VecEnv":  # Loads Stable-Baselines3, which is needed for this class only.
        return import_module("splitgym.envs.stable_baselines").SB3VecEnv
    raise AttributeError(f"module 'splitgym.envs' has no attribute {name!r}")
