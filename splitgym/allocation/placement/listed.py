"""Placements that a scenario lists, and what may be wrong with them."""

from itertools import pairwise

from splitgym.frameworks.placements import Placement
from splitgym.parts import suggest
from splitgym.scenario import PlacementRow, Scenario, ScenarioError, links_of, nodes_of
from splitgym.scenario.nodes import SERVER


def listed_placements(scenario: Scenario, units: int) -> tuple[Placement, ...]:
    """The placements that a scenario lists, of a network of so many units.

    Raises:
        ScenarioError: one is no path, ends nowhere, or is there twice.
    """
    found = tuple(_checked(scenario, number, row, units) for number, row in enumerate(scenario.placement.candidates, 1))
    for number, one in enumerate(found, 1):
        if one in found[: number - 1]:
            raise ScenarioError(f"placement.candidates, row {number}: is there twice, allowed: each one once")
    return found


def _neighbours(scenario: Scenario) -> dict[str, list[str]]:
    """Nodes that are joined to each node by a link."""
    joined: dict[str, list[str]] = {name: [] for name in (SERVER, *(row.name for row in nodes_of(scenario)))}
    for link in links_of(scenario):
        for one, other in (link.ends, link.ends[::-1]):
            if one in joined and other in joined:
                joined[one].append(other)
    return joined


def _checked(scenario: Scenario, number: int, row: PlacementRow, units: int) -> Placement:
    """A candidate as it is listed."""
    joined, where, nodes, bounds = _neighbours(scenario), f"placement.candidates, row {number}", row.nodes, row.bounds
    for name in nodes:
        if name not in joined:
            raise ScenarioError(f"{where}: node {name!r} is unknown, {suggest(name, tuple(joined))}")
    if nodes[0] != SERVER and not scenario.stations:
        raise ScenarioError(
            f"{where}: nodes = {list(nodes)}, allowed: {SERVER!r} first, where the clients' data arrive without rows "
            "of stations"
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
