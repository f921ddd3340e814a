"""The Gymnasium environment: world, action encodings, observation, rewards."""

from splitgym.envs.environment import SplitLearningEnv

__all__ = ["SplitLearningEnv"]
