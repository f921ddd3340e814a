"""What is to be placed: the units behind the cut for the rows of a round, and what a placement of them takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from splitgym.allocation.placement.graph import EdgeGraph
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.placements import Placement
from splitgym.frameworks.stores import Stores
from splitgym.inputs import InputError, is_whole
from splitgym.models import Memory, NetworkCosts, Profile, optimizer_copies
from splitgym.scenario import Scenario
from splitgym.scenario.nodes import SERVER


class Stages(NamedTuple):
    """Stages of a micro-batch, for kernels; N nodes, and U units behind the cut of which the first 0..U are done."""

    seconds_per_flop: Floats
    """[N]."""
    forward_flops: Floats
    """[U + 1] of so many units together."""
    backward_flops: Floats
    """[U + 1]."""
    bits: Floats
    """[U + 1] that go over a link behind so many units, in each pass."""
    fits: Bools
    """[N, U + 1, U + 1] whether a node has memory and room for the units behind the first number up to the second."""
    seconds_per_bit: Floats
    """[N, N]."""
    delay_s: Floats
    """[N, N]."""
    neighbours: Ints
    """[N, N] see `EdgeGraph`."""
    in_front_s: Floats
    """[2] of the slowest stage in front of a path, forward and backward."""


@dataclass(frozen=True, eq=False)
class PlacementTask:
    """Units behind a cut, which nodes of a graph shall train in a round.

    A pass, forward or backward, takes the first micro-batch through all stages, and each of the other xi - 1 as long as
    the slowest stage. Stages are the nodes, with the cycles of their units, and the links, with the bits behind the
    units done so far. A link's delay is on the way of the first micro-batch alone, as others are sent meanwhile. What
    the first micro-batch takes in front of the path, at clients and over the radio, is the same for all placements and
    not counted; if the slowest stage is there, the others wait for it (`in_front_s`). All forward passes come before
    the first backward pass, so a node holds what is saved of all rows, whatever xi.

    Raises:
        InputError: a setting is out of its range; the message names it.
    """

    graph: EdgeGraph
    profile: Profile
    """Of the whole network, L units."""
    memory: Memory
    rows: int
    """Of all clients together."""
    cut_layer: int
    """j: last unit of the clients, 0..L-1."""
    hops: int
    """H: most nodes of a path, 1..N."""
    first: tuple[str, ...] = ()
    """Nodes at which a path may start; none: any."""
    micro_batches: int = 1
    """xi, 1..rows."""
    optimizer_copies: int = 0
    """Numbers that the optimiser keeps for each weight."""
    in_front_s: tuple[float, float] = (0.0, 0.0)
    """What the slowest stage in front of the path takes for all rows, forward and backward."""
    stores: Stores | None = None
    """What the graph's nodes may store; None: everything."""

    def __post_init__(self) -> None:
        ranges = {
            "rows": (1, None),
            "cut_layer": (0, len(self.profile) - 1),
            "hops": (1, len(self.graph.nodes)),
            "micro_batches": (1, self.rows),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if not is_whole(value) or value < least or (most is not None and value > most):
                allowed = f"{least} or more" if most is None else f"{least}..{most}"
                raise InputError(f"{name} = {value!r} of a placement, allowed: {allowed}")
        if not all(0 <= seconds < np.inf for seconds in self.in_front_s):
            raise InputError(f"in_front_s = {self.in_front_s!r} of a placement, allowed: two finite numbers, 0 or more")
        for name in self.first:
            self.graph.index(name)

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        costs: NetworkCosts,
        cut_layer: int,
        hops: int,
        first: tuple[str, ...] = (SERVER,),
        micro_batches: int = 1,
    ) -> "PlacementTask":
        """The task of a scenario in whose rounds all clients take part, with full mini-batches.

        Args:
            scenario: Its nodes, links, clients and optimiser.
            costs: Of its network.
            cut_layer: As of the record, like the next.
            hops: H.
            first: By default the edge server, where clients' data arrive.
            micro_batches: xi.
        """
        return cls(
            EdgeGraph.of(scenario),
            costs.profile,
            costs.memory,
            rows=scenario.clients.count * scenario.training.batch_size,
            cut_layer=cut_layer,
            hops=hops,
            first=first,
            micro_batches=micro_batches,
            optimizer_copies=optimizer_copies(scenario.training),
            stores=Stores.of(scenario, costs.profile),
        )

    @property
    def units(self) -> int:
        """U, behind the cut."""
        return len(self.profile) - self.cut_layer

    @property
    def starts(self) -> Ints:
        """[F] rows of the nodes at which a path may start."""
        return np.array([self.graph.index(name) for name in self.first or self.graph.nodes])

    @cached_property
    def need_bytes(self) -> Floats:
        """[U + 1, U + 1] memory for the units behind the first number up to the second; 0 where there are none."""
        done = self.cut_layer + np.arange(self.units + 1)
        first, last = np.minimum(done[:, None], done), np.broadcast_to(done, (len(done),) * 2)
        return self.memory.node_bytes(first, last, self.rows, self.optimizer_copies) * (first < last)

    @cached_property
    def has_room(self) -> Bools:
        """[N, U + 1, U + 1] whether a node may store the units behind the first number up to the second."""
        done = self.cut_layer + np.arange(self.units + 1)
        room = np.ones((len(self.graph.nodes), len(done), len(done)), bool)
        if self.stores is not None:
            last = np.maximum(done[:, None], done)
            for node, name in enumerate(self.graph.nodes):
                room[node] = self.stores.needed_bytes(name, done[:, None], last) <= self.stores.limit(name)
        return room

    @cached_property
    def stages(self) -> Stages:
        """Of a micro-batch."""
        rows = self.rows / self.micro_batches
        at_cuts = np.concatenate(([np.inf], self.profile.activation_bits))
        graph, done = self.graph, slice(self.cut_layer, None)
        return Stages(
            seconds_per_flop=graph.seconds_per_flop,
            forward_flops=rows * _until(self.profile.forward_flops[done]),
            backward_flops=rows * _until(self.profile.backward_flops[done]),
            bits=rows * at_cuts[done],
            fits=(self.need_bytes <= graph.memory_bytes[:, None, None]) & self.has_room,
            seconds_per_bit=graph.seconds_per_bit,
            delay_s=graph.delay_s,
            neighbours=graph.neighbours,
            in_front_s=np.array(self.in_front_s) / self.micro_batches,
        )

    def done(self, placement: Placement) -> tuple[int, ...]:
        """[H + 1] units behind the cut that are done in front of each node of a placement, and behind the last."""
        return (0, *(max(bound - self.cut_layer, 0) for bound in placement.bounds), self.units)

    def placement(self, path: Sequence[int], done: Sequence[int]) -> Placement:
        """The placement on some rows of the graph, and with so many units behind the cut done in front of each."""
        return Placement(
            tuple(self.graph.nodes[node] for node in path), tuple(self.cut_layer + units for units in done[1:])
        )

    def seconds(self, placement: Placement) -> float:
        """Of both passes through a placement.

        Raises:
            InputError: a node is unknown, or there is no link between two that follow each other.
        """
        for ends in pairwise(placement.nodes):
            if not self.graph.joins(*ends):
                raise InputError(
                    f"nodes {ends[0]!r} and {ends[1]!r} of a placement have no link, allowed: nodes that a link joins"
                )
        nodes, done, s = [self.graph.index(name) for name in placement.nodes], self.done(placement), self.stages
        links = [s.bits[at] * s.seconds_per_bit[ends] for ends, at in zip(pairwise(nodes), done[1:-1], strict=True)]
        total = 2 * sum(links) + 2 * sum(s.delay_s[ends] for ends in pairwise(nodes))
        for flops, in_front_s in zip((s.forward_flops, s.backward_flops), s.in_front_s, strict=True):
            trained = s.seconds_per_flop[nodes] * np.diff(flops[list(done)])
            total += trained.sum() + (self.micro_batches - 1) * max([in_front_s, *trained, *links])
        return float(total)


def _until(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))
