"""What a scheduler is: it answers an observation with an action, and speaks Stable-Baselines3's `predict`."""

import inspect
from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.envs import SplitLearningEnv
from splitgym.types import Decision, RoundState

EACH_ITS_OWN = "make an agent for each environment"


class Scheduler(ABC):
    """A scheduler for one environment.

    Attributes:
        env: The environment it acts in, without wrappers.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        unwrapped = getattr(env, "unwrapped", env)
        if not isinstance(unwrapped, SplitLearningEnv):
            raise TypeError(f"a scheduler needs a SplitLearning environment, not {unwrapped!r}")
        self.env = unwrapped

    @classmethod
    def options(cls, **chosen: Any) -> tuple[str, ...]:
        """Names of the options that may be given beside `env`, if these are `chosen`."""
        return tuple(inspect.signature(cls).parameters)[1:]

    @abstractmethod
    def decide(self, state: RoundState) -> Decision:
        """The decision for the next round; `state` is what the scheduler may believe."""

    @abstractmethod
    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action for the next round; what the encoding cannot say is lost (`decide` is exact)."""

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """As Stable-Baselines3's `predict`, so that `evaluate_policy` runs all; heuristics know no `deterministic`.

        Raises:
            ValueError: the observations are of several environments, or of another one than the agent's.
        """
        batched = np.ndim(observation) == 2
        if batched:
            expect_one(observation)
        action = self.act(observation[0] if batched else observation, {})
        return (action[None] if batched else action), state

    def expect_own_observation(self, observation: NDArray[np.float32]) -> None:
        """Raises a ValueError if this is not what the agent's own environment shows now."""
        if not (self.env.begun and np.array_equal(observation, self.env.observe())):
            raise ValueError(
                "observation is not the present one of the agent's own environment, from whose state it decides,"
                f" allowed: env.observe(), as it is; {EACH_ITS_OWN}"
            )

    def expect_own_state(self, state: RoundState) -> None:
        """Raises a ValueError if this is not what may be believed in the agent's own environment now."""
        if not (self.env.begun and _equal(state, self.env.state)):
            raise ValueError(
                f"state is not the present one of the agent's own environment, allowed: env.state; {EACH_ITS_OWN}"
            )

    def expect_own_system(self, state: RoundState) -> None:
        """Raises a ValueError if a state is not of the scenario and the framework of the agent's environment."""
        if not _equal(state.system, self.env.system):
            raise ValueError(
                "state is of another scenario or framework than the agent's environment, allowed: states of the same;"
                f" {EACH_ITS_OWN}"
            )


class Heuristic(Scheduler):
    """A scheduler that decides from the believed state; no training."""

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action nearest to the decision.

        Raises:
            ValueError: the observation is not the present one of the agent's environment.
        """
        self.expect_own_observation(observation)
        return self.env.encode(self.decide(self.env.state))

    @property
    def aggregation_ratio(self) -> float:
        """The scenario's phi, at most the highest that the framework allows; 0 with one that does not aggregate."""
        return self.allowed_ratio(self.env.scenario.training.aggregation_ratio)

    def allowed_ratio(self, aggregation_ratio: float) -> float:
        """This phi, but at most the highest that the framework allows; 0 with one that does not aggregate."""
        return min(aggregation_ratio, self.env.system.highest_ratio)


def expect_one(observations: NDArray[np.float32]) -> None:
    """Raises a ValueError if these are not [1, observation], of the agent's environment."""
    if len(observations) != 1:
        raise ValueError(f"{len(observations)} observations at once, allowed: 1; {EACH_ITS_OWN}")


def _equal(one: Any, other: Any) -> bool:
    """Whether two states, or parts of them, hold the same numbers, to the bit."""
    if one is other:
        return True
    if is_dataclass(one):
        return type(one) is type(other) and all(
            _equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
        )
    if isinstance(one, tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, np.ndarray | np.generic | float):
        return np.array_equal(one, other, equal_nan=True)
    return bool(one == other)
