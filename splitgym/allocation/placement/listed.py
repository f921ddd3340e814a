"""Placements that a scenario lists, and what may be wrong with them."""

from itertools import pairwise

from splitgym.allocation.placement.graph import EdgeGraph
from splitgym.frameworks.placements import Placement, segments_of
from splitgym.frameworks.stores import Stores
from splitgym.models import Profile
from splitgym.parts import suggest
from splitgym.scenario import PlacementRow, Scenario, ScenarioError
from splitgym.scenario.nodes import SERVER


def listed_placements(scenario: Scenario, profile: Profile) -> tuple[Placement, ...]:
    """The placements that a scenario lists, of a network.

    Raises:
        ScenarioError: one is no path, ends nowhere, is there twice, or more than its nodes may store.
    """
    graph, rows = EdgeGraph.of(scenario), enumerate(scenario.placement.candidates, 1)
    found = tuple(_checked(scenario, graph, number, row, len(profile)) for number, row in rows)
    stores = Stores.of(scenario, profile)
    for number, each in enumerate(found, 1):
        _check_room(stores, number, each, len(profile))
    for number, one in enumerate(found, 1):
        if one in found[: number - 1]:
            raise ScenarioError(f"placement.candidates, row {number}: is there twice, allowed: each one once")
    return found


def _check_room(stores: Stores, number: int, placement: Placement, units: int) -> None:
    """Raises a ScenarioError if a node may not store what it trains at the deepest cut layer, where that is least."""
    for node, first, last in segments_of(placement, units - 1, units):
        need = float(stores.needed_bytes(node, first, last))
        if need > stores.limit(node):
            raise ScenarioError(
                f"placement.candidates, row {number}: storage_bytes of node {node!r} = {stores.limit(node):.0f}, "
                f"allowed: at least {need:.0f}, which its units take at cut layer {units - 1}"
            )


def _checked(scenario: Scenario, graph: EdgeGraph, number: int, row: PlacementRow, units: int) -> Placement:
    """A candidate as it is listed."""
    where, nodes, bounds = f"placement.candidates, row {number}", row.nodes, row.bounds
    for name in nodes:
        if name not in graph.nodes:
            raise ScenarioError(f"{where}: node {name!r} is unknown, {suggest(name, graph.nodes)}")
    if nodes[0] != SERVER and not scenario.stations:
        raise ScenarioError(
            f"{where}: nodes = {list(nodes)}, allowed: {SERVER!r} first, where the clients' data arrive without rows "
            "of stations"
        )
    if len(set(nodes)) < len(nodes):
        raise ScenarioError(f"{where}: nodes = {list(nodes)}, allowed: each one once")
    for one, other in pairwise(nodes):
        if not graph.joins(one, other):
            raise ScenarioError(f"{where}: no row of links has the ends {one!r} and {other!r}")
    if len(bounds) != len(nodes) - 1 or list(bounds) != sorted(bounds) or any(bound >= units for bound in bounds):
        raise ScenarioError(
            f"{where}: bounds = {list(bounds)}, allowed: {len(nodes) - 1} numbers from 0 to {units - 1} that do not "
            f"decrease, for {len(nodes)} nodes and a network of {units} units"
        )
    return Placement(nodes, bounds)
