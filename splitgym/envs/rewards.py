"""Rewards: named terms of a round, and the weights with which they are summed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np

from splitgym.arrays import Floats
from splitgym.envs.world import Round
from splitgym.parts import Parts
from splitgym.scenario import ScenarioError


@dataclass(frozen=True)
class RewardTerm:
    """A term of rewards, unweighted."""

    name: str
    """Under which `info["reward_terms"]` shows it."""
    text: str
    """What it is, in a sentence."""
    of: Callable[[Round], Floats]
    """[N] values of a round in N worlds."""


def accuracy_gain(played: Round) -> Floats:
    """Test accuracy now minus before."""
    return np.asarray(played.outcome.accuracy - played.before.accuracy)


def latency(played: Round) -> Floats:
    """Minus the fraction of the time budget that the round took."""
    return -played.cost.latency_s / played.truth.system.time_budget_s


def energy(played: Round) -> Floats:
    """Minus the joules of clients and server."""
    return -(played.cost.client_energy_j.sum(-1) + played.cost.server_energy_j)


def target_reached(played: Round) -> Floats:
    """1 in the round that reaches the target accuracy, else 0."""
    return played.first_reached.astype(np.float64)


SHIPPED = (
    RewardTerm("accuracy_gain", "test accuracy now minus before, -1..1", accuracy_gain),
    RewardTerm("latency", "minus the fraction of the time budget that the round took", latency),
    RewardTerm("energy", "minus the joules of clients and server", energy),
    RewardTerm("target_reached", "1 in the round that reaches the target accuracy, else 0", target_reached),
)
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
    """All that are reported."""
    weights: Mapping[str, float]
    """By the term's name."""
    function: Callable[[Round], Floats] | None = None
    """Instead of the sum."""

    @property
    def is_own(self) -> bool:
        """Whether any part of it is not of the package."""
        return self.function is not None or any(term not in SHIPPED for term in self.terms)

    def terms_of(self, played: Round) -> dict[str, Floats]:
        """The unweighted terms of a round, [N] each."""
        return {term.name: np.asarray(term.of(played)) for term in self.terms}

    def total(self, played: Round, terms: Mapping[str, Floats]) -> Floats:
        """[N] rewards of a round with these terms."""
        if self.function is not None:
            return np.broadcast_to(np.asarray(self.function(played), np.float64), played.cost.latency_s.shape)
        return sum((weight * terms[name] for name, weight in self.weights.items()), np.zeros(1))


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
