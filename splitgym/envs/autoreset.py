"""A step of N worlds, and how the next episodes start: in the same step, in the next one, or when `reset` says so."""

from typing import NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.envs.info import Columns
from splitgym.envs.simulation import Simulation, Step
from splitgym.inputs import InputError
from splitgym.parts import suggest
from splitgym.random import Generators

MODES = {mode.value: mode for mode in AutoresetMode} | {mode.name: mode for mode in AutoresetMode}
"""By the two names that Gymnasium has for each."""


def mode_of(name: str | AutoresetMode) -> AutoresetMode:
    """The mode, or that of a name.

    Raises:
        InputError: there is none; the message suggests the nearest.
    """
    if isinstance(name, AutoresetMode):
        return name
    if not isinstance(name, str) or name not in MODES:
        raise InputError(f"autoreset_mode = {name!r} is unknown, {suggest(name, MODES)}")
    return MODES[name]


class Moved(NamedTuple):
    """What a step did in a slice of the worlds."""

    step: Step
    """Reward 0 and no end where no round was played."""
    observation: NDArray[np.float32]
    """[N, observation] of the episodes that go on or start."""
    progress: Columns
    """Of N worlds, likewise."""
    account: Columns
    """Of N worlds and the round, also where the episode ended."""
    done: Bools
    """[N] worlds whose episode ended."""
    begun: Bools
    """[N] worlds whose episode started."""
    final_observation: NDArray[np.float32]
    """[D, observation] of those D worlds at the end whose next episode began in the same step."""
    final_info: tuple[Columns, Columns]
    """Of D worlds likewise, progress and account."""


def move(same_step: bool, simulation: Simulation, rngs: Generators, actions: NDArray, ended: Bools) -> Moved:
    """Plays a round in a slice of the worlds, and starts new episodes.

    Args:
        same_step: Where an episode ends, the next one starts at once.
        simulation: Of the slice.
        rngs: One generator for each world.
        actions: One for each.
        ended: [N] worlds whose episode has ended before: instead of a round, the next episode starts there.
    """
    idle = ended if ended.any() else None
    step = simulation.play(simulation.actions.decode(actions, simulation.world.state), idle)
    if idle is not None:
        step = step._replace(
            reward=np.where(idle, 0.0, step.reward),
            terminated=step.terminated & ~idle,
            truncated=step.truncated & ~idle,
        )
    observation = simulation.observe()
    progress, account = simulation.progress_columns(), simulation.account_columns(step)
    done = step.terminated | step.truncated
    final = np.flatnonzero(done & same_step)
    final_observation, final_info = observation[final], (progress.worlds(final), account.worlds(final))
    begun = done if same_step else ended.copy()
    which = np.flatnonzero(begun)
    if len(which):
        simulation.reset(rngs, which)
        observation[which] = simulation.observe(which)
        progress = simulation.progress_columns()
    return Moved(step, observation, progress, account, done, begun, final_observation, final_info)
