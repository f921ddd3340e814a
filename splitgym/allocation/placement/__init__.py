"""Joint splitting and routing: which nodes of the edge network train which units behind the cut, over which path.

Placements are found before a round is played, from what is the same in all rounds; nothing decides with them in a step.
"""

from collections.abc import Callable

from splitgym.allocation.placement.exact import exact, k_best
from splitgym.allocation.placement.graph import EdgeGraph
from splitgym.allocation.placement.rules import even_split, greedy
from splitgym.allocation.placement.task import PlacementTask
from splitgym.frameworks.placements import Placement
from splitgym.parts import Parts

PlacementRule = Callable[[PlacementTask], Placement]
"""Finds the placement of a task."""

PLACEMENTS: Parts[PlacementRule] = Parts(
    "placement", callable, {"exact": exact, "greedy": greedy, "even-split": even_split}
)
"""By name."""

__all__ = ["PLACEMENTS", "EdgeGraph", "PlacementRule", "PlacementTask", "even_split", "exact", "greedy", "k_best"]
