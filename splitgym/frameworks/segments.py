"""Which node trains which units of the network: consecutive segments, from the first unit to the last."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from splitgym.scenario.nodes import CLIENT, SERVER

FED_SERVER = "fed server"
"""Who averages clients' parts and sees nothing else; where it is, a scenario says."""


class Bound(Enum):
    """Where a segment ends."""

    CUT = "cut layer"
    SECOND_CUT = "second cut"
    END = "last unit"


class Weights(Enum):
    """How many models of a segment there are."""

    OWN = "own"
    """Each client has its own, which stays with it from round to round."""
    AVERAGED = "averaged"
    """Each client begins the round with a common one and trains it with its own optimiser; the round ends with the
    mean."""
    FETCHED = "fetched"
    """Each client fetches a copy of a common one for each mini-batch and trains it with its own optimiser; what it
    gives back is mixed into the common one."""
    COMMON = "common"
    """One for all."""


@dataclass(frozen=True)
class Segment:
    """Consecutive units: from where the segment before ends (the first one: from the first unit) to a bound."""

    node: str
    """Where it is trained: CLIENT, SERVER, or the name of a row of the scenario's nodes."""
    until: Bound = Bound.END
    weights: Weights = Weights.COMMON
    averaged_at: str = SERVER
    """Where what is AVERAGED is: at a node, or at the FED_SERVER."""


Segments = Sequence[Segment]
"""All segments of a network, in the order of its units; the last one ends with the last unit."""


SPLIT: Segments = (Segment(CLIENT, Bound.CUT, Weights.OWN), Segment(SERVER))
"""Parallel split learning: first units of each client's own, the others at the server."""


def segment_at(segments: Segments, node: str) -> Segment | None:
    """The first segment at a node; None: there is none."""
    return next((segment for segment in segments if segment.node == node), None)


def has_bound(segments: Segments, bound: Bound) -> bool:
    """Whether a segment ends there."""
    return any(segment.until is bound for segment in segments)


def has_tail(segments: Segments) -> bool:
    """Whether clients train the last units, too, behind those of a server."""
    return len(segments) > 1 and segments[-1].node == CLIENT


def averaged_later(segments: Segments) -> Segments:
    """The segments in rounds that do not end with a mean: until then what is averaged is each client's own."""
    return [replace(s, weights=Weights.OWN) if s.weights is Weights.AVERAGED else s for s in segments]


def units_on_clients(segments: Segments, cut_layer: int, units: int) -> int:
    """How many first units of a network of so many are trained on the clients, without tails."""
    first = segments[0]
    if first.node != CLIENT:
        return 0
    return cut_layer if first.until is Bound.CUT else units


def around_second_cut(segments: Segments) -> tuple[str, str]:
    """The nodes in front of the second cut and behind it; without one twice the last node."""
    bounds = [segment.until for segment in segments]
    first = bounds.index(Bound.SECOND_CUT) if Bound.SECOND_CUT in bounds else len(bounds) - 1
    return segments[first].node, segments[min(first + 1, len(bounds) - 1)].node


def nodes_behind(segments: Segments) -> list[str]:
    """Nodes that train units behind those of the edge server."""
    return [segment.node for segment in segments if segment.node not in (CLIENT, SERVER)]
