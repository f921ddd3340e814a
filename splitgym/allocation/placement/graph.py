"""The edge network as a graph: what a FLOP takes at each node and a bit over each link."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.inputs import InputError
from splitgym.parts import suggest
from splitgym.scenario import Scenario, links_of, nodes_of
from splitgym.scenario.nodes import SERVER


@dataclass(frozen=True, eq=False)
class EdgeGraph:
    """N nodes and the links between them; a link has the same rate in each direction, both at the same time."""

    nodes: tuple[str, ...]
    """[N] names."""
    seconds_per_flop: Floats
    """[N] kappa / f."""
    memory_bytes: Floats
    """[N] for training; inf: no limit."""
    seconds_per_bit: Floats
    """[N, N] inf: no link."""
    delay_s: Floats
    """[N, N] seconds that a bit is on its way, beside the time to send it."""

    @classmethod
    def of(cls, scenario: Scenario) -> "EdgeGraph":
        """Edge server, cloud, and the rows of `nodes`."""
        behind, server = nodes_of(scenario), scenario.server
        names = (SERVER, *(row.name for row in behind))
        per_bit, delay_s = np.full((len(names),) * 2, np.inf), np.zeros((len(names),) * 2)
        for link in links_of(scenario):
            # Links of base stations lead to the first node of a path, not along it.
            if len(set(link.ends) & set(names)) == 2:
                one, other = (names.index(end) for end in link.ends)
                per_bit[one, other] = per_bit[other, one] = 1 / link.bits_per_s
                delay_s[one, other] = delay_s[other, one] = link.delay_s
        kappa = [server.cycles_per_flop, *(row.cycles_per_flop for row in behind)]
        speed = [server.compute_hz, *(row.compute_hz for row in behind)]
        memory = [server.memory_bytes, *(row.memory_bytes for row in behind)]
        return cls(
            nodes=names,
            seconds_per_flop=np.array(kappa) / np.array(speed),
            memory_bytes=np.array([np.inf if limit is None else limit for limit in memory]),
            seconds_per_bit=per_bit,
            delay_s=delay_s,
        )

    def index(self, node: str) -> int:
        """The row of a node.

        Raises:
            InputError: there is none of that name; the message suggests the nearest.
        """
        if node not in self.nodes:
            raise InputError(f"node {node!r} of a placement is unknown, {suggest(node, self.nodes)}")
        return self.nodes.index(node)

    def joins(self, one: str, other: str) -> bool:
        """Whether a link joins two nodes; raises as `index`."""
        return bool(np.isfinite(self.seconds_per_bit[self.index(one), self.index(other)]))

    @cached_property
    def neighbours(self) -> Ints:
        """[N, N] the nodes that each has a link to, in their order; then -1."""
        table = np.full((len(self.nodes),) * 2, -1)
        for node, joined in enumerate(np.isfinite(self.seconds_per_bit)):
            table[node, : joined.sum()] = np.flatnonzero(joined)
        return table

    def within(self, first: int, steps: int) -> set[int]:
        """Nodes that at most so many links lead to from one of them."""
        reached = {first}
        for _ in range(steps):
            reached |= {int(other) for node in reached for other in self.neighbours[node] if other >= 0}
        return reached
