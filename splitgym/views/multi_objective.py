"""Several objectives in place of one reward, as MO-Gymnasium expects them."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.envs import SplitLearningEnv
from splitgym.envs.rewards import REWARDS
from splitgym.inputs import InputError
from splitgym.parts import suggest

OBJECTIVES = ("accuracy_gain", "latency_s", "energy_j", "traffic_bits")
"""In the order of the reward vector: test accuracy now minus before, then minus seconds, joules and bits of a round."""


class MultiObjectiveEnv(SplitLearningEnv):
    """`SplitLearning-v0` with a vector of rewards, float32 [4], see `OBJECTIVES`; the rest is as there.

    `mo_gymnasium.make("mo-SplitLearning-v0", ...)`; its wrapper `LinearReward(env, weight=env.unwrapped.weights())`
    gives the scalar reward, which `info["scalar_reward"]` holds, too.

    Attributes:
        reward_space: Box of the vectors.
        reward_dim: 4.
    """

    def __init__(self, *args: Any, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        low, high = np.full(len(OBJECTIVES), -np.inf, np.float32), np.zeros(len(OBJECTIVES), np.float32)
        low[0], high[0] = -1.0, 1.0
        self.reward_space = gym.spaces.Box(low, high, dtype=np.float32)
        self.reward_dim = len(OBJECTIVES)
        self._weights = self.weights()

    def weights(self, reward: str = "gain-latency") -> NDArray[np.float32]:
        """[4] weights with which the objectives make a reward of the package.

        Args:
            reward: Its name.

        Raises:
            InputError: there is no such reward, or it has a term that is no objective.
        """
        if reward not in REWARDS:
            raise InputError(f"reward = {reward!r} is unknown, {suggest(str(reward), tuple(REWARDS))}")
        of_terms: Mapping[str, tuple[int, float]] = {
            "accuracy_gain": (0, 1.0),
            "latency": (1, 1.0 / self.scenario.episode.time_budget_s),
            "energy": (2, 1.0),
        }
        weights = np.zeros(len(OBJECTIVES), np.float32)
        for term, weight in REWARDS[reward].items():
            if term not in of_terms:
                allowed = [name for name, terms in REWARDS.items() if set(terms) <= set(of_terms)]
                raise InputError(f"reward = {reward!r} has the term {term!r}, allowed: {', '.join(allowed)}")
            index, unit = of_terms[term]
            weights[index] = weight * unit
        return weights

    def _play(self, decision: Any) -> Any:
        """With a vector in the place of the reward."""
        observation, _, terminated, truncated, info = super()._play(decision)
        gain = info["reward_terms"]["accuracy_gain"]
        losses = info["round_latency_s"], info["energy_j"], info["traffic_bits"]
        vector = np.array([gain, *(-loss for loss in losses)], np.float32)
        info["scalar_reward"] = np.dot(vector, self._weights)
        return observation, vector, terminated, truncated, info
