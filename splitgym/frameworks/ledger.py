"""What each node of a framework sees of the clients in training, by its segments.

Of a round in which no cut moves: units that a cut hands over are seen by who gets them. A node that only passes
something on, as the edge server does with models for the fed server, does not see it: it is encrypted.
"""

from collections import defaultdict
from enum import Enum
from itertools import pairwise

from splitgym.frameworks.framework import Framework, get
from splitgym.frameworks.segments import Segments, Weights
from splitgym.scenario.nodes import CLIENT, SERVER


class Seen(Enum):
    """What a node sees of a client, or a client of the others."""

    INPUTS = "inputs"
    """The samples themselves."""
    LABELS = "labels"
    SMASHED = "smashed data"
    """Activations in front of a cut, row by row."""
    CUT_GRADIENTS = "cut gradients"
    """Gradients with respect to these."""
    PARTS = "clients' parts"
    """Weights and running statistics of the units that one client has trained."""
    MEAN_PARTS = "mean of clients' parts"
    MEAN_GRADIENTS = "mean of cut gradients"


Ledger = dict[str, frozenset[Seen]]
"""What each node sees, by its name: CLIENT, a client beside its own things; a node of the framework's segments; or
FED_SERVER. Who sees nothing is not in it."""


def ledger(framework: str | Framework) -> Ledger:
    """What each node of a framework sees of the clients.

    Args:
        framework: Its name, `module:NAME` of one's own, or itself.

    Raises:
        ScenarioError: there is no such framework.
    """
    chosen = get(framework)
    segments, seen = chosen.segments, defaultdict[str, set[Seen]](set)
    _note_what_is_trained(segments, seen)
    _note_what_is_averaged(segments, seen)
    if chosen.averages_gradients:
        seen[CLIENT].add(Seen.MEAN_GRADIENTS)
    return {node: frozenset(things) for node, things in seen.items()}


def _note_what_is_trained(segments: Segments, seen: dict[str, set[Seen]]) -> None:
    """Samples and labels at the ends of the network, what crosses the cuts in between."""
    first, last = segments[0].node, segments[-1].node
    if first != CLIENT:
        seen[first].add(Seen.INPUTS)
    if last != CLIENT:
        seen[last].add(Seen.LABELS)
    for one, other in pairwise(segments):
        # What a client gets here is of its own rows.
        for node in {one.node, other.node} - {CLIENT}:
            seen[node] |= {Seen.SMASHED, Seen.CUT_GRADIENTS}


def _note_what_is_averaged(segments: Segments, seen: dict[str, set[Seen]]) -> None:
    """Models that clients send: to be averaged, or to be handed on by way of the edge server."""
    for segment in segments:
        if segment.node != CLIENT or segment.weights is Weights.OWN:
            continue
        averaged = segment.weights is Weights.AVERAGED
        seen[segment.averaged_at if averaged else SERVER].add(Seen.PARTS)
        # What is fetched is mixed from the parts of many.
        mixed = averaged or segment.weights is Weights.FETCHED
        seen[CLIENT].add(Seen.MEAN_PARTS if mixed else Seen.PARTS)
