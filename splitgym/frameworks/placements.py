"""Placements: which nodes train the units behind the cut."""

from typing import NamedTuple


class Placement(NamedTuple):
    """A path of H nodes behind the cut. Behind cut layer j node h trains units max(bound h-1, j)+1..max(bound h, j).

    A node without units only passes data on.
    """

    nodes: tuple[str, ...]
    """Distinct names; consecutive ones are joined by a link."""
    bounds: tuple[int, ...] = ()
    """[H - 1] last unit of each node but the last, which ends with unit L; not decreasing."""


def segments_of(placement: Placement, cut_layer: int, units: int) -> tuple[tuple[str, int, int], ...]:
    """Node, and cut layers in front of its units and behind them, of every server of a path.

    A server whose cut layers are the same has no units: it passes on what it gets.

    Args:
        placement: The path.
        cut_layer: Last unit of the clients.
        units: Of the network, L.
    """
    ends = [cut_layer, *(max(bound, cut_layer) for bound in placement.bounds), units]
    return tuple(zip(placement.nodes, ends, ends[1:], strict=False))
