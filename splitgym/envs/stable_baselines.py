"""The vector environment as Stable-Baselines3 wants it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from splitgym.arrays import Bools
from splitgym.envs.info import Columns, Info
from splitgym.envs.reset_arguments import check_options, seed_of
from splitgym.envs.spec import jsonable
from splitgym.envs.vector import SplitLearningVectorEnv
from splitgym.inputs import InputError, is_whole

Indices = int | Iterable[int] | None

ID = "SplitLearning-v0"
MASK = "reset_mask"
"""Option of the vector environment's reset: which environments."""
OF_EACH = ("np_random", "np_random_seed")
"""Attributes that differ from environment to environment."""


class SB3VecEnv(VecEnv):
    """N environments of `SplitLearning-v0` as a Stable-Baselines3 `VecEnv`.

    The information of a step is empty while an episode goes on, because a dictionary for each of thousands of
    environments would cost more than the step; where the scenario has budgets it holds the "cost". At the end of an
    episode it is that of the single environment, with "terminal_observation", "TimeLimit.truncated" and "episode", as
    `Monitor` adds it: its return "r", its length "l" and the seconds "t" since this object was made. `last_round()` has
    the rounds of all as arrays.

    `get_attr` and `env_method` answer for each environment as if it stood alone: action and observation space,
    `framework`, `metadata`, `np_random`, `np_random_seed`, `render_mode`, `scenario`, `spec`; `action_masks()` for
    MaskablePPO, and `reset(seed=, options=)`, which resets only those of `indices`.

    Args:
        num_envs: N.
        **settings: As of `SplitLearningVectorEnv`.
    """

    def __init__(self, num_envs: int, **settings: Any) -> None:
        self.envs = SplitLearningVectorEnv(num_envs, **settings)
        if self.envs.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise InputError(f"autoreset_mode = {settings['autoreset_mode']!r}, allowed: 'SameStep'")
        self.spec = copy(gym.spec(ID))
        self.spec.kwargs = {name: jsonable(value) for name, value in settings.items() if name != "threads"}
        self._shared = {
            "action_space": self.envs.single_action_space,
            "framework": self.envs.framework,
            "metadata": {"render_modes": []},
            "observation_space": self.envs.single_observation_space,
            "render_mode": None,
            "scenario": self.envs.scenario,
            "spec": self.spec,
        }
        self._begun_s = time.perf_counter()
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._actions: NDArray[Any]
        self._accounts: list[Columns]
        super().__init__(self.envs.num_envs, self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """Starts episodes everywhere, with the seeds that `seed` has set."""
        observation, _ = self.envs.reset(seed=self._seeds)
        self.reset_infos = self.envs.progress().one_by_one()
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        return observation

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Sets the seeds of the next reset: environment i gets seed + i."""
        return super().seed(seed_of(seed))

    def set_options(self, options: Any = None) -> None:
        """Refused, but for none: there are no options."""
        for each in options if isinstance(options, list) else [options]:
            check_options(each)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], Bools, list[dict[str, Any]]]:
        """Plays a round everywhere; rewards are float32, as Stable-Baselines3 keeps them."""
        moved = self.envs.move(self._actions)
        self._accounts = [part.account for part in moved]
        reward = np.concatenate([part.step.reward for part in moved])
        done = np.concatenate([part.done for part in moved])
        self._returns += reward
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if self.envs.scenario.budgets.any:
            infos = [{"cost": cost} for part in moved for cost in part.step.cost.tolist()]
        world, elapsed_s = 0, round(time.perf_counter() - self._begun_s, 6)
        for part in moved:
            ended, truncated = np.flatnonzero(part.done).tolist(), part.step.truncated
            each = zip(
                ended, part.final_observation, *(columns.one_by_one() for columns in part.final_info), strict=True
            )
            for own, last, progress, account in each:
                i = world + own
                infos[i] = {
                    **progress,
                    **account,
                    "terminal_observation": last,
                    "TimeLimit.truncated": bool(truncated[own]),
                    "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": elapsed_s},
                }
            world += len(part.done)
        self._returns[done], self._lengths[done] = 0.0, 0
        observation = np.concatenate([part.observation for part in moved])
        return observation, reward.astype(np.float32), done, infos

    def last_round(self) -> Info:
        """What `info` says of the last round, by name, as arrays with a leading axis over the environments.

        Where an episode ended, it is that of its last round.
        """
        return Columns.joined(self._accounts).info(np.ones(self.num_envs, bool))

    def close(self) -> None:
        """Ends the threads."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of each environment, its own: a setting, a generator, or one of its methods.

        Raises:
            AttributeError: the environments have none of that name; the message says which they have.
        """
        self._expect(attr_name, (*self._shared, *OF_EACH, *METHODS))
        chosen = self._selected(indices)
        if attr_name in METHODS:
            return [partial(self._call, attr_name, i) for i in chosen]
        if attr_name in self._shared:
            return [self._shared[attr_name]] * len(chosen)
        values = getattr(self.envs, attr_name)
        if not values:
            raise AttributeError(f"{attr_name!r} is there after the first reset()")
        return [values[i] for i in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Refused: the environments share their settings.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name!r} cannot be set: environments share their settings; make another SB3VecEnv")

    def env_method(self, method_name: str, *arguments: Any, indices: Indices = None, **named: Any) -> list[Any]:
        """What a method of each environment answers; see `METHODS`.

        Raises:
            AttributeError: the environments have no such method; the message says which they have.
        """
        self._expect(method_name, METHODS)
        return METHODS[method_name](self, self._selected(indices), *arguments, **named)

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        """True for `Monitor`, whose "episode" stands in the information; no environment has another wrapper."""
        return [wrapper_class is Monitor] * len(self._selected(indices))

    def _expect(self, name: str, known: Iterable[str]) -> None:
        masked = not isinstance(self.action_space, spaces.Box)
        allowed = sorted(set(known) if masked else set(known) - {"action_masks"})
        if name not in allowed:
            raise AttributeError(f"an environment of SB3VecEnv has no {name!r}, allowed: {', '.join(allowed)}")

    def _selected(self, indices: Indices) -> list[int]:
        chosen = np.asarray(range(self.num_envs) if indices is None else indices, object).ravel().tolist()
        # Where truth values count as indices, a mask would reset environments 0 and 1.
        if not all(is_whole(i) and -self.num_envs <= i < self.num_envs for i in chosen):
            raise IndexError(f"indices = {indices}, allowed: 0..{self.num_envs - 1}")
        return [range(self.num_envs)[i] for i in chosen]

    def _call(self, name: str, i: int, *arguments: Any, **named: Any) -> Any:
        (answer,) = METHODS[name](self, [i], *arguments, **named)
        return answer

    def _action_masks(self, which: Sequence[int]) -> list[Bools]:
        """Of each, as MaskablePPO asks for them."""
        masks = self.envs.action_masks()
        return [masks[i] for i in which]

    def _reset_some(
        self, which: Sequence[int], *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> list[tuple[NDArray[np.float32], dict[str, Any]]]:
        """Starts episodes in these environments alone; observation and information of each."""
        marked = np.zeros(self.num_envs, bool)
        marked[which] = True
        seeds = [seed if own else None for own in marked]
        observation, _ = self.envs.reset(seed=seeds, options={**_options(options or {}), MASK: marked})
        self._returns[marked], self._lengths[marked] = 0.0, 0
        infos = self.envs.progress().one_by_one()
        return [(observation[i].copy(), infos[i]) for i in which]


METHODS: Mapping[str, Callable[..., list[Any]]] = {
    "action_masks": SB3VecEnv._action_masks,
    "reset": SB3VecEnv._reset_some,
}
"""Methods of an environment, each answered for a list of them."""


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an environment, for the vector of them."""
    if MASK in options:
        raise ValueError(f"options[{MASK!r}] is not for one environment, allowed: env_method('reset', indices=...)")
    return dict(options)
