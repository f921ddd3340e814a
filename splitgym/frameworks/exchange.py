"""Models that go down to the clients and up to be averaged: in which rounds, where to, and what of them is charged."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from splitgym.frameworks.plans import Shape
from splitgym.frameworks.resources import Resources
from splitgym.scenario import Scenario
from splitgym.scenario.nodes import SERVER

WITHOUT_MEAN, WITH_MEAN = 1, 2
"""What a decision says of the end of a round; 0: what the scenario says."""
WAYS = 4
"""Rounds at whose start clients fetch models or not, times rounds that end with a mean or not."""


@dataclass(frozen=True)
class Exchange:
    """What goes between clients and those who average; without a fed server in every round the same."""

    node: str = SERVER
    """Where the mean is taken."""
    link: str | None = None
    """Over which models go there from the edge server; None: it is there."""
    fetched: Any = True
    """Whether clients fetch models at the start of the round: of a round; or of each way, [4, 1, ..., 1]."""
    averaged: Any = True
    """Whether the round ends with the mean, likewise."""

    @classmethod
    def of(cls, scenario: Scenario, resources: Resources, fetched: Any = True, averaged: Any = True) -> "Exchange":
        """With the fed server of a scenario, whose resources these are."""
        node = scenario.fed_server.node
        link = None if node == SERVER else resources.names[resources.link_between(SERVER, node)]
        return cls(node, link, fetched, averaged)

    @classmethod
    def in_all_ways(cls, scenario: Scenario, resources: Resources) -> "Exchange":
        """Likewise, in rounds of every way; they are numbered by `way`."""
        ways = np.arange(WAYS).reshape(-1, *[1] * len(get_args(Shape)))
        return cls.of(scenario, resources, ways % 2, ways // 2)


IN_EVERY_ROUND = Exchange()
"""Models go down to the clients and up to the edge server."""


def ends_with_mean(said: Any, round_number: Any, interval: int) -> Any:
    """Whether a round, counted from 1, ends with the mean; of one round or of many.

    Args:
        said: By a decision: WITHOUT_MEAN, WITH_MEAN, or 0.
        round_number: Of the episode.
        interval: Rounds from one mean to the next where a decision does not say it.
    """
    return np.where(np.asarray(said) > 0, np.asarray(said) == WITH_MEAN, np.asarray(round_number) % interval == 0)[()]


def way(fetched: Any, averaged: Any) -> Any:
    """Number of the way, 0..3, of one round or of many."""
    return np.asarray(fetched, np.int64) + 2 * np.asarray(averaged, np.int64)
