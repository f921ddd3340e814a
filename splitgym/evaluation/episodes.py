"""What a scheduler achieved in one episode."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from splitgym.arrays import Bools, Floats

ROUNDS = ("elapsed_s", "accuracy", "round_latency_s", "energy_j")
NUMBERS = ("target_accuracy", "time_budget_s", "initial_accuracy")
"""Fields of an episode with a value for each round, and with one."""


@dataclass(frozen=True)
class Episode:
    """What a scheduler achieved in one episode, run until the target was reached or a budget was spent.

    The arrays have one value per round, R in all.
    """

    scenario: str
    agent: str
    seed: int
    target_accuracy: float
    time_budget_s: float
    elapsed_s: Floats
    """[R] simulated time at the end of the round."""
    accuracy: Floats
    """[R] test accuracy after the round, on the whole test set."""
    round_latency_s: Floats
    """[R]."""
    energy_j: Floats
    """[R] of clients and server."""
    initial_accuracy: float
    """Test accuracy before the first round."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from the other episodes of a comparison: scenario, agent, seed."""
        return self.scenario, self.agent, self.seed

    def to_json(self) -> dict[str, Any]:
        """All of it as texts, numbers and lists, from which `from_json` makes the same episode, to the bit."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The episode that `to_json` described.

        Raises:
            ValueError, TypeError, KeyError: it is none; the message says why.
        """
        rounds: dict[str, Any] = {name: np.array(content[name], np.float64) for name in ROUNDS}
        ((count,),) = {values.shape for values in rounds.values()}
        numbers: dict[str, Any] = {name: float(content[name]) for name in NUMBERS}
        if not count or not all(np.isfinite(values).all() for values in rounds.values()):
            raise ValueError("it has no rounds, or a number that is not finite")
        return cls(str(content["scenario"]), str(content["agent"]), int(content["seed"]), **numbers, **rounds)

    @property
    def in_time(self) -> Bools:
        """[R] whether the round ended within the time budget; the last one may not."""
        return self.elapsed_s <= self.time_budget_s

    @property
    def final_accuracy(self) -> float:
        """Test accuracy at the end: after the last round that ended within the time budget."""
        measured = self.accuracy[self.in_time]
        return float(measured[-1]) if len(measured) else self.initial_accuracy

    @property
    def target_round(self) -> int | None:
        """Index of the first round within the time budget that reached the target; None: it was not reached."""
        reached = np.flatnonzero(self.in_time & (self.accuracy >= self.target_accuracy))
        return int(reached[0]) if len(reached) else None

    @property
    def reached(self) -> bool:
        """Whether the target was reached within the budgets."""
        return self.target_round is not None

    @property
    def time_to_target_s(self) -> float:
        """Simulated time until the target was reached; the time budget if it was not."""
        return self.time_budget_s if self.target_round is None else float(self.elapsed_s[self.target_round])

    @property
    def energy_to_target_j(self) -> float:
        """Energy spent until the target was reached, or in all if it was not."""
        rounds = None if self.target_round is None else self.target_round + 1
        return float(self.energy_j[:rounds].sum())
