"""The placements that a scenario offers a scheduler: those that it lists, or else the best ones."""

from dataclasses import replace
from itertools import zip_longest

import numpy as np

from splitgym.allocation.placement.exact import k_best
from splitgym.allocation.placement.graph import EdgeGraph
from splitgym.allocation.placement.listed import listed_placements
from splitgym.allocation.placement.task import PlacementTask
from splitgym.frameworks.placements import Placement
from splitgym.inputs import InputError
from splitgym.models import NetworkCosts
from splitgym.parts import suggest
from splitgym.scenario import Scenario, ScenarioError
from splitgym.scenario.nodes import SERVER


def candidates(scenario: Scenario, costs: NetworkCosts) -> tuple[Placement, ...]:
    """The placements to choose from; one, the first, where nobody decides it.

    Where the scenario lists none these are the best ones for all clients with their largest mini-batch: the best of
    each cut layer before the second best of any, and the best from each node at which the clients' data may arrive, the
    edge server, or with rows of stations those at the same place as a station that may hold units.

    Args:
        scenario: Its nodes, links and settings.
        costs: Of its network.

    Raises:
        ScenarioError: the scenario lists what is no path, or nothing is possible; the message says why.
    """
    found = listed_placements(scenario, costs.profile) or _best(scenario, costs)
    return found if scenario.plan.placement == "decided" else found[:1]


def _best(scenario: Scenario, costs: NetworkCosts) -> tuple[Placement, ...]:
    section, graph = scenario.placement, _graph(scenario)
    largest = max(scenario.plan.batch_sizes, default=scenario.training.batch_size)
    at_stations = {row.node for row in scenario.stations}
    first = tuple(name for name in section.nodes if name in at_stations) or (SERVER,)
    if section.count < len(first):
        raise ScenarioError(
            f"placement.count = {section.count}, allowed: {len(first)} or more, one for each node of placement.nodes "
            "that has a station"
        )
    hops, micro_batches = min(section.hops, len(graph.nodes)), scenario.training.micro_batches
    task = PlacementTask.of(scenario, costs, 1, hops, first, micro_batches)
    task = replace(task, graph=graph, rows=scenario.clients.count * largest)
    of_cuts: list[list[Placement]] = []
    refused: InputError | None = None
    for cut_layer in range(1, len(costs.profile)):
        try:
            best = k_best(replace(task, cut_layer=cut_layer), section.count)
            of_cuts.append([_tight(each, cut_layer) for each in best])
        except InputError as error:
            # At another cut layer there may be one.
            refused = error
    if not of_cuts:
        raise ScenarioError(f"placement: {refused}") from refused
    return _first_of_all(of_cuts, section.count)


def _graph(scenario: Scenario) -> EdgeGraph:
    """The graph, in which only nodes that may hold units have memory for them."""
    graph, holders = EdgeGraph.of(scenario), scenario.placement.nodes
    for name in holders:
        if name not in graph.nodes:
            raise ScenarioError(f"placement.nodes: node {name!r} is unknown, {suggest(name, graph.nodes)}")
        if holders.count(name) > 1:
            raise ScenarioError(f"placement.nodes: node {name!r} is there twice, allowed: each one once")
    return replace(graph, memory_bytes=np.where(np.isin(graph.nodes, holders), graph.memory_bytes, 0.0))


def _tight(placement: Placement, cut_layer: int) -> Placement:
    """The placement whose nodes without units have none at shallower cut layers either."""
    bounds: list[int] = []
    for bound in placement.bounds:
        before = bounds[-1] if bounds else 0
        bounds.append(before if bound == max(before, cut_layer) else bound)
    return Placement(placement.nodes, tuple(bounds))


def _first_of_all(of_cuts: list[list[Placement]], count: int) -> tuple[Placement, ...]:
    """So many of them, the first of each list, then the second, none twice; the first of each first node among them."""
    in_order = (each for rank in zip_longest(*of_cuts) for each in rank if each is not None)
    found = list(dict.fromkeys(in_order))
    of_firsts = {each.nodes[0]: each for each in reversed(found)}
    chosen = [*of_firsts.values(), *(each for each in found if each not in of_firsts.values())][:count]
    return tuple(sorted(chosen, key=found.index))
