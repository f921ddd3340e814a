"""The vector environment as Stable-Baselines3 wants it."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from splitgym.envs.info import one_by_one
from splitgym.envs.vector import SplitLearningVectorEnv

Indices = int | Iterable[int] | None


class SB3VecEnv(VecEnv):
    """N environments of `SplitLearning-v0` as a Stable-Baselines3 `VecEnv`.

    The information of a step is empty while an episode goes on, because a dictionary for each of thousands of
    environments would cost more than the step. At the end of an episode it is that of the single environment, with
    "terminal_observation", "TimeLimit.truncated" and "episode": its return "r", its length "l" and the seconds "t"
    since this object was made. `env_method("action_masks")` serves MaskablePPO.

    Args:
        num_envs: N.
        **settings: As of `SplitLearningVectorEnv`.
    """

    def __init__(self, num_envs: int, **settings: Any) -> None:
        self.envs = SplitLearningVectorEnv(num_envs, **settings)
        self._begun_s = time.perf_counter()
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._actions: NDArray[Any]
        super().__init__(num_envs, self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """Begins episodes everywhere, with the seeds that `seed` has set."""
        observation, info = self.envs.reset(seed=self._seeds)
        plain = {name: value for name, value in info.items() if not name.startswith("_")}
        self.reset_infos = one_by_one(plain)
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        return observation

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Plays a round everywhere; rewards are float32, as Stable-Baselines3 keeps them."""
        moved = self.envs.move(self._actions)
        reward = np.concatenate([part.step.reward for part in moved])
        done = np.concatenate([part.done for part in moved])
        self._returns += reward
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        world, elapsed_s = 0, round(time.perf_counter() - self._begun_s, 6)
        for part in moved:
            ended = np.flatnonzero(part.done)
            for index, (own, info) in enumerate(zip(ended, one_by_one(part.final_info), strict=True)):
                i = world + int(own)
                infos[i] = info | {
                    "terminal_observation": part.final_observation[index],
                    "TimeLimit.truncated": bool(part.step.truncated[own]),
                    "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": elapsed_s},
                }
            world += len(part.done)
        self._returns[done], self._lengths[done] = 0.0, 0
        observation = np.concatenate([part.observation for part in moved])
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Ends the threads."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of the vector environment, which all environments share."""
        return [getattr(self.envs, attr_name)] * len(self._selected(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Refused: the environments share their settings.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name!r} cannot be set: environments share their settings; make another SB3VecEnv")

    def env_method(self, method_name: str, *arguments: Any, indices: Indices = None, **named: Any) -> list[Any]:
        """What a method of the vector environment gives for each environment; e.g. "action_masks"."""
        results = getattr(self.envs, method_name)(*arguments, **named)
        return [results[i] for i in self._selected(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        """False: no environment has a wrapper; episode statistics are there without one."""
        return [False] * len(self._selected(indices))

    def _selected(self, indices: Indices) -> Sequence[int]:
        return list(self._get_indices(indices))
