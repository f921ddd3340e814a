"""Every round of an episode, noted while it is played."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from splitgym.arrays import Floats
from splitgym.rendering import Played, Scene
from splitgym.timing import RoundCost
from splitgym.timing.cost import round_cost_unchecked
from splitgym.types import Decision, RoundState

Step = tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]
"""What a step returns: observation, reward, terminated, truncated, info."""


@dataclass(frozen=True)
class LoggedRound:
    """A round that has been played."""

    truth: RoundState
    """What it ran on."""
    position_m: Floats
    """[C, 2] where the clients were, m, with the base station in the origin."""
    radius_m: float
    """Of the cell, m."""
    decision: Decision
    """As it was carried out."""
    info: dict[str, Any]
    """As the step returned it."""
    reward: float
    terminated: bool
    truncated: bool

    @cached_property
    def cost(self) -> RoundCost:
        """What it cost, with the timeline; worked out again when it is first asked for, to the same numbers."""
        return round_cost_unchecked(self.truth, self.decision)


class EpisodeLog(gym.Wrapper[Any, Any, Any, Any]):
    """Notes every round of an environment's episode; `reset` begins again with none.

    A round costs copies of its state and decision, about 0.2 ms; what tables show besides is worked out when they are
    made.

    Args:
        env: A `SplitLearning-v0`, wrapped or not.

    Attributes:
        rounds: The rounds so far.
        accuracy: Test accuracy before the first one.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.rounds: list[LoggedRound] = []
        self.accuracy = np.nan

    @property
    def world(self) -> Any:
        """The environment without wrappers."""
        return self.env.unwrapped

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode, and its log."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.rounds, self.accuracy = [], float(info["accuracy"])
        return observation, info

    def step(self, action: Any) -> Step:
        """Plays the round that the action says."""
        return self._noted(self.env.step, action)

    def play(self, decision: Decision) -> Step:
        """Plays a decision past the encoding, and past wrappers."""
        return self._noted(self.world.play, decision)

    def scene(self, number: int) -> Scene:
        """What a frame shows of a round, 1 for the first, with its timeline."""
        played, rounds = self.rounds[number - 1], self.rounds[:number]
        cost, info = played.cost, played.info
        return Scene(
            scenario=self.world.scenario,
            framework=self.world.framework,
            learner=self.world.learner,
            state=played.truth,
            position_m=played.position_m,
            radius_m=played.radius_m,
            elapsed_s=np.array([0.0, *(each.info["elapsed_s"] for each in rounds)]),
            accuracy=np.array([self.accuracy, *(each.info["accuracy"] for each in rounds)]),
            played=Played(played.decision, cost, info["projected"], info["trained"]),
        )

    def _noted(self, play: Callable[[Any], Step], said: Any) -> Step:
        world = self.world
        truth, position_m, radius_m = world.truth, world.position_m, world.radius_m
        step = play(said)
        _, reward, terminated, truncated, info = step
        self.rounds.append(
            LoggedRound(truth, position_m, radius_m, world.played, dict(info), float(reward), terminated, truncated)
        )
        return step
