"""Why a task has no placement, in one line."""

import numpy as np

from splitgym.allocation.placement.task import PlacementTask
from splitgym.inputs import InputError


def nothing_fits(task: PlacementTask) -> InputError:
    """What does not fit, of a task without any placement."""
    alone, graph = np.diagonal(task.need_bytes, offset=1), task.graph
    firsts = [graph.nodes[start] for start in task.starts]
    reached = sorted({node for start in task.starts for node in graph.within(start, task.hops - 1)})
    ways = f"paths of at most {task.hops} nodes from {' or '.join(map(repr, firsts))}"
    for unit, need in enumerate(alone, task.cut_layer + 1):
        if need > graph.memory_bytes.max():
            most = graph.nodes[int(graph.memory_bytes.argmax())]
            return InputError(
                f"memory of nodes: unit {unit} needs {need:.0f} bytes, and node {most!r} with the most of it has "
                f"{graph.memory_bytes.max():.0f}, allowed: at least what each unit needs"
            )
        if need > graph.memory_bytes[reached].max():
            fitting = [repr(name) for name, has in zip(graph.nodes, graph.memory_bytes, strict=True) if has >= need]
            return InputError(
                f"unit {unit} needs {need:.0f} bytes, which fit only at {', '.join(fitting)}: no {ways} lead there"
            )
    lacks_room = "" if task.has_room.all() else ", or room in their storage,"
    return InputError(
        f"units {task.cut_layer + 1}..{len(task.profile)} need {task.need_bytes[0, -1]:.0f} bytes on one node and not "
        f"less on several: no {ways} have the memory{lacks_room} for them"
    )
