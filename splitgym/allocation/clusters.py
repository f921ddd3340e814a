"""Clusters of clients that take their turns one after the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.load import own_seconds
from splitgym.frameworks.phases import Turns
from splitgym.rounds import RoundState

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def clusters_for(state: RoundState, cut_layer: Any, selected: Bools, aggregation_ratio: Any) -> Ints:
    """[C] cluster of each client: formed for a framework whose clusters take turns, else 0 (see `form_clusters`).

    Of a batch likewise, with a leading axis N on all arguments.
    """
    if state.system.program.turns is not Turns.CLUSTERS:
        return np.zeros(selected.shape, np.int64)
    if not state.batched:
        return form_clusters(state, cut_layer, selected, aggregation_ratio)
    worlds = zip(cut_layer, selected, np.broadcast_to(aggregation_ratio, len(selected)), strict=True)
    return np.array([form_clusters(state.world(n), *world) for n, world in enumerate(worlds)])


def form_clusters(state: RoundState, cut_layer: int, selected: Bools, aggregation_ratio: float) -> Ints:
    """Forms clusters of clients that are alike in compute and channel, so that nobody waits for a much slower one.

    Clients are ordered by the seconds they need for all that they do by themselves, with an even share of band and
    power at their mean gain. The order is dealt into `System.clusters` groups (fewer, if there are fewer clients), the
    fastest first, with sizes that differ by one at most.

    Args:
        state: Of one world, as the scheduler believes it.
        cut_layer: 1..L-1.
        selected: [C] who shall take part; clients that are not available do not count.
        aggregation_ratio: phi.

    Returns:
        [C] cluster, 0 for who does not take part.
    """
    cluster = np.zeros(len(selected), np.int64)
    clients = np.flatnonzero(selected & state.available)
    if len(clients) > 0:
        seconds = own_seconds(state, cut_layer, len(clients), aggregation_ratio)
        order = clients[np.argsort(seconds[clients], kind="stable")]
        for index, group in enumerate(np.array_split(order, min(state.system.clusters, len(clients)))):
            cluster[group] = index
    return cluster
