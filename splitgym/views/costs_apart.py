"""Costs apart from the reward, as algorithms for constrained decision processes expect them."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


class CostsApart(gym.Wrapper[NDArray[np.float32], NDArray[Any], NDArray[np.float32], NDArray[Any]]):
    """An environment whose `step` gives six values, as those of Safety-Gymnasium do: the cost stands behind the reward.

    Gymnasium's other wrappers know five; they go inside.

    Args:
        env: Made by `gym.make("SplitLearning-v0", budgets={...})`; `info["costs"]` says what the cost is made of.
    """

    def step(  # type: ignore[override]
        self, action: NDArray[Any]
    ) -> tuple[NDArray[np.float32], float, float, bool, bool, dict[str, Any]]:
        """Observation, reward, cost, terminated, truncated, info."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), float(info["cost"]), terminated, truncated, info
