"""What the nodes of a round need of memory and of storage under every plan, and how much of it they have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Workload, by_level
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.segments import Bound, Segment, Segments, Weights
from splitgym.frameworks.stores import Stores
from splitgym.models import Memory, optimizer_copies
from splitgym.scenario import Scenario, ScenarioError
from splitgym.scenario.nodes import CLIENT, SERVER, nodes_of
from splitgym.scenario.quantities import FULL_BITS

if TYPE_CHECKING:
    from splitgym.frameworks.framework import Framework

EVERYBODY = 2**31
"""More clients than there are."""


@dataclass(frozen=True, eq=False)
class MemoryNeeds:
    """Bytes under each of G plans: of a client, and of S nodes whose memory, or storage, is limited.

    A node that serves n clients (of a slot) needs `once + per_participant * n`. Where clients have plans of their own,
    it needs the largest of their `once`, and the sum of their `per_participant`.
    """

    client: Floats
    """[G] of a client."""
    nodes: tuple[str, ...]
    """[S] names."""
    once: Floats
    """[S, G]"""
    per_participant: Floats
    """[S, G]"""
    limit: Floats
    """[S] what each node has."""
    plans: PlanGrid
    storage: tuple[bool, ...] = ()
    """[S] whether it is of a node's storage, which no client needs more of, and not of its memory."""

    @classmethod
    def of(
        cls, scenario: Scenario, framework: "Framework", memories: Sequence[Memory], workload: Workload
    ) -> "MemoryNeeds | None":
        """The needs of a framework's round; None: the scenario has no limits.

        Args:
            scenario: Its limits.
            framework: Its segments.
            memories: Of the whole network, and [Q] with the channels that clients may keep.
            workload: Of the network.

        Raises:
            ScenarioError: a limit is below what any plan needs of it.
        """
        limits = {SERVER: scenario.server.memory_bytes} | {row.name: row.memory_bytes for row in nodes_of(scenario)}
        most = scenario.clients.memory_max_bytes
        stores = None if workload.placed is None else workload.placed.stores
        unlimited = all(limit is None for limit in limits.values())
        if most is None and unlimited and (stores is None or np.isinf(stores.limit_bytes).all()):
            return None
        table = _Table(scenario, framework, memories, workload)
        client, of_nodes = np.zeros(workload.plans.table_shape), list[Any]()
        for node, copied, first, last in table.held(framework.segments):
            if node == CLIENT:
                client = client + table.of_client(first, last)
            elif (limit := limits[node]) is not None:
                of_nodes.append((node, limit, *table.of_server(first, last, copied)))
        in_memory = len(of_nodes)
        of_nodes += table.stored(stores)
        plans = workload.plans
        tables = np.array([of_node[2:] for of_node in of_nodes]).reshape(-1, 2, client.size)
        needs = cls(
            client=client.ravel(),
            nodes=tuple(name for name, *_ in of_nodes),
            once=np.ascontiguousarray(tables[:, 0]),
            per_participant=np.ascontiguousarray(tables[:, 1]),
            limit=np.array([limit for _, limit, *_ in of_nodes], np.float64),
            plans=plans,
            storage=tuple(row >= in_memory for row in range(len(of_nodes))),
        )
        _check_possible(needs, most)
        return needs

    def holding(
        self, codec: int, precision: int, batch_size: int | None, placement: int, plans: PlanGrid
    ) -> "MemoryNeeds":
        """Those of the plans with one codec, precision, batch size and placement, which make the grid `plans`."""
        chosen = self.plans.holds(codec, precision, batch_size, placement)
        return replace(
            self,
            client=self.client[chosen],
            once=self.once[:, chosen],
            per_participant=self.per_participant[:, chosen],
            plans=plans,
        )

    def lacks_room(self, plan: int) -> str:
        """Which node may not store its units under a plan, in words; empty: all may."""
        for name, stores, once, limit in zip(self.nodes, self.storage, self.once, self.limit, strict=True):
            if stores and once[plan] > limit:
                return f"node {name} may store {limit:.0f} bytes, and its units take {once[plan]:.0f}"
        return ""

    @cached_property
    def most_clients(self) -> Ints:
        """[G] clients that the nodes can serve at the same time, if all follow the plan."""
        left = self.limit[:, None] - self.once
        count = np.full(left.shape, float(EVERYBODY))
        np.floor_divide(left, self.per_participant, out=count, where=self.per_participant > 0)
        count[left < 0] = 0
        return count.min(0, initial=EVERYBODY).astype(np.int64)

    @cached_property
    def of_cut(self) -> Floats:
        """[L - 1] what a client needs at each cut layer at least; inf: no plan is possible there."""
        possible = np.where(self.most_clients > 0, self.client, np.inf)
        least: Floats = self.plans.by_cut(possible).min(1)
        return least

    def cuts_for(self, memory_bytes: Any) -> Bools:
        """[..., L - 1] cut layers at which clients with so much memory, [...], can take part."""
        fits: Bools = np.isfinite(self.of_cut) & (self.of_cut <= np.asarray(memory_bytes)[..., None])
        return fits

    def cuts_until(self, deepest: Ints) -> Bools:
        """[..., L - 1] likewise of clients with the memory for cut layers up to these, [...]."""
        fits: Bools = np.isfinite(self.of_cut) & (np.arange(1, len(self.of_cut) + 1) <= deepest[..., None])
        return fits

    def batches_until(self, deepest: Ints, sizes: Ints) -> Bools:
        """[..., K] which batch sizes, [K], clients with the memory for cut layers up to these, [...], may have."""
        return self._fits_until(deepest, [self.plans.batch_size == size for size in sizes])

    def placements_until(self, deepest: Ints) -> Bools:
        """[..., K] which placements clients with the memory for cut layers up to these, [...], may have."""
        return self._fits_until(deepest, [self.plans.placement == k for k in range(self.plans.placements)])

    def _fits_until(self, deepest: Ints, choices: Sequence[Bools]) -> Bools:
        """[..., K] which of K choices, each [G] plans, clients with the memory for cut layers up to these may have.

        A client lacks the memory for all deeper cut layers, so none that needs as much at every cut layer.
        """
        possible = np.where(self.most_clients > 0, self.client, np.inf)
        least = np.array([possible[plans].min() for plans in choices])
        of_deeper = np.append(np.minimum.accumulate(self.of_cut[::-1])[::-1], np.inf)
        fits: Bools = least < of_deeper[deepest][..., None]
        return fits


class _Table:
    """Values of `Memory` over the grid of plans, for a framework in a scenario."""

    def __init__(
        self, scenario: Scenario, framework: "Framework", memories: Sequence[Memory], workload: Workload
    ) -> None:
        self._memory, *self._of_levels = memories
        self._workload, self._shape = workload, workload.plans.table_shape
        self._copies = optimizer_copies(scenario.training)
        # Plans that leave no row of a mini-batch are in the grid, but not allowed.
        self._rows = np.maximum(framework.rows(workload), 1).astype(np.int64)
        self._recompute = scenario.clients.recompute
        self._joint = framework.joint_batch
        self._statistics_apart = scenario.training.batch_statistics == "per-client"

    def held(self, segments: Segments) -> Iterator[tuple[str, bool, Any, Any]]:
        """Nodes, whether each client has a copy there, and cut layers in front of their units and behind them.

        With placements the units of the last segment lie on all nodes of these.
        """
        first: Any = 0
        placed, cut = self._workload.placed, self._workload.cut_layer
        for segment in segments if placed is None else segments[:-1]:
            last = self.behind(segment)
            yield segment.node, segment.weights is Weights.AVERAGED, first, last
            first = last
        if placed is not None:
            for node in placed.nodes:
                front, behind = placed.held_by(node)
                yield node, False, np.maximum(cut, front), np.maximum(cut, behind)

    def stored(self, stores: Stores | None) -> list[tuple[str, float, Floats, Floats]]:
        """Nodes on any path whose storage is limited: name, limit, and bytes under each plan, whoever takes part."""
        placed, cut = self._workload.placed, self._workload.cut_layer
        found = list[tuple[str, float, Floats, Floats]]()
        if placed is None or stores is None:
            return found
        for node in placed.nodes:
            if np.isfinite(limit := stores.limit(node)):
                front, behind = placed.held_by(node)
                need = stores.needed_bytes(node, np.maximum(cut, front), np.maximum(cut, behind))
                whole = np.broadcast_to(need, self._shape).ravel()
                found.append((node, limit, whole, np.zeros_like(whole)))
        return found

    def behind(self, segment: Segment) -> Any:
        """Cut layer behind a segment, as work of a `Phase` is given."""
        cut = self._workload.cut_layer
        least = cut + self._workload.plans.tails
        bounds = {Bound.CUT: cut, Bound.SECOND_CUT: np.maximum(least, self._workload.second_cut)}
        return bounds.get(segment.until, len(self._memory))

    def of_client(self, first: Any, last: Any) -> Floats:
        """[grid] what a client needs for units first+1..last."""
        need = by_level(
            [
                memory.node_bytes(first, last, self._rows, self._copies, recompute=self._recompute)
                for memory in self._of_levels
            ]
        )
        return np.broadcast_to(need * (self._workload.precision.bits / FULL_BITS), self._shape)

    def of_server(self, first: Any, last: Any, copied: bool) -> tuple[Floats, Floats]:
        """[G] what a node needs for units first+1..last beside its clients, and more for each of them.

        Rows of all clients are there at once where they are one batch. Otherwise one client is served after the other
        by one model, or each by a copy (`copied`), with an optimiser of its own.
        """
        one = self._with_clients(1, first, last)
        if copied:
            return np.zeros_like(one), one
        if not self._joint:
            return one, np.zeros_like(one)
        each = self._with_clients(2, first, last) - one
        return one - each, each

    def _with_clients(self, count: int, first: Any, last: Any) -> Floats:
        """[G] what a node needs with the rows of so many clients."""
        batches = count if self._statistics_apart else 1
        need = self._memory.node_bytes(first, last, count * self._rows, self._copies, batches=batches)
        return np.broadcast_to(need, self._shape).ravel()


def _check_possible(needs: MemoryNeeds, client_most: float | None) -> None:
    """Raises a ScenarioError if a limit leaves no plan."""
    rows = zip(needs.nodes, needs.storage, needs.once, needs.per_participant, needs.limit, strict=True)
    for name, stores, once, each, limit in rows:
        least = (once + each).min()
        if least > limit:
            what, who = ("storage", "its units take") if stores else ("memory", "one client's mini-batch needs")
            raise ScenarioError(
                f"{what} of node {name!r} = {limit:.0f} bytes, allowed: at least {least:.0f}, which {who} there"
            )
    possible = needs.most_clients > 0
    if not possible.any():
        what = " and storage" * any(needs.storage)
        nodes = ", ".join(dict.fromkeys(needs.nodes))
        raise ScenarioError(f"memory{what} of nodes {nodes}: no plan fits into all of them, allowed: more")
    least = needs.client[possible].min()
    if client_most is not None and least > client_most:
        raise ScenarioError(
            f"clients.memory_max_bytes = {client_most:.0f}, allowed: at least {least:.0f}, which a client needs at "
            "the cut layer that needs the least"
        )
