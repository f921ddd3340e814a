"""Which nodes train the units behind the cut: paths of nodes over a scenario's links."""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from splitgym.parts import suggest
from splitgym.scenario import PlacementRow, Scenario, ScenarioError, links_of, nodes_of
from splitgym.scenario.nodes import SERVER


class Placement(NamedTuple):
    """A path of H nodes behind the cut. Behind cut layer j node h trains units max(bound h-1, j)+1..max(bound h, j).

    A node without units only passes data on.
    """

    nodes: tuple[str, ...]
    """Distinct names; consecutive ones are joined by a link."""
    bounds: tuple[int, ...] = ()
    """[H - 1] last unit of each node but the last, which ends with unit L; not decreasing."""


def placements_of(scenario: Scenario, units: int) -> tuple[Placement, ...]:
    """The placements to choose from, of a network of so many units; one, the first, where nobody decides it.

    Those that the scenario lists; or else paths from the edge server, the shortest first, with the units spread evenly
    over the nodes that may hold some.

    Raises:
        ScenarioError: the scenario lists what is no path or ends nowhere, or nothing leads to the nodes.
    """
    rows = scenario.placement.candidates
    if rows:
        found = tuple(_checked(scenario, number, row, units) for number, row in enumerate(rows, 1))
        for number, one in enumerate(found, 1):
            if one in found[: number - 1]:
                raise ScenarioError(f"placement.candidates, row {number}: is there twice, allowed: each one once")
    else:
        found = _spread_evenly(scenario, units)
    return found if scenario.plan.placement == "decided" else found[:1]


def neighbours(scenario: Scenario) -> dict[str, list[str]]:
    """Nodes that are joined to each node by a link, in the order of the links."""
    joined: dict[str, list[str]] = {name: [] for name in (SERVER, *(row.name for row in nodes_of(scenario)))}
    for link in links_of(scenario):
        for one, other in (link.ends, link.ends[::-1]):
            if other not in joined.setdefault(one, []):
                joined[one].append(other)
    return joined


def _checked(scenario: Scenario, number: int, row: PlacementRow, units: int) -> Placement:
    """A candidate as it is listed."""
    joined, where, nodes, bounds = neighbours(scenario), f"placement.candidates, row {number}", row.nodes, row.bounds
    for name in nodes:
        if name not in joined:
            raise ScenarioError(f"{where}: node {name!r} is unknown, {suggest(name, tuple(joined))}")
    if nodes[0] != SERVER:
        raise ScenarioError(
            f"{where}: nodes = {list(nodes)}, allowed: {SERVER!r} first, where the clients' data arrive"
        )
    if len(set(nodes)) < len(nodes):
        raise ScenarioError(f"{where}: nodes = {list(nodes)}, allowed: each one once")
    for one, other in pairwise(nodes):
        if other not in joined[one]:
            raise ScenarioError(f"{where}: no row of links has the ends {one!r} and {other!r}")
    if len(bounds) != len(nodes) - 1 or list(bounds) != sorted(bounds) or any(bound >= units for bound in bounds):
        raise ScenarioError(
            f"{where}: bounds = {list(bounds)}, allowed: {len(nodes) - 1} numbers from 0 to {units - 1} that do not "
            f"decrease, for {len(nodes)} nodes and a network of {units} units"
        )
    return Placement(nodes, bounds)


def _spread_evenly(scenario: Scenario, units: int) -> tuple[Placement, ...]:
    """The first paths that end at a node that may hold units, each such node on it with as many as the others."""
    section, joined = scenario.placement, neighbours(scenario)
    for name in section.nodes:
        if name not in joined:
            raise ScenarioError(f"placement.nodes: node {name!r} is unknown, {suggest(name, tuple(joined))}")
    ends = (path for path in _paths(joined, section.hops) if path[-1] in section.nodes)
    found = tuple(_even(path, section.nodes, units) for path in islice(ends, section.count))
    if not found:
        raise ScenarioError(
            f"placement.nodes = {list(section.nodes)}, allowed: a node to which links lead from {SERVER!r} within "
            f"placement.hops = {section.hops} nodes"
        )
    return found


def _paths(joined: dict[str, list[str]], most: int) -> Iterator[tuple[str, ...]]:
    """Paths without a node twice from the edge server, of up to so many nodes, the shortest first."""
    paths: list[tuple[str, ...]] = [(SERVER,)]
    for _ in range(most):
        yield from paths
        paths = [(*path, node) for path in paths for node in joined[path[-1]] if node not in path]


def _even(path: tuple[str, ...], holders: Sequence[str], units: int) -> Placement:
    """The path with the units spread evenly over those of its nodes that may hold some."""
    count, held, bounds = sum(node in holders for node in path), 0, []
    for node in path[:-1]:
        held += node in holders
        bounds.append(round(held * units / count))
    return Placement(path, tuple(bounds))
