"""How good a policy is in episodes that it does not learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.policies import BasePolicy

from splitgym.arrays import Floats
from splitgym.envs import SB3VecEnv

from ..algorithms import Algorithm
from ..inference import answer

SEEDS = 950_000
"""The first seed of a validation; training and comparisons have others."""
EPISODES = 100


@dataclass(frozen=True)
class Score:
    """How good a policy was."""

    cost: float
    """Of two policies the one with the lower is better."""
    facts: Mapping[str, float]
    """What was measured, for the card."""


class Validation:
    """The same episodes every time, on the surrogate, until each has reached its target or spent a budget.

    Args:
        algorithm: Of the policies.
        environment: Keyword arguments of the environment.
        episodes: Their number.
    """

    def __init__(self, algorithm: Algorithm, environment: Mapping[str, Any], episodes: int = EPISODES) -> None:
        self._algorithm = algorithm
        self._envs = SB3VecEnv(episodes, threads=1, **environment)
        self._time_budget_s = self._envs.envs.scenario.episode.time_budget_s

    def score(self, policy: BasePolicy) -> Score:
        """Mean time to target; an episode that misses it counts with the time budget."""
        time_s = self.time_to_target_s(policy)
        mean_s = float(np.mean(np.minimum(time_s, self._time_budget_s)))
        reached = float(np.isfinite(time_s).mean())
        return Score(mean_s, {"time_to_target_s": mean_s, "reached": reached, "episodes": len(time_s)})

    def time_to_target_s(self, policy: BasePolicy) -> Floats:
        """[episodes] seconds until the target was reached; infinite where it was not."""
        envs, of = self._envs, self._algorithm
        memory: Any = None
        envs.seed(SEEDS)
        observation = envs.reset()
        starts = np.ones(envs.num_envs, bool)
        time_s = np.full(envs.num_envs, np.nan)
        step = 0
        while np.isnan(time_s).any():
            masks = envs.envs.action_masks() if of.masked else None
            actions, memory = answer(policy, observation, memory, starts, of.deterministic, masks, seed=step)
            observation, _, starts, infos = envs.step(actions)
            for i in np.flatnonzero(starts & np.isnan(time_s)):
                time_s[i] = np.inf if infos[i]["TimeLimit.truncated"] else infos[i]["elapsed_s"]
            step += 1
        return time_s
