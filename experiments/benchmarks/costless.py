"""An environment that costs nothing: what remains is the learning algorithm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

EPISODE = 50
"""Rounds of its episodes."""


class Costless(VecEnvWrapper):
    """Observations drawn once, rewards of 0, episodes of a fixed length; spaces and number as those of another one."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        rng, shape = np.random.default_rng(0), (self.num_envs, *(self.observation_space.shape or ()))
        self._drawn = [rng.random(shape, np.float32) for _ in range(8)]
        self._rounds = rng.integers(EPISODE, size=self.num_envs)
        self._moves = 0

    def reset(self) -> NDArray[np.float32]:
        """Observations."""
        return self._drawn[0]

    def step_async(self, actions: NDArray[Any]) -> None:
        """Forgets the actions."""

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Other observations."""
        self._moves += 1
        self._rounds += 1
        observation, done = self._drawn[self._moves % len(self._drawn)], self._rounds >= EPISODE
        self._rounds[done] = 0
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {"terminal_observation": observation[i], "TimeLimit.truncated": True}
        return observation, np.zeros(self.num_envs, np.float32), done, infos
