"""What is busy in the phases of a round: resources of the cell, and nodes and links behind it, as rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.parts import suggest
from splitgym.scenario import LinkRow, Routes, Scenario, ScenarioError, links_of, nodes_of
from splitgym.scenario.nodes import CLIENT, SERVER


class Resource(IntEnum):
    """The resources of every cell, the first rows of the table; each world has its own speeds of them.

    A client has CLIENT, UPLINK and UNICAST by itself; SERVER and BROADCAST are common to all.
    """

    CLIENT = 0
    """The client's processor; work in cycles."""
    UPLINK = 1
    """The client's own subchannels towards the server; work in bits."""
    UNICAST = 2
    """The client's own subchannels from the server; work in bits."""
    SERVER = 3
    """The edge server's processor; work in cycles."""
    BROADCAST = 4
    """The whole band, at the rate of the worst client that takes part; work in bits."""


RELOCATION, PIPELINE = WAITS = ("relocation", "pipeline")
"""The last rows of the table, whose work is seconds, for all: units move between nodes; micro-batches that follow the
first one go through the round."""


class Barrier(IntEnum):
    """What a common phase waits for. Static shares make every common phase wait for all; on demand this counts."""

    NONE = 0
    """It serves each client as soon as that client's data are there."""
    ALL = 1
    """It starts when the data of all clients are there."""


@dataclass(frozen=True, eq=False)
class Resources:
    """The table: the rows of `Resource`, a node's processor (work in cycles) or a wired link (bits) in each, `WAITS`.

    All arrays are [Q]; entries of the first rows are 0, as each world has its own.
    """

    names: tuple[str, ...]
    speed: Floats
    """Cycles/s, or bits/s in each direction; 1 where work is seconds."""
    capacitance: Floats
    """xi, J s^2/cycle^3; 0 for links, whose energy is not counted."""
    is_link: Bools
    """Whether it is a wired link."""
    delay_s: Floats
    """Seconds that whatever is sent over a link needs beside its bits."""
    cycles_per_flop: dict[str, float]
    """kappa of each node, clients and edge server included, cycles/FLOP."""
    links: tuple[LinkRow, ...]
    """The wired links."""
    routes: Routes
    """The wired ways over them."""

    @classmethod
    def of(cls, scenario: Scenario) -> "Resources":
        """The table of a scenario.

        Raises:
            ScenarioError: two rows have the same name, or a link ends at a node that is not there.
        """
        nodes, links = nodes_of(scenario), links_of(scenario)
        cell = tuple(resource.name.lower() for resource in Resource)
        names = (*cell, *(node.name for node in nodes), *(link.name for link in links), *WAITS)
        stations = (row.name for row in scenario.stations)
        _check_rows(names, links, (CLIENT, SERVER, *(node.name for node in nodes), *stations))
        none, no_links, waits = [0.0] * len(cell), [0.0] * len(links), [0.0] * len(WAITS)
        kappa = {CLIENT: scenario.clients.cycles_per_flop, SERVER: scenario.server.cycles_per_flop}
        return cls(
            names=names,
            speed=np.array(
                [*none, *(node.compute_hz for node in nodes), *(link.bits_per_s for link in links), *[1.0] * len(waits)]
            ),
            capacitance=np.array([*none, *(node.switched_capacitance for node in nodes), *no_links, *waits]),
            is_link=np.array([False] * (len(cell) + len(nodes)) + [True] * len(links) + [False] * len(waits)),
            delay_s=np.array([*none, *[0.0] * len(nodes), *(link.delay_s for link in links), *waits]),
            cycles_per_flop=kappa | {node.name: node.cycles_per_flop for node in nodes},
            links=links,
            routes=Routes.of(scenario),
        )

    def index(self, resource: "Resource | str") -> int:
        """The row of a resource.

        Raises:
            ScenarioError: there is none of that name; the message suggests the nearest.
        """
        if isinstance(resource, Resource):
            return int(resource)
        if resource not in self.names:
            raise ScenarioError(f"resource {resource!r} of a phase is unknown, {suggest(resource, self.names)}")
        return self.names.index(resource)

    def link_between(self, one: str, other: str) -> int:
        """The row of the link between two nodes; -1: there is none."""
        for link in self.links:
            if {one, other} == set(link.ends):
                return self.names.index(link.name)
        return -1

    @cached_property
    def ways(self) -> tuple[Floats, Floats, Floats]:
        """[Q, Q] from one node to another: seconds per bit, seconds of delay, and number of links.

        0 where no links lead there, and for rows that are no nodes.
        """
        found, nodes = np.zeros((3, len(self.names), len(self.names))), [*self.cycles_per_flop]
        rows = [self.names.index(name) for name in nodes]
        for one, name in zip(rows, nodes, strict=True):
            for other, end in zip(rows, nodes, strict=True):
                if name != CLIENT != end and self.routes.joins(name, end):
                    route = self.routes.between(name, end)
                    found[:, one, other] = route.s_per_bit, route.delay_s, len(route.links)
        s_per_bit, delay_s, links = found
        return s_per_bit, delay_s, links


def _check_rows(names: Sequence[str], links: Sequence[LinkRow], nodes: Sequence[str]) -> None:
    """Raises a ScenarioError if two rows have the same name, or a link ends where it begins, or at no node."""
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"rows of nodes or links have the name {name!r}, allowed: names that nothing else has")
    for link in links:
        for end in link.ends:
            if end not in nodes:
                raise ScenarioError(f"links, row {link.name!r}: no node {end!r}, {suggest(end, nodes)}")
        if len(set(link.ends)) == 1:
            raise ScenarioError(f"links, row {link.name!r}: ends = {list(link.ends)}, allowed: two that differ")


def check_nodes(names: Sequence[str], resources: Resources) -> None:
    """Raises a ScenarioError if units are trained at a node that a scenario does not have."""
    for name in names:
        if name not in resources.cycles_per_flop:
            raise ScenarioError(
                f"node {name!r} of a framework's segment is unknown, {suggest(name, tuple(resources.cycles_per_flop))}"
            )
