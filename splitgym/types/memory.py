"""Which clients there is memory for under a plan, by the limits of the scenario; where it has none, for all.

Arguments and answers are of one world or N, states and plans are known to fit each other.
"""

from typing import Any

import numpy as np

from splitgym.arrays import Bools, Ints
from splitgym.frameworks.memory import EVERYBODY
from splitgym.frameworks.phases import Access
from splitgym.types.plan import Plan
from splitgym.types.state import RoundState


def able_clients(state: RoundState, plan: Plan, clients: Bools) -> Bools:
    """[C] or [N, C] those of some clients who are available and have the memory for their plan.

    Nobody is under a plan for which a node has too little memory to serve a single client.
    """
    memory, able = state.system.memory, clients & state.available
    if memory is None:
        return able
    plans = plan.indices(state)
    fits: Bools = (memory.most_clients[plans] > 0) & (memory.client[plans] <= state.client_memory_bytes)
    return able & fits


def served_clients(state: RoundState, plan: Plan, clients: Bools) -> Bools:
    """[C] or [N, C] those of the `able_clients` whom nodes have the memory to serve in the same round.

    Those come first that have been absent for the longest, of equals those with the lower index. Where clients have
    slots, nodes serve those of one slot at a time, and which these are is not known here: nobody is left out.
    """
    memory, able = state.system.memory, able_clients(state, plan, clients)
    if memory is None or len(memory.limit) == 0 or state.system.program.access is not Access.PARALLEL:
        return able
    plans = np.broadcast_to(plan.indices(state), able.shape)
    order = np.lexsort((np.broadcast_to(np.arange(able.shape[-1]), able.shape), -state.absence, ~able), axis=-1)
    plans, counts = np.take_along_axis(plans, order, -1), np.take_along_axis(able, order, -1)
    once = np.maximum.accumulate(np.where(counts, memory.once[:, plans], 0.0), axis=-1)
    needed = once + np.cumsum(np.where(counts, memory.per_participant[:, plans], 0.0), axis=-1)
    limit = memory.limit.reshape(-1, *[1] * able.ndim)
    served: Bools = np.zeros(able.shape, bool)
    np.put_along_axis(served, order, counts & (needed <= limit).all(0), -1)
    return served


def most_clients(state: RoundState, plan: Plan) -> int:
    """How many clients of one world nodes have the memory to serve at the same time, if all follow the plan."""
    memory = state.system.memory
    return EVERYBODY if memory is None else int(memory.most_clients[plan.indices(state)].min())


def fitting_cuts(state: RoundState, clients: Bools) -> Ints:
    """Cut layers at which there is memory for as many of some clients as possible, of one world."""
    memory, cuts = state.system.memory, np.arange(1, state.system.cut_layers + 1)
    if memory is None:
        return cuts
    counts = memory.cuts_for(state.client_memory_bytes)[clients].sum(0)
    counts = np.minimum(counts, memory.plans.by_cut(memory.most_clients).max(1))
    return cuts[counts == counts.max()]


def clients_with_memory(state: RoundState) -> Bools:
    """[C] or [N, C] clients who have the memory for some plan."""
    memory = state.system.memory
    if memory is None:
        return np.ones(state.available.shape, bool)
    with_some: Bools = np.any(memory.cuts_for(state.client_memory_bytes), axis=-1)
    return with_some


def deepest_cut(state: RoundState) -> Ints:
    """[C] or [N, C] the deepest cut layer for which each client has the memory, 0: there is none."""
    memory, cuts = state.system.memory, state.system.cut_layers
    if memory is None:
        return np.full(state.available.shape, cuts)
    deepest: Ints = (memory.cuts_for(state.client_memory_bytes) * np.arange(1, cuts + 1)).max(-1)
    return deepest


def why_without_memory(state: RoundState, plan: Plan, client: int) -> str:
    """Why a client of one world takes no part under a plan for want of memory."""
    memory: Any = state.system.memory
    plans = plan.indices(state)
    of_client = int(plans[client if len(plans) > 1 else 0])
    needed, has = memory.client[of_client], float(state.client_memory_bytes[client])
    if needed > has:
        return f"it needs {needed:.0f} bytes of memory at its cut layer, and has {has:.0f}"
    if room := memory.lacks_room(of_client):
        return str(room)
    nodes = [name for name, stores in zip(memory.nodes, memory.storage, strict=True) if not stores]
    return (
        f"node {' or '.join(nodes)} has the memory for {memory.most_clients[of_client]} clients at a time, and "
        "it is one of the last in line"
    )
