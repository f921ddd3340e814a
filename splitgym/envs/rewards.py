"""Rewards: named terms of a round, and the weights with which they are summed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.envs.info import Table
from splitgym.envs.world import Round
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.parts import Parts
from splitgym.scenario import ScenarioError


@dataclass(frozen=True)
class RewardTerm:
    """A term of rewards, unweighted."""

    name: str
    """Under which `info["reward_terms"]` shows it."""
    text: str
    """What it is, in a sentence."""
    of: Callable[[Round], Floats] | None = None
    """[N] values of a round in N worlds; None: of the package, computed with the others in one compiled loop."""


SHIPPED = (
    RewardTerm("accuracy_gain", "test accuracy now minus before, -1..1"),
    RewardTerm("latency", "minus the fraction of the time budget that the round took"),
    RewardTerm("energy", "minus the joules of clients and server"),
    RewardTerm("target_reached", "1 in the round that reaches the target accuracy, else 0"),
)
"""In the order of the loop."""
ENERGY = next(place for place, term in enumerate(SHIPPED) if term.name == "energy")


@kernel(NO_REFCOUNT)
def _fill_terms(
    terms: Floats,
    total: Floats,
    weights: Floats,
    accuracy: Floats,
    accuracy_before: Floats,
    latency_s: Floats,
    time_budget_s: float,
    client_energy_j: Floats,
    server_energy_j: Floats,
    first_reached: Bools,
) -> None:
    """Fills [4, N] shipped terms and [N] their sum with weights [4]; client energies are [N, C], all others [N]."""
    for n in range(terms.shape[1]):
        energy_j = server_energy_j[n]
        for i in range(client_energy_j.shape[1]):
            energy_j += client_energy_j[n, i]
        terms[0, n] = accuracy[n] - accuracy_before[n]
        terms[1, n] = -latency_s[n] / time_budget_s
        terms[2, n] = -energy_j
        terms[3, n] = 1.0 if first_reached[n] else 0.0
        total[n] = 0.0
        for term in range(terms.shape[0]):
            total[n] += weights[term] * terms[term, n]


TERMS: Parts[RewardTerm] = Parts(
    "RewardTerm", lambda part: isinstance(part, RewardTerm), {term.name: term for term in SHIPPED}, ScenarioError
)
"""All terms."""

REWARDS: Mapping[str, Mapping[str, float]] = {
    "gain-latency": {"accuracy_gain": 10.0, "latency": 10.0},
    "time-to-target": {"latency": 10.0, "target_reached": 10.0},
    "gain-latency-energy": {"accuracy_gain": 10.0, "latency": 10.0, "energy": 0.1},
}
"""Weights of the terms, by the reward's name; a term that is not named weighs nothing."""


@dataclass(frozen=True)
class Reward:
    """A weighted sum of terms, or a function of one's own."""

    terms: tuple[RewardTerm, ...]
    """All that are reported, the shipped ones first."""
    weights: Mapping[str, float]
    """By the term's name."""
    function: Callable[[Round], Floats] | None = None
    """Instead of the sum."""

    @property
    def is_own(self) -> bool:
        """Whether any part of it is not of the package."""
        return self.function is not None or any(term not in SHIPPED for term in self.terms)

    def of(self, played: Round) -> tuple[Floats, Table]:
        """[N] rewards of a round, and its unweighted terms."""
        worlds = len(played.first_reached)
        shipped, total = np.empty((len(SHIPPED), worlds)), np.empty(worlds)
        _fill_terms(
            shipped,
            total,
            self._shipped_weights,
            played.outcome.accuracy,
            played.before.accuracy,
            played.cost.latency_s,
            played.truth.system.time_budget_s,
            played.cost.client_energy_j,
            played.cost.server_energy_j,
            played.first_reached,
        )
        terms = Table(self._names, shipped)
        for term in self.terms[len(SHIPPED) :]:
            assert term.of is not None
            own = np.asarray(term.of(played))
            total = total + self.weights[term.name] * own
            terms = terms._replace(values=np.concatenate([terms.values, np.broadcast_to(own, (1, worlds))]))
        if self.function is not None:
            total = np.array(np.broadcast_to(np.asarray(self.function(played), np.float64), total.shape))
        return total, terms

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(term.name for term in self.terms)

    @cached_property
    def _shipped_weights(self) -> Floats:
        return np.array([self.weights.get(term.name, 0.0) for term in SHIPPED])


NAMED: Parts[Mapping[str, float]] = Parts("reward", lambda part: isinstance(part, Mapping), REWARDS, ScenarioError)
"""Rewards by name."""


def reward_of(asked: Any) -> Reward:
    """The reward that is asked for.

    Args:
        asked: Name in `REWARDS`; weights by term, a name in `TERMS` or `module:NAME` of one's own; or a function that
            gives the [N] rewards of a `Round` in N worlds.

    Raises:
        ScenarioError: there is none; the message suggests the nearest.
    """
    if callable(asked):
        return Reward(SHIPPED, {}, asked)
    weights: dict[str, float] = {}
    own: list[RewardTerm] = []
    for name, weight in NAMED.find(asked).items():
        term = TERMS.find(name, "reward term")
        if isinstance(weight, bool) or not isinstance(weight, Real) or not isfinite(weight):
            raise ScenarioError(f"reward: weight of {name!r} = {weight!r}, allowed: a finite number")
        if name not in TERMS:
            own.append(term)
        if term.name in weights or (name not in TERMS and term.name in TERMS):
            raise ScenarioError(
                f"reward: term {name!r} has the name {term.name!r} of another one, allowed: another name"
            )
        weights[term.name] = float(weight)
    if not weights:
        raise ScenarioError(f"reward = {asked!r}, allowed: weights of one term or more, or {', '.join(REWARDS)}")
    return Reward((*SHIPPED, *own), weights)
