"""Clusters of clients that have slots, one after the other."""

import numpy as np

from splitgym.allocation.workload import own_seconds
from splitgym.arrays import Bools, Ints
from splitgym.frameworks.phases import Access
from splitgym.types import Plan, RoundState
from splitgym.types.legal import check_arguments
from splitgym.types.memory import able_clients


def clusters_for(state: RoundState, plan: Plan, selected: Bools) -> Ints:
    """[C] cluster of each client: formed for a framework whose clusters have slots, else 0 (see `form_clusters`).

    Of a batch likewise, with a leading axis N on all arguments.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, one_world=False, plan=plan, selected=selected)
    return clusters_for_unchecked(state, plan, selected)


def clusters_for_unchecked(state: RoundState, plan: Plan, selected: Bools) -> Ints:
    """`clusters_for` of arguments that are known to fit."""
    if state.system.program.access is not Access.CLUSTERED:
        return np.zeros(selected.shape, np.int64)
    if not state.batched:
        return _form_clusters(state, plan, selected)
    return np.array([_form_clusters(state.world(n), plan.world(n), selected[n]) for n in range(len(selected))])


def form_clusters(state: RoundState, plan: Plan, selected: Bools) -> Ints:
    """Forms clusters of clients that are alike in compute and channel, so that nobody waits for a much slower one.

    Clients are ordered by the seconds they need for all that they do by themselves, with an even share of band and
    power at their mean gain. The order is divided into `SystemParameters.clusters` groups (fewer, if there are fewer
    clients), the fastest first, with sizes that differ by one at most.

    Args:
        state: Of one world, as the scheduler believes it.
        plan: How they train.
        selected: [C] clients that shall participate; clients that are not available, or lack the memory, do not count.

    Returns:
        [C] cluster, 0 for clients that do not participate.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, plan=plan, selected=selected)
    return _form_clusters(state, plan, selected)


def _form_clusters(state: RoundState, plan: Plan, selected: Bools) -> Ints:
    """`form_clusters` of arguments that are known to fit."""
    cluster = np.zeros(len(selected), np.int64)
    clients = np.flatnonzero(able_clients(state, plan, selected))
    if len(clients) > 0:
        seconds = own_seconds(state, plan, len(clients))
        order = clients[np.argsort(seconds[clients], kind="stable")]
        for index, group in enumerate(np.array_split(order, min(state.system.clusters, len(clients)))):
            cluster[group] = index
    return cluster
