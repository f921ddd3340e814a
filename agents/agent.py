"""What a scheduler is: it answers an observation with an action, and speaks Stable-Baselines3's `predict`."""

import inspect
from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from splitgym.envs import SplitLearningEnv
from splitgym.rounds import Decision, RoundState


class Agent(ABC):
    """A scheduler for one environment.

    Attributes:
        env: The environment it acts in, without wrappers.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        unwrapped = getattr(env, "unwrapped", env)
        if not isinstance(unwrapped, SplitLearningEnv):
            raise TypeError(f"agents schedule a SplitLearning environment, not {unwrapped!r}")
        self.env = unwrapped

    @classmethod
    def options(cls, **chosen: Any) -> tuple[str, ...]:
        """Names of the options that may be given beside `env`, if these are `chosen`."""
        return tuple(inspect.signature(cls).parameters)[1:]

    @abstractmethod
    def decide(self, state: RoundState) -> Decision:
        """The decision for the round that is about to begin; `state` is what the scheduler may believe."""

    @abstractmethod
    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action for the round that is about to begin; what the encoding cannot say is lost (`decide` is exact)."""

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """As Stable-Baselines3's `predict`, so that `evaluate_policy` runs all; heuristics know no `deterministic`.

        Raises:
            ValueError: the observations are of several environments; an agent knows one.
        """
        batched = observation.ndim == 2
        if batched and len(observation) != 1:
            raise ValueError(f"{len(observation)} observations at once, allowed: 1; make one agent per environment")
        action = self._answer(observation[0] if batched else observation, deterministic)
        return (action[None] if batched else action), state

    def _answer(self, observation: NDArray[np.float32], deterministic: bool) -> NDArray[Any]:
        return self.act(observation, {})


class Heuristic(Agent):
    """A scheduler that decides from the believed state; no training."""

    def act(self, observation: NDArray[np.float32], info: dict[str, Any]) -> NDArray[Any]:
        """The action nearest to the decision."""
        return self.env.encode(self.decide(self.env.state))

    @property
    def aggregation_ratio(self) -> float:
        """The scenario's phi, at most the highest that the framework allows; 0 with one that does not aggregate."""
        return self.allowed_ratio(self.env.scenario.training.aggregation_ratio)

    def allowed_ratio(self, aggregation_ratio: float) -> float:
        """This phi, but at most the highest that the framework allows; 0 with one that does not aggregate."""
        framework = self.env.framework
        if not framework.aggregates:
            return 0.0
        return min(aggregation_ratio, framework.highest_ratio(self.env.scenario.training.batch_size))
