"""Placements that look less far than the exact one: from node to node, and equal parts on the shortest path."""

import numpy as np

from splitgym.allocation.placement.task import PlacementTask
from splitgym.frameworks.placements import Placement
from splitgym.inputs import InputError


def greedy(task: PlacementTask) -> Placement:
    """Each unit goes where both its passes end the soonest: it stays, or goes one link further to a node without units.

    The first one goes to the fastest of the nodes at which a path may start. Only nodes with the memory for a unit
    count. What later units need, and which stage is the slowest, is not looked at.

    Raises:
        InputError: there is no such node for a unit.
    """
    s, path, done = task.stages, list[int](), list[int]()
    flops = np.diff(s.forward_flops) + np.diff(s.backward_flops)
    for unit in range(task.units):
        seconds = {}
        if path and s.fits[path[-1], done[-1], unit + 1]:
            seconds[path[-1]] = flops[unit] * s.seconds_per_flop[path[-1]]
        for node, way in _further(task, path, unit):
            if s.fits[node, unit, unit + 1]:
                seconds[node] = way + flops[unit] * s.seconds_per_flop[node]
        if not seconds:
            where = f"node {task.graph.nodes[path[-1]]!r} or a node behind it" if path else "a first node"
            need = f"unit {task.cut_layer + unit + 1} needs {task.need_bytes[unit, unit + 1]:.0f} bytes"
            what = "memory" if task.has_room.all() else "memory or storage"
            raise InputError(f"placement 'greedy': {need}, which {where} does not have, allowed: more {what} there")
        soonest = min(seconds, key=lambda node: float(seconds[node]))
        if not path or soonest != path[-1]:
            path.append(soonest)
            done.append(unit)
    return task.placement(path, done)


def _further(task: PlacementTask, path: list[int], unit: int) -> list[tuple[int, float]]:
    """Nodes to go to with so many units done, and the seconds of the way in both passes."""
    if not path:
        return [(int(node), 0.0) for node in task.starts]
    s, here = task.stages, path[-1]
    if len(path) == task.hops:
        return []
    there = [int(node) for node in s.neighbours[here] if node >= 0 and node not in path]
    return [(node, 2 * float(s.bits[unit] * s.seconds_per_bit[here, node] + s.delay_s[here, node])) for node in there]


def even_split(task: PlacementTask) -> Placement:
    """The shortest path of H nodes, with as many units at each of them; the first ones have one more if need be.

    With fewer units than H there are as many nodes as units. A path is as long as the bits at the cut are on its way.

    Raises:
        InputError: there is no path of so many nodes, or a node lacks the memory for its part.
    """
    count = min(task.hops, task.units)
    path = _shortest_path(task, count)
    parts = [task.units // count + (place < task.units % count) for place in range(count)]
    done = [sum(parts[:place]) for place in range(count)]
    for node, first, part in zip(path, done, parts, strict=True):
        if not task.stages.fits[node, first, first + part]:
            units = f"units {task.cut_layer + first + 1}..{task.cut_layer + first + part}"
            if not task.has_room[node, first, first + part]:
                raise InputError(
                    f"placement 'even-split': node {task.graph.nodes[node]!r} has no room to store {units}, allowed: "
                    "more storage_bytes there"
                )
            need = f"{units} need {task.need_bytes[first, first + part]:.0f} bytes"
            where = f"node {task.graph.nodes[node]!r} has {task.graph.memory_bytes[node]:.0f}"
            raise InputError(f"placement 'even-split': {need}, and {where}, allowed: as many as they need")
    return task.placement(path, done)


def _shortest_path(task: PlacementTask, count: int) -> list[int]:
    """The path of so many nodes over whose links the bits at the cut take the shortest time."""
    shortest, best = np.inf, list[int]()
    open_paths = [(0.0, [int(start)]) for start in reversed(task.starts)]
    while open_paths:
        seconds, path = open_paths.pop()
        if seconds >= shortest:
            continue
        if len(path) == count:
            shortest, best = seconds, path
            continue
        ways = sorted(_further(task, path, 0), key=lambda way: -way[1])
        open_paths += [(seconds + way, [*path, node]) for node, way in ways]
    if not best:
        raise InputError(f"hops = {task.hops} of placement 'even-split': no path of {count} nodes, allowed: less")
    return best
