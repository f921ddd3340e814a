"""N environments at once: Gymnasium's vector environment over the simulation, slices of worlds in threads."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats
from splitgym.envs.actions import ActionCodec
from splitgym.envs.autoreset import Moved, mode_of, move
from splitgym.envs.features import STANDARD, Feature
from splitgym.envs.info import Columns
from splitgym.envs.reset_arguments import reset_mask, seeds_of
from splitgym.envs.simulation import Settings, Simulation
from splitgym.envs.spec import JsonableSpec
from splitgym.envs.threads import Threads
from splitgym.envs.world import Round
from splitgym.inputs import InputError, is_whole
from splitgym.scenario import Scenario

MOST = 1_000_000_000
"""Environments, or threads."""
WORLDS_PER_THREAD = 128
"""Fewer are done before a second thread has started."""


class SplitLearningVectorEnv(JsonableSpec, VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """`SplitLearning-v0`, N times: environment i is the single environment with seed + i and the same actions.

    After an episode that ends the next one starts as `autoreset_mode` says, which is one of Gymnasium's: in the same
    step, so that `observation` and `info` are those of the new episode, and `info["final_obs"]` and
    `info["final_info"]` those of the old one; in the next step, whatever the action is, with reward 0; or only when
    `reset` asks for it. Rewards are float64.

    Args:
        num_envs: N.
        scenario: As the single environment's, like all further arguments.
        framework: See there.
        learner: See there; with "train" every environment really trains, one after the other in each thread.
        action: See there.
        reward: See there.
        render_mode: None.
        device: See there.
        threads: How many slices of the environments work at the same time; None: as many as there are processors, if
            the slices are not too small. The results do not depend on it.
        autoreset_mode: "SameStep", "NextStep" or "Disabled", or an `AutoresetMode`.
        **overrides: Sections of the scenario.

    Raises:
        ScenarioError: an argument has a value that is not allowed; the message names it.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str | Path | Mapping[str, Any] | Scenario = "iot",
        framework: str = "epsl",
        learner: str = "train",
        action: str | type[ActionCodec] = "discrete",
        reward: str | Mapping[str, float] | Callable[[Round], Floats] = "gain-latency",
        render_mode: None = None,
        device: str | None = None,
        observation: str | Sequence[str | Feature] = STANDARD,
        threads: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        **overrides: Mapping[str, Any],
    ) -> None:
        num_envs = _count("num_envs", num_envs)
        self._mode = mode_of(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self._mode}
        settings = Settings(scenario, framework, learner, action, reward, render_mode, device, observation)
        self.num_envs = num_envs
        self.scenario = settings.build(overrides)
        self.render_mode = render_mode
        slices = _slices(num_envs, None if threads is None else _count("threads", threads))
        self._simulations = [(worlds, Simulation(settings, self.scenario, len(worlds))) for worlds in slices]
        self._threads = Threads(len(slices))
        self.framework = self._simulations[0][1].framework
        self._actions = self._simulations[0][1].actions
        self.single_action_space = self._actions.space
        self.single_observation_space = self._simulations[0][1].observations.space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._begun, self._ended = False, np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts episodes in all environments, or in those of the bool array `options["reset_mask"]`.

        Args:
            seed: Environment i gets seed + i, or the i-th of a sequence; None: it goes on drawing from its generator.
            options: See above.

        Raises:
            InputError: other seeds or options.
            gymnasium.error.ResetNeeded: the first reset is not of all.
            gymnasium.error.ClosedEnvironmentError: the environment is closed.
        """
        self._need_open()
        mask, seeds = reset_mask(options, self.num_envs), seeds_of(seed, self.num_envs)
        marked = np.ones(self.num_envs, bool) if mask is None else mask.copy()
        if not self._begun and not marked.all():
            raise gym.error.ResetNeeded("no episode has begun: the first reset() is of all environments")
        self._seed(marked, seeds)
        # It stays so if the data cannot be read.
        self._begun, self._ended[marked] = False, False
        which = np.flatnonzero(marked)
        for worlds, simulation in self._simulations:
            own = which[(which >= worlds.start) & (which < worlds.stop)] - worlds.start
            if len(own):
                simulation.reset(self._rngs[worlds.start : worlds.stop], own)
        self._begun = True
        observation = np.concatenate([simulation.observe() for _, simulation in self._simulations])
        return observation, self.progress(marked).info(marked)

    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], Floats, Bools, Bools, dict[str, Any]]:
        """Plays a round in every environment.

        Raises:
            ValueError: an action is not in the action space.
            gymnasium.error.ResetNeeded: before the first reset, or where an episode has ended and nothing resets it.
            gymnasium.error.ClosedEnvironmentError: the environment is closed.
        """
        moved = self.move(actions)
        done, begun = (np.concatenate([getattr(part, name) for part in moved]) for name in ("done", "begun"))
        infos = Columns.joined([part.progress for part in moved]).info(np.ones(self.num_envs, bool))
        if not begun.all():
            infos |= Columns.joined([part.account for part in moved], ~begun).info(~begun)
        if self._mode is AutoresetMode.SAME_STEP and done.any():
            final_obs = np.full(self.num_envs, None, object)
            last = np.concatenate([part.final_observation for part in moved])
            for world, observation in zip(np.flatnonzero(done), last, strict=True):
                final_obs[world] = observation
            finals = [
                Columns.joined(each).spread(done).info(done)
                for each in zip(*(part.final_info for part in moved), strict=True)
            ]
            infos |= {
                "final_obs": final_obs,
                "_final_obs": done,
                "final_info": finals[0] | finals[1],
                "_final_info": done,
            }
        return (
            np.concatenate([part.observation for part in moved]),
            np.concatenate([part.step.reward for part in moved]),
            np.concatenate([part.step.terminated for part in moved]),
            np.concatenate([part.step.truncated for part in moved]),
            infos,
        )

    def progress(self, marked: Bools | None = None) -> Columns:
        """How far the episodes are, as `reset` tells it; 0 where not marked."""
        return Columns.joined([simulation.progress_columns() for _, simulation in self._simulations], marked)

    def move(self, actions: NDArray[Any]) -> list[Moved]:
        """`step`, as the slices of the environments give it."""
        self._need_episodes()
        actions = self._actions.check(actions, self.num_envs)
        slices, simulations = zip(*self._simulations, strict=True)
        moved = self._threads.map(
            partial(move, self._mode is AutoresetMode.SAME_STEP),
            simulations,
            [self._rngs[worlds.start : worlds.stop] for worlds in slices],
            [actions[worlds.start : worlds.stop] for worlds in slices],
            [self._ended[worlds.start : worlds.stop] for worlds in slices],
        )
        if self._mode is not AutoresetMode.SAME_STEP:
            self._ended = np.concatenate([part.done for part in moved])
        return moved

    def action_masks(self) -> Bools:
        """[N, values] flat masks over the values of actions in whole numbers: unavailable clients cannot be selected.

        Raises:
            AttributeError: the encoding is continuous and has no masks.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if not isinstance(self.single_action_space, gym.spaces.Box):
            self._need_begun()
        return np.concatenate([simulation.masks() for _, simulation in self._simulations])

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the environments."""
        return tuple(self._rngs)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the environments."""
        return tuple(self._seeds)

    def get_attr(self, *_: Any) -> None:
        """Refused: only wrappers of Stable-Baselines3 ask for attributes so, and they need another class."""
        raise TypeError("for Stable-Baselines3 and its wrappers make splitgym.envs.SB3VecEnv(num_envs, ...)")

    def render(self) -> None:
        """Refused: only the single environment draws.

        Raises:
            gymnasium.error.Error: always.
        """
        self._need_open()
        raise gym.error.Error("a vector environment renders nothing, allowed: gym.make(..., render_mode=...)")

    def close_extras(self, **_: Any) -> None:
        """Ends the threads."""
        self._threads.close()

    _threads = Threads(1)
    """Of an environment that could not be made."""

    def _need_open(self) -> None:
        if self.closed:
            raise gym.error.ClosedEnvironmentError("the environment is closed: make another one")

    def _need_begun(self) -> None:
        self._need_open()
        if not self._begun:
            raise gym.error.ResetNeeded("no episode has begun: call reset() first")

    def _need_episodes(self) -> None:
        """Raises ResetNeeded if an episode has ended that nothing has started again."""
        self._need_begun()
        if self._mode is AutoresetMode.DISABLED and self._ended.any():
            raise gym.error.ResetNeeded(
                f"the episodes of environments {np.flatnonzero(self._ended).tolist()} have ended: call "
                "reset(options={'reset_mask': terminated | truncated}) first"
            )

    def _seed(self, marked: Bools, seeds: list[int | None] | None) -> None:
        """Gives the marked environments new generators, where there is a seed or none yet."""
        if not self._rngs:
            drawn = [np_random(None if seeds is None else seeds[i]) for i in range(self.num_envs)]
            self._rngs, self._seeds = [rng for rng, _ in drawn], [own for _, own in drawn]
        elif seeds is not None:
            for i in np.flatnonzero(marked):
                if seeds[i] is not None:
                    self._rngs[i], self._seeds[i] = np_random(seeds[i])


def _count(name: str, count: Any) -> int:
    if not is_whole(count) or not 1 <= count <= MOST:
        raise InputError(f"{name} = {count!r}, allowed: whole numbers from 1 to {MOST}")
    return int(count)


def _slices(num_envs: int, threads: int | None) -> list[range]:
    """The environments of each thread, in order."""
    if threads is None:
        threads = min(os.cpu_count() or 1, num_envs // WORLDS_PER_THREAD)
    bounds = np.linspace(0, num_envs, max(1, min(threads, num_envs)) + 1).astype(int)
    return [range(begin, end) for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
