"""Rewards: named terms of a round, and the weights with which they are summed."""

from collections.abc import Mapping

import numpy as np

from splitgym.envs.world import Round
from splitgym.network.worlds import Bools, Floats
from splitgym.scenario import Scenario, ScenarioError
from splitgym.scenario.errors import suggest

REWARDS: Mapping[str, Mapping[str, float]] = {
    "gain-latency": {"accuracy_gain": 10.0, "latency": 10.0},
    "time-to-target": {"latency": 10.0, "target_reached": 10.0},
    "gain-latency-energy": {"accuracy_gain": 10.0, "latency": 10.0, "energy": 0.1},
}
"""Weights of the terms, by the reward's name; a term that is not named weighs nothing."""


def reward_weights(name: str) -> Mapping[str, float]:
    """The weights of the reward of that name.

    Raises:
        ScenarioError: there is none; the message suggests the nearest.
    """
    if not isinstance(name, str) or name not in REWARDS:
        raise ScenarioError(f"reward = {name!r} is unknown, {suggest(str(name), REWARDS)}")
    return REWARDS[name]


def reward_terms(scenario: Scenario, played: Round, first_reached: Bools) -> dict[str, Floats]:
    """The unweighted terms of a round, [N] each.

    Returns:
        accuracy_gain: test accuracy now minus before, -1..1; latency: minus the share of the time budget that the
        round took; energy: minus the joules of clients and server; target_reached: 1 in the round that reaches the
        target, else 0.
    """
    cost = played.cost
    return {
        "accuracy_gain": played.outcome.accuracy - played.before.accuracy,
        "latency": -cost.latency_s / scenario.episode.time_budget_s,
        "energy": -(cost.client_energy_j.sum(-1) + cost.server_energy_j),
        "target_reached": first_reached.astype(np.float64),
    }


def weighted(terms: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """[N] rewards."""
    return sum((weight * terms[name] for name, weight in weights.items()), np.zeros(1))
