"""N environments at once: Gymnasium's vector environment over the simulation, slices of worlds in threads."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from splitgym.envs.info import Info, joined, of_worlds, only, spread, with_masks
from splitgym.envs.simulation import Settings, Simulation, Step, account
from splitgym.network.worlds import Bools, Ints
from splitgym.scenario import Scenario

WORLDS_PER_THREAD = 128
"""Fewer are done before a second thread has begun."""


class Moved(NamedTuple):
    """What a step did in a slice of the worlds; those whose episode ended have begun another one."""

    step: Step
    observation: NDArray[np.float32]
    """[N, observation] of the episodes that go on or begin."""
    progress: Info
    """[N] likewise."""
    account: Info
    """[N] of the round, also where the episode ended."""
    done: Bools
    """[N] whose episode ended."""
    final_observation: NDArray[np.float32]
    """[D, observation] of those D worlds at the end."""
    final_info: Info
    """[D] likewise, progress and account."""


class SplitLearningVectorEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """`SplitLearning-v0`, N times: environment i is the single environment with seed + i and the same actions.

    Episodes that end are reset in the same step: `observation` and `info` are then those of the new episode, and
    `info["final_obs"]` and `info["final_info"]` those of the old one. Rewards are float64.

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
        action: str = "discrete",
        reward: str = "gain-latency",
        render_mode: None = None,
        device: str | None = None,
        threads: int | None = None,
        **overrides: Mapping[str, Any],
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs = {num_envs}, allowed: 1 and more")
        if threads is not None and threads < 1:
            raise ValueError(f"threads = {threads}, allowed: 1 and more, or None")
        settings = Settings(scenario, framework, learner, action, reward, render_mode, device)
        self.num_envs = num_envs
        self.scenario = settings.build(overrides)
        self.render_mode = render_mode
        slices = _slices(num_envs, threads)
        self._simulations = [(worlds, Simulation(settings, self.scenario, len(worlds))) for worlds in slices]
        self._pool = ThreadPoolExecutor(len(slices)) if len(slices) > 1 else None
        self.framework = self._simulations[0][1].framework
        self._actions = self._simulations[0][1].actions
        self.single_action_space = self._actions.space
        self.single_observation_space = self._simulations[0][1].observations.space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._seeds: list[int] = []

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins episodes in all environments, or in those of the bool array `options["reset_mask"]`.

        Args:
            seed: Environment i gets seed + i, or the i-th of a sequence; None: it goes on drawing from its generator.
            options: See above.
        """
        which = self._marked(options)
        self._seed(which, seed)
        for worlds, simulation in self._simulations:
            own = which[(which >= worlds.start) & (which < worlds.stop)] - worlds.start
            if len(own):
                simulation.reset(self._rngs[worlds.start : worlds.stop], own)
        observation = np.concatenate([simulation.observe() for _, simulation in self._simulations])
        info = joined([simulation.progress() for _, simulation in self._simulations])
        marked = np.zeros(self.num_envs, bool)
        marked[which] = True
        return observation, with_masks(only(info, marked), marked)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Plays a round in every environment.

        Raises:
            ValueError: an action is not in the action space.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        moved = self.move(actions)
        done = np.concatenate([part.done for part in moved])
        infos = with_masks(joined([part.progress for part in moved]), np.ones(self.num_envs, bool))
        if not done.all():
            infos |= with_masks(only(joined([part.account for part in moved]), ~done), ~done)
        if done.any():
            final_obs = np.full(self.num_envs, None, object)
            last = np.concatenate([part.final_observation for part in moved])
            for world, observation in zip(np.flatnonzero(done), last, strict=True):
                final_obs[world] = observation
            final_info = spread(joined([part.final_info for part in moved]), done)
            infos |= {"final_obs": final_obs, "_final_obs": done.copy()}
            infos |= {"final_info": with_masks(final_info, done), "_final_info": done.copy()}
        return (
            np.concatenate([part.observation for part in moved]),
            np.concatenate([part.step.reward for part in moved]),
            np.concatenate([part.step.terminated for part in moved]),
            np.concatenate([part.step.truncated for part in moved]),
            infos,
        )

    def move(self, actions: NDArray[Any]) -> list[Moved]:
        """`step`, as the slices of the environments give it."""
        if not self._rngs:
            raise gym.error.ResetNeeded("no episode has begun: call reset() first")
        actions = self._actions.check(actions, self.num_envs)
        work = [(own, self._rngs[w.start : w.stop], actions[w.start : w.stop]) for w, own in self._simulations]
        if self._pool is None:
            return [_move(*part) for part in work]
        return list(self._pool.map(_move, *zip(*work, strict=True)))

    def action_masks(self) -> Bools:
        """[N, values] flat masks over the values of the MultiDiscrete actions: who is away cannot come in.

        Raises:
            AttributeError: the encoding is continuous and has no masks.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if isinstance(self.single_action_space, gym.spaces.MultiDiscrete) and not self._rngs:
            raise gym.error.ResetNeeded("no episode has begun: call reset() first")
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

    def close_extras(self, **_: Any) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _marked(self, options: dict[str, Any] | None) -> Ints:
        """Indices of the environments to reset."""
        mask = None if options is None else options.get("reset_mask")
        if mask is None:
            return np.arange(self.num_envs)
        if (
            not isinstance(mask, np.ndarray)
            or mask.shape != (self.num_envs,)
            or mask.dtype != np.bool_
            or not mask.any()
        ):
            raise ValueError(f"options['reset_mask'] = {mask!r}, allowed: {self.num_envs} booleans, at least one true")
        if not self._rngs and not mask.all():
            raise gym.error.ResetNeeded("no episode has begun: the first reset() is of all environments")
        return np.flatnonzero(mask)

    def _seed(self, which: Ints, seed: int | Sequence[int | None] | None) -> None:
        """Gives the environments `which` new generators, where there is a seed or none yet."""
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        if seeds is not None and len(seeds) != self.num_envs:
            raise ValueError(f"seed has {len(seeds)} values, allowed: one for each of {self.num_envs} environments")
        if not self._rngs:
            drawn = [np_random(None if seeds is None else seeds[i]) for i in range(self.num_envs)]
            self._rngs, self._seeds = [rng for rng, _ in drawn], [own for _, own in drawn]
        elif seeds is not None:
            for i in which:
                if seeds[i] is not None:
                    self._rngs[i], self._seeds[i] = np_random(seeds[i])


def _slices(num_envs: int, threads: int | None) -> list[range]:
    """The environments of each thread, in order."""
    if threads is None:
        threads = min(os.cpu_count() or 1, num_envs // WORLDS_PER_THREAD)
    bounds = np.linspace(0, num_envs, max(1, min(threads, num_envs)) + 1).astype(int)
    return [range(begin, end) for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


def _move(simulation: Simulation, rngs: list[np.random.Generator], actions: NDArray[Any]) -> Moved:
    """Plays a round in a slice, and begins new episodes where one ends."""
    step = simulation.play(simulation.actions.decode(actions, simulation.world.state))
    observation, progress, account_of_all = simulation.observe(), simulation.progress(), account(step)
    done = step.terminated | step.truncated
    which = np.flatnonzero(done)
    final_observation, final_info = observation[which], of_worlds({**progress, **account_of_all}, which)
    if len(which):
        simulation.reset(rngs, which)
        observation[which] = simulation.observe(which)
        progress = simulation.progress()
    return Moved(step, observation, progress, account_of_all, done, final_observation, final_info)
