"""What nodes may store of a network, what they store when an episode begins, and what they fetch of it then."""

from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.frameworks.resources import Resources
from splitgym.frameworks.storage import Storage, Unit
from splitgym.models import Profile
from splitgym.parts import suggest
from splitgym.scenario import Scenario, ScenarioError, nodes_of
from splitgym.scenario.nodes import SERVER, NodeRow
from splitgym.scenario.sections import Server


class Fetches(NamedTuple):
    """What each of the resources' Q rows fetches before it trains a unit for the first time; all [Q, L].

    0 of units that the node stores, of rows that are no nodes, and where everybody knows the initial weights.
    """

    seconds: Floats
    bits: Floats
    sent_bits: Floats
    """Over all links together."""


class Stores(NamedTuple):
    """Of N nodes and L units: weights and running statistics, one copy of each unit at a node."""

    nodes: tuple[str, ...]
    """[N] names."""
    limit_bytes: Floats
    """[N] what each may store; inf: everything."""
    stored: Bools
    """[N, L] what it stores when an episode begins, and keeps."""
    unit_bytes: Floats
    """[L]."""
    origin: str | None
    """The node that stores all units then; None: everybody knows the initial weights."""

    @classmethod
    def of(cls, scenario: Scenario, profile: Profile) -> Self:
        """Those of a scenario and its network.

        Raises:
            ScenarioError: a node stores a unit that is not there, or more than it may; or the origin is no node.
        """
        rows: dict[str, Server | NodeRow] = {SERVER: scenario.server, **{row.name: row for row in nodes_of(scenario)}}
        origin, unit_bytes = scenario.placement.origin, profile.model_bits / 8
        if origin is not None and origin not in rows:
            raise ScenarioError(f"placement.origin = {origin!r} is unknown, {suggest(origin, tuple(rows))}")
        stored = np.zeros((len(rows), len(unit_bytes)), bool)
        for own, (name, row) in zip(stored, rows.items(), strict=True):
            for unit in row.stored_units:
                if not 1 <= unit <= len(own):
                    raise ScenarioError(
                        f"stored_units of node {name!r} = {list(row.stored_units)}, allowed: 1..{len(own)}, the "
                        "units of the network"
                    )
                own[unit - 1] = True
            own[:] = own | (name == origin)
            if row.storage_bytes is not None and row.storage_bytes < unit_bytes[own].sum():
                raise ScenarioError(
                    f"storage_bytes of node {name!r} = {row.storage_bytes:.0f}, allowed: at least "
                    f"{unit_bytes[own].sum():.0f}, the units that it stores when an episode begins"
                )
        limits = [np.inf if row.storage_bytes is None else row.storage_bytes for row in rows.values()]
        return cls(tuple(rows), np.array(limits), stored, unit_bytes, origin)

    def limit(self, node: str) -> float:
        """Bytes that a node may store; inf: everything."""
        return float(self.limit_bytes[self.nodes.index(node)])

    def needed_bytes(self, node: str, first: Any, last: Any) -> Floats:
        """Bytes that a node stores while it trains units first+1..last, arrays that broadcast.

        A unit that it stores anyway counts once.
        """
        stored = self.stored[self.nodes.index(node)]
        more = np.concatenate(([0.0], np.cumsum(self.unit_bytes * ~stored)))
        whole: Floats = self.unit_bytes[stored].sum() + more[last] - more[first]
        return whole

    def fetches(self, resources: Resources) -> Fetches:
        """Each unit comes from the node that stores it with the fewest seconds for a bit on the way.

        Raises:
            ScenarioError: no links lead from the origin to the edge server.
        """
        found = Fetches(*np.zeros((3, len(resources.names), len(self.unit_bytes))))
        if self.origin is None:
            return found
        resources.routes.between(self.origin, SERVER)
        nodes = [name for name in self.nodes if resources.routes.joins(self.origin, name)]
        ways = [[resources.routes.between(one, other) for other in nodes] for one in nodes]
        bits = 8 * self.unit_bytes
        storage = Storage(
            nodes,
            np.full(len(nodes), np.inf),
            self.origin,
            np.array([[way.s_per_bit for way in row] for row in ways]),
            np.array([[len(way.links) for way in row] for row in ways]),
            {"network": [Unit(str(number), float(each)) for number, each in enumerate(bits, 1)]},
        )
        nearest = storage.nearest(self.stored[[self.nodes.index(name) for name in nodes]])
        for to, name in enumerate(nodes):
            row = resources.index(name)
            for unit, source in enumerate(nearest[to].tolist()):
                way = ways[source][to]
                found.seconds[row, unit] = bits[unit] * way.s_per_bit + way.delay_s
                found.bits[row, unit] = bits[unit] * (source != to)
                found.sent_bits[row, unit] = bits[unit] * len(way.links)
        return found
