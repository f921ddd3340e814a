"""Placements as tables: who holds which unit, and what a unit weighs that moves from one node to another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.placements import Placement, segments_of
from splitgym.frameworks.plans import AXES_BEHIND
from splitgym.frameworks.resources import Resources
from splitgym.frameworks.stores import Fetches, Stores
from splitgym.models import Profile
from splitgym.scenario.nodes import SERVER

AT_CLIENTS, NONE_YET = -1, -2
"""In place of the node that holds a unit: clients do; or nobody has trained it yet, and nodes may have to fetch it."""


@dataclass(frozen=True, eq=False)
class Placed:
    """K placements of a network of L units on paths of up to H nodes. A node without units only passes data on."""

    placements: tuple[Placement, ...]
    unit_bits: Floats
    """[L] weights, running statistics, and what the optimiser remembers of the weights: what moves with a unit."""
    resources: Resources
    stores: Stores | None = None
    """What nodes may store; None: everything."""

    @classmethod
    def at_server(cls, profile: Profile, resources: Resources) -> "Placed":
        """All units behind the cut at the edge server."""
        return cls((Placement((SERVER,), ()),), profile.model_bits, resources)

    @property
    def units(self) -> int:
        """L."""
        return len(self.unit_bits)

    def of(self, decided: Any, worlds: int) -> tuple[Placement, ...]:
        """[N] placements of so many worlds, from their indices, [N] or one for all."""
        return tuple(self.placements[index] for index in np.broadcast_to(decided, worlds).tolist())

    @property
    def first(self) -> tuple[str, ...]:
        """[K] the first node of each."""
        return tuple(each.nodes[0] for each in self.placements)

    @property
    def hops(self) -> int:
        """H."""
        return max(len(each.nodes) for each in self.placements)

    def bound(self, hop: int) -> Ints:
        """[K, 1, ..., 1] last unit of node `hop` (from 1) or one before it; 0: of none, L: nothing follows.

        It broadcasts against tables over all plans.
        """
        last = [(0, *each.bounds, *[self.units] * (self.hops - len(each.bounds)))[hop] for each in self.placements]
        return _of_each(last)

    def ends(self, hop: int) -> Ints:
        """[K, 1, ..., 1] 1 where node `hop` (from 1) is the last one of the path, else 0."""
        return _of_each([len(each.nodes) == hop for each in self.placements])

    def goes_on(self, hop: int) -> Ints:
        """[K, 1, ..., 1] 1 where another node follows node `hop` (from 1), else 0."""
        return _of_each([len(each.nodes) > hop for each in self.placements])

    def node(self, hop: int) -> tuple[str, ...]:
        """[K] name of node `hop` (from 1); of shorter paths that of the first, which has nothing to do there."""
        return tuple(each.nodes[hop - 1 if hop <= len(each.nodes) else 0] for each in self.placements)

    def link(self, hop: int) -> tuple[str, ...]:
        """[K] name of the link behind node `hop` (from 1); where no node follows that of the first node, likewise."""
        ends = [each.nodes[hop - 1 : hop + 1] for each in self.placements]
        rows = [self.resources.link_between(*pair) if len(pair) == 2 else -1 for pair in ends]
        return tuple(
            each.nodes[0] if row < 0 else self.resources.names[row]
            for each, row in zip(self.placements, rows, strict=True)
        )

    def relative_cycles(self, hop: int) -> Any:
        """[K, 1, ..., 1] cycles of node `hop` (from 1) for each of the edge server's."""
        kappa = self.resources.cycles_per_flop
        return _of_each([kappa[name] / kappa[SERVER] for name in self.node(hop)])

    def held_by(self, node: str) -> tuple[Ints, Ints]:
        """[K, 1, ..., 1] bounds in front of the units of a node and behind them; equal where it has none."""
        first, last = [], []
        for each in self.placements:
            held = {name: bounds for name, *bounds in segments_of(each, 0, self.units)}
            in_front, behind = held.get(node, (self.units, self.units))
            first.append(in_front)
            last.append(behind)
        return _of_each(first), _of_each(last)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes on any path."""
        return tuple(dict.fromkeys(node for each in self.placements for node in each.nodes))

    @cached_property
    def holder(self) -> Ints:
        """[K, L] the row among the resources of the node that holds each unit, if it lies behind the cut."""
        table = np.empty((len(self.placements), self.units), np.int64)
        for row, each in zip(table, self.placements, strict=True):
            for name, first, last in segments_of(each, 0, self.units):
                row[first:last] = self.resources.index(name)
        return table

    @cached_property
    def fetches(self) -> Fetches:
        """What nodes fetch before they train units that nobody has trained yet."""
        if self.stores is None:
            return Fetches(*np.zeros((3, len(self.resources.names), self.units)))
        return self.stores.fetches(self.resources)

    @property
    def moves(self) -> bool:
        """Whether units may have to move before a round."""
        return len(self.placements) > 1 or bool(self.fetches.bits.any())

    def holding(self, placement: int) -> "Placed":
        """With one placement alone."""
        return replace(self, placements=(self.placements[placement],))


def _of_each(values: Sequence[float]) -> Any:
    """[K, 1, ..., 1] what placements have, in front of the other factors of a plan."""
    return np.array(values).reshape(-1, *[1] * AXES_BEHIND)
