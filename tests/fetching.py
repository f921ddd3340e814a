"""What a learner does for clients that fetch common units, for tests that train with nodes alone."""

from collections.abc import Iterable

import numpy as np

from splitgym.frameworks.fetched_units import FetchedUnits
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import Traffic
from splitgym.scenario.quantities import FULL_BITS


def fetch_and_return(nodes: Nodes, clients: Iterable[int], cut: int) -> Traffic:
    """Clients fetch units up to a cut and give them back as they are; with a framework in which none fetches, nothing.

    Returns:
        What both ways carry.
    """
    traffic, clients = Traffic(), list(clients)
    if nodes.fetches:
        everybody = len(nodes.clients)
        fetched = FetchedUnits(nodes)
        fetched.fetch(clients, np.full(everybody, cut), np.full(everybody, FULL_BITS), traffic)
        fetched.give_back(clients, traffic)
    return traffic
