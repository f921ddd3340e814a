"""An environment that costs nothing: what remains is the learning algorithm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from splitgym.arrays import Bools


class Ends(BaseCallback):
    """Counts how many steps of a training end an episode."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = self._cut_off = self._ended = 0

    @property
    def truncated(self) -> float:
        """Share of the steps that cut an episode off."""
        return self._cut_off / self._steps

    @property
    def terminated(self) -> float:
        """Share of the steps that end an episode otherwise."""
        return (self._ended - self._cut_off) / self._steps

    def _on_step(self) -> bool:
        done, infos = self.locals["dones"], self.locals["infos"]
        self._steps += len(done)
        self._ended += int(done.sum())
        self._cut_off += sum(infos[i]["TimeLimit.truncated"] for i in np.flatnonzero(done))
        return True


class Costless(VecEnvWrapper):
    """Observations drawn once, rewards of 0, episodes that end by chance; spaces and number as those of another one.

    Stable-Baselines3 asks the critic once more for every episode that is cut off, one by one. That is a cost of the
    algorithm, so episodes have to end here as often as there.

    Args:
        venv: The other one.
        truncated: Share of the steps that cut an episode off.
        terminated: Share of those that end one otherwise.
    """

    def __init__(self, venv: VecEnv, truncated: float, terminated: float) -> None:
        super().__init__(venv)
        self._rng, shape = np.random.default_rng(0), (self.num_envs, *(self.observation_space.shape or ()))
        self._drawn = [self._rng.random(shape, np.float32) for _ in range(8)]
        self._truncated, self._ended = truncated, truncated + terminated
        self._moves = 0

    def reset(self) -> NDArray[np.float32]:
        """Observations."""
        return self._drawn[0]

    def step_async(self, actions: NDArray[Any]) -> None:
        """Forgets the actions."""

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], Bools, list[dict[str, Any]]]:
        """Other observations."""
        self._moves += 1
        observation, chance = self._drawn[self._moves % len(self._drawn)], self._rng.random(self.num_envs)
        done = chance < self._ended
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            cut_off = bool(chance[i] < self._truncated)
            infos[i] = {"terminal_observation": observation[i], "TimeLimit.truncated": cut_off}
        return observation, np.zeros(self.num_envs, np.float32), done, infos
