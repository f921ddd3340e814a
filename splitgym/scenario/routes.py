"""Wired ways between nodes and base stations: over which links bits go, and what that takes.

Bits are stored and forwarded: a bit needs the sum of what it needs on each link of its way. Of several ways the one of
the fewest seconds per bit is taken; of equal ones that of the least delay, then that of the fewest links.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from splitgym.parts import suggest
from splitgym.scenario.errors import ScenarioError
from splitgym.scenario.nodes import SERVER, LinkRow, links_of, nodes_of

if TYPE_CHECKING:
    from splitgym.scenario.scenario import Scenario


class Route(NamedTuple):
    """The wired way from one place to another, with all its links to itself."""

    s_per_bit: float
    """Seconds that a bit needs."""
    delay_s: float
    """Seconds that whatever is sent needs beside those."""
    links: tuple[str, ...]
    """Names of its links, in the order of the way."""


HERE = Route(0.0, 0.0, ())
"""The way between what stands at the same place."""


class Routes:
    """All wired ways of a network; links work in both directions.

    Args:
        places: Names of all nodes and stations.
        links: Between them.
        same_place: Pairs of names that stand at the same place.

    Raises:
        ScenarioError: a link ends where nothing is.
    """

    def __init__(
        self, places: Iterable[str], links: Iterable[LinkRow], same_place: Iterable[tuple[str, str]] = ()
    ) -> None:
        ways: dict[str, list[tuple[str, Route]]] = {place: [] for place in places}
        for one, other in same_place:
            ways[one].append((other, HERE))
            ways[other].append((one, HERE))
        for link in links:
            for end in link.ends:
                if end not in ways:
                    raise ScenarioError(f"links, row {link.name!r}: no node or station {end!r}, {suggest(end, ways)}")
            one, other = link.ends
            step = Route(1 / link.bits_per_s, link.delay_s, (link.name,))
            ways[one].append((other, step))
            ways[other].append((one, step))
        self._routes = {place: _from(place, ways) for place in ways}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Routes) and self._routes == other._routes

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, scenario: "Scenario") -> "Routes":
        """Those of a scenario; raises as above."""
        stations = scenario.stations
        nodes = (SERVER, *(row.name for row in nodes_of(scenario)))
        return cls(
            (*nodes, *(row.name for row in stations)),
            links_of(scenario),
            [(row.name, row.node) for row in stations if row.node is not None],
        )

    def joins(self, one: str, other: str) -> bool:
        """Whether there is a way between two places."""
        return other in self._routes[one]

    def between(self, one: str, other: str) -> Route:
        """The way from one place to another.

        Raises:
            ScenarioError: there is none.
        """
        if not self.joins(one, other):
            raise ScenarioError(f"links: no wired way leads from {one!r} to {other!r}, allowed: rows of links that do")
        return self._routes[one][other]


def _from(start: str, ways: Mapping[str, Iterable[tuple[str, Route]]]) -> dict[str, Route]:
    """The best way from a place to each that can be reached (Dijkstra 1959)."""
    found: dict[str, Route] = {}
    open_ways = [(0.0, 0.0, 0, 0, start, HERE)]
    entered = 0
    while open_ways:
        *_, place, route = heappop(open_ways)
        if place in found:
            continue
        found[place] = route
        for following, step in ways[place]:
            if following not in found:
                entered += 1
                further = Route(
                    route.s_per_bit + step.s_per_bit, route.delay_s + step.delay_s, (*route.links, *step.links)
                )
                heappush(
                    open_ways,
                    (further.s_per_bit, further.delay_s, len(further.links), entered, following, further),
                )
    return found
