"""The servers behind the cut: nodes one behind the other, each with an optimiser for the units that it trains."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from splitgym.frameworks.migration import hand_over
from splitgym.frameworks.node import Node
from splitgym.frameworks.placements import Placement, segments_of
from splitgym.scenario import Training
from splitgym.scenario.nodes import BACKHAUL, CLOUD, SERVER


class Stage(NamedTuple):
    """A server on the path."""

    link: str | None
    """Over which it is reached from the server in front of it; None: it is the first."""
    server: Node
    first: int
    """Cut layer in front of its units."""
    last: int
    """Cut layer behind its units; `first`: it has none, and passes on what it gets."""


class Servers:
    """Who trains the units behind the cut.

    All hold the same units, and each trains some of them.

    Args:
        units: Of the whole network.
        placement: The servers, and the last unit of each.
        training: Optimisers and their rates.

    Attributes:
        placement: As placed last.
        stages: The servers in the order of the path.
    """

    def __init__(self, units: Sequence[nn.Module], placement: Placement, training: Training) -> None:
        self._units, self._training = units, training
        self.placement = placement
        self.stages: list[Stage] = []
        self.place(placement, 0, len(units))

    def place(self, placement: Placement, first: int, last: int, kept_from: int | None = None) -> int:
        """From now on the servers of a placement train units first+1..last.

        Args:
            placement: Its nodes, and the last unit of each.
            first: Cut layer in front of all of them.
            last: Cut layer behind all of them.
            kept_from: Units behind it are theirs already, and are handed over by who trained them, with what its
                optimiser remembers; None: nothing is handed over, and whoever gets a unit begins with an empty memory.

        Returns:
            Bytes that are handed over.
        """
        there = dict(zip(self.placement.nodes, (stage.server for stage in self.stages), strict=False))
        before = self._trainers()
        links = [None, *(link_name(*ends) for ends in pairwise(placement.nodes))]
        segments = segments_of(placement, first, last)
        self.stages = [
            Stage(link, there[name] if name in there else self._new(), *bounds)
            for link, (name, *bounds) in zip(links, segments, strict=True)
        ]
        self.placement = placement
        moving = range(last if kept_from is None else kept_from, last)
        after = self._trainers()
        sent = sum(
            hand_over(self._units[unit], before[unit], after[unit])
            for unit in moving
            if before[unit] is not after[unit]
        )
        for stage in self.stages:
            stage.server.train_units(stage.first, stage.last)
        return sent

    def _trainers(self) -> dict[int, Node]:
        """Who trains each unit."""
        return {unit: stage.server for stage in self.stages for unit in range(stage.first, stage.last)}

    def _new(self) -> Node:
        return Node(self._units, self._training.server_learning_rate, self._training)


def link_name(one: str, other: str) -> str:
    """What traffic between two servers is called: by the link that every scenario has, or by the two."""
    return BACKHAUL if {one, other} == {SERVER, CLOUD} else f"{one}-{other}"
