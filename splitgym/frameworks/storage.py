"""What nodes store of pre-trained models, what they have to fetch, and a greedy choice of what to store.

A node that trains units which it does not store fetches them first: one unit after the other, each from the node from
which it comes in the least time. Tasks may share units, such as the frozen ones of a common base model; a shared unit
is stored once (TrimCaching, arXiv:2404.14204).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.inputs import InputError
from splitgym.parts import suggest


class Unit(NamedTuple):
    """A unit of a task's network."""

    name: str
    """Units of the same name are the same one, in whatever task."""
    bits: float
    """Weights and running statistics."""


class Request(NamedTuple):
    """A node is to train units first+1..last of a task, which it forgets afterwards unless it stores them."""

    node: str
    task: str
    first: int
    last: int
    times: float = 1.0
    """How often, or with which probability."""


class Fetched(NamedTuple):
    """What requests take, all together."""

    seconds: float
    bits: float
    """Of the units that are fetched."""
    sent_bits: float
    """Over all links together: a bit counts on every link of its way."""


@dataclass(frozen=True, eq=False)
class Storage:
    """N nodes that may store units of several tasks, U different ones, and the ways between them.

    Args:
        nodes: [N] names.
        storage_bits: [N] what each may store; inf: everything.
        origin: The node that stores all units from the start, whatever `storage_bits` says of it.
        seconds_per_bit: [N, N] from a node to another on the quickest way; 0 to itself, inf: there is none.
        links: [N, N] links on that way.
        tasks: Units of each task, by its name, in the order of the network.

    Raises:
        InputError: a unit has two sizes, or the origin is no node.
    """

    nodes: Sequence[str]
    storage_bits: Floats
    origin: str
    seconds_per_bit: Floats
    links: Ints
    tasks: Mapping[str, Sequence[Unit]]

    def __post_init__(self) -> None:
        _check_known("origin", self.origin, self.nodes)
        bits: dict[str, float] = {}
        for task, units in self.tasks.items():
            for unit in units:
                if bits.setdefault(unit.name, unit.bits) != unit.bits:
                    raise InputError(
                        f"tasks: unit {unit.name!r} of task {task!r} has {unit.bits:g} bits, allowed: "
                        f"{bits[unit.name]:g}, as where it is named first"
                    )

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """[U] each one once, in the order of the tasks."""
        return tuple(dict.fromkeys(unit for units in self.tasks.values() for unit in units))

    def demand(self, requests: Sequence[Request]) -> Floats:
        """[N, U] how often each node needs each unit.

        Raises:
            InputError: a request names no node, no task or no units, or nothing leads to its node.
        """
        demand = np.zeros((len(self.nodes), len(self.units)))
        for request in requests:
            _check_known("request.node", request.node, self.nodes)
            _check_known("request.task", request.task, tuple(self.tasks))
            node, units = self.nodes.index(request.node), self.tasks[request.task]
            if not 0 <= request.first <= request.last <= len(units):
                raise InputError(
                    f"request.first = {request.first}, request.last = {request.last}, allowed: 0 <= first <= last <= "
                    f"{len(units)}, the units of task {request.task!r}"
                )
            if not np.isfinite(self.seconds_per_bit[self._origin, node]):
                raise InputError(f"request.node = {request.node!r}, allowed: nodes that the origin can reach")
            for unit in units[request.first : request.last]:
                demand[node, self.units.index(unit)] += request.times
        return demand

    def fetched(self, stored: Bools, demand: Floats) -> Fetched:
        """What is fetched where nodes store so much.

        Args:
            stored: [N, U]; the origin stores all in any case.
            demand: [N, U] of `demand`.
        """
        nearest = self.nearest(stored)
        wanted, to = demand * self._bits, np.arange(len(self.nodes))[:, None]
        return Fetched(
            seconds=float((np.where(wanted > 0, self.seconds_per_bit[nearest, to], 0.0) * wanted).sum()),
            bits=float((wanted * (nearest != to)).sum()),
            sent_bits=float((wanted * self.links[nearest, to]).sum()),
        )

    def nearest(self, stored: Bools) -> Ints:
        """[N, U] the node from which each one gets each unit in the least time, where nodes store so much, [N, U]."""
        return self._ways(stored).argmin(0)

    def fits(self, stored: Bools) -> bool:
        """Whether every node but the origin has room for what it stores, [N, U]."""
        free = self.storage_bits >= stored @ self._bits
        return bool(np.delete(free, self._origin).all())

    def greedy(self, demand: Floats) -> Bools:
        """[N, U] what to store, so that fetching takes little time.

        The time saved is submodular in what is stored: a copy saves the less, the more there are. Copies are added as
        long as one fits that saves time, once the one that saves most for its size, once the one that saves most; the
        better choice counts. With units of the same size it saves at least half of the most that can be saved (Fisher,
        Nemhauser, Wolsey 1978), and so it does with one node that stores units of any size.

        Args:
            demand: [N, U] of `demand`.
        """
        ways = (
            self._added(demand, lambda saved: saved / np.maximum(self._bits, 1.0)),
            self._added(demand, lambda saved: saved),
        )
        return min(ways, key=lambda stored: self.fetched(stored, demand).seconds)

    def _added(self, demand: Floats, worth: Callable[[Floats], Floats]) -> Bools:
        """Adds copies, always the one of most worth, which `worth` says of the seconds that each saves, [N, U]."""
        stored = np.zeros(demand.shape, np.bool_)
        stored[self._origin] = True
        free, to_each = np.array(self.storage_bits, np.float64), self.seconds_per_bit[:, :, None]
        wanted = demand * self._bits
        while True:
            now = np.where(wanted > 0, self._ways(stored).min(0), 0.0)
            saved = (np.maximum(now - to_each, 0.0) * wanted).sum(1)
            possible = ~stored & (saved > 0) & (self._bits <= free[:, None])
            if not possible.any():
                return stored
            node, unit = np.unravel_index(np.where(possible, worth(saved), -1.0).argmax(), stored.shape)
            stored[node, unit] = True
            free[node] -= self._bits[unit]

    def _ways(self, stored: Bools) -> Floats:
        """[N, N, U] seconds per bit from each node to each; inf from nodes that do not store the unit."""
        there = np.array(stored, np.bool_)
        there[self._origin] = True
        ways: Floats = np.where(there[:, None, :], self.seconds_per_bit[:, :, None], np.inf)
        return ways

    @property
    def _origin(self) -> int:
        return self.nodes.index(self.origin)

    @cached_property
    def _bits(self) -> Floats:
        return np.array([unit.bits for unit in self.units], np.float64)


def _check_known(field: str, name: str, names: Sequence[str]) -> None:
    """Raises an InputError, which suggests the nearest name, if there is none such."""
    if name not in names:
        raise InputError(f"{field} = {name!r} is unknown, {suggest(name, tuple(names))}")
