"""The three architectures: who trains behind the cut, and which second cut makes the shortest round."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.cells import ENDLESS_S, random_states
from splitgym.allocation import allocate
from splitgym.envs.system import system_of
from splitgym.frameworks import Framework, get
from splitgym.scenario import Scenario, build
from splitgym.timing import round_cost
from splitgym.types import Plan

THREE_TIERS, USER_EDGE, USER_CLOUD = "user-edge-cloud", "user-edge", "user-cloud"
ARCHITECTURES = (THREE_TIERS, USER_EDGE, USER_CLOUD)

Fields = Mapping[str, Mapping[str, Any]]


def framework_of(architecture: str) -> Framework:
    """PSL where there is no cloud."""
    return get("psl" if architecture == USER_EDGE else "hierarchical")


def scenario_of(architecture: str, fields: Fields) -> Scenario:
    """The preset with some fields replaced; nobody is left out of a round, however long it takes."""
    scenario = build(build("three-tier", fields), {"episode": {"round_timeout_s": ENDLESS_S}})
    second_cut = 0 if architecture == USER_CLOUD else shortest_second_cut(scenario)
    return build(scenario, {"cloud": {"cut_layer": second_cut}})


def shortest_second_cut(scenario: Scenario) -> int:
    """The second cut behind the first units of the edge server with the shortest round, by trying all.

    What is behind the cut takes as long for every channel, and for every cut layer in front of the second cut but for
    what that takes away from all alike: one cell and one cut layer say it for all.
    """
    seconds = {}
    for second_cut in range(2, system_of(scenario, get("psl")).cut_layers + 1):
        (state,) = random_states(build(scenario, {"cloud": {"cut_layer": second_cut}}), get("hierarchical"), [0])
        seconds[second_cut] = round_cost(state, allocate(state, Plan(1, 0.0), np.ones_like(state.available))).latency_s
    return min(seconds, key=lambda second_cut: float(seconds[second_cut]))
