"""Subchannels, greedy in two phases (the paper's first block)."""

from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.allocation.admission import line, sort_by
from splitgym.allocation.assignment import AssignmentState, assign, even_rate, no_assignment, release, release_all
from splitgym.allocation.link_budget import Links, own_links
from splitgym.allocation.workload import SegmentWorkload, own_workload
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.timing.barrier import duration
from splitgym.timing.power import even_power
from splitgym.types import Plan, RoundState
from splitgym.types.legal import check_arguments
from splitgym.types.memory import able_clients, most_clients


class GreedyWorkspace(NamedTuple):
    """Workspace for C clients."""

    compute_s: Floats
    """[C] seconds that each computes."""
    uplink_bits: Floats
    """[C]."""
    downlink_bits: Floats
    """[C]."""
    seconds: Floats
    """[C] that each needs, as things stand."""
    order: Ints
    """[C] clients that get its first subchannel first."""
    kept: Ints
    """[M] owners that the greedy has assigned before, in the world and under the plan at hand."""
    kept_for: Ints
    """[1] to so many clients, the first of a line; 0: nothing is kept."""


def greedy_workspace(clients: int, subchannels: int) -> GreedyWorkspace:
    """An empty workspace."""
    return GreedyWorkspace(
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients, np.int64),
        np.zeros(subchannels, np.int64),
        np.zeros(1, np.int64),
    )


def greedy_subchannels(state: RoundState, plan: Plan, selected: Bools) -> Ints:
    """Assigns subchannels to clients: one each, weakest compute first; then always the straggler gets one more.

    A client spreads an even share of the power budgets over what it owns. The straggler is the client that needs
    longest for all that it does by itself. Whom its best free subchannel would no longer help is dropped. With fewer
    subchannels than clients those are served whose round would be the shortest if each had the whole band; likewise
    with too little memory at nodes for all of them.

    Args:
        state: Of one world, as the scheduler believes it.
        plan: How they train.
        selected: [C] clients that shall get subchannels; those that lack the memory for the plan get none.

    Returns:
        [M] owner of each subchannel, -1: unused (only if nobody is selected or all were dropped).

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected)
    workload = own_workload(state, plan)
    links = own_links(state)
    held = no_assignment(*state.channel_gain.shape)
    (segments, clients), order = workload.compute_s.shape, np.zeros(len(selected), np.int64)
    least_s = np.zeros((segments + 1, clients))
    most = min(state.system.subchannels, most_clients(state, plan))
    if state.system.memory is not None:
        selected = able_clients(state, plan, selected)
    count = line(workload, links, selected, state.system.round_timeout_s, least_s, order)
    workspace = greedy_workspace(*state.channel_gain.shape)
    assign_greedily(held, links, workload, order[: min(count, most)], workspace)
    return held.owner


@kernel(INLINED)
def assign_greedily(
    held: AssignmentState, links: Links, workload: SegmentWorkload, served: Ints, greedy: GreedyWorkspace
) -> None:
    """Assigns the whole band to the clients `served` (their indices, at most M); `greedy` is workspace."""
    release_all(held)
    seconds, order, subchannels = greedy.seconds, greedy.order[: served.shape[0]], links.hz.shape[0]
    compute, uplink, downlink = greedy.compute_s, greedy.uplink_bits, greedy.downlink_bits
    for i in range(seconds.shape[0]):
        seconds[i] = -inf
    for n in range(served.shape[0]):
        i = order[n] = served[n]
        compute[i] = uplink[i] = downlink[i] = 0.0
        for s in range(workload.segments[0]):
            compute[i] += workload.compute_s[s, i]
            uplink[i] += workload.uplink_bits[s, i]
            downlink[i] += workload.downlink_bits[s, i]
        seconds[i] = -compute[i]
    if served.shape[0] == 0:
        return
    share_w = even_power(links.client_max_w, links.total_max_w, served.shape[0])
    sort_by(order, seconds)
    for i in order:
        assign(held, links, i, _best_free(held, links, i))
        seconds[i] = _own_seconds(held, links, i, share_w, compute[i], uplink[i], downlink[i])
    for _ in range(served.shape[0], subchannels):
        straggler = _slowest(seconds)
        while seconds[straggler] > -inf:
            k = _best_free(held, links, straggler)
            assign(held, links, straggler, k)
            faster = _own_seconds(
                held, links, straggler, share_w, compute[straggler], uplink[straggler], downlink[straggler]
            )
            if faster < seconds[straggler]:
                seconds[straggler] = faster
                break
            release(held, links, k)
            seconds[straggler] = -inf
            straggler = _slowest(seconds)
        else:
            return


@kernel(INLINED)
def _slowest(seconds: Floats) -> int:
    """The client that needs longest, the first of equals."""
    slowest = 0
    for i in range(1, seconds.shape[0]):
        if seconds[i] > seconds[slowest]:
            slowest = i
    return slowest


@kernel(INLINED)
def _best_free(held: AssignmentState, links: Links, i: int) -> int:
    """The client's best subchannel of those that nobody has."""
    best = -1
    for k in range(held.owner.shape[0]):
        if held.owner[k] < 0 and (best < 0 or links.floor[i, k] < links.floor[i, best]):
            best = k
    return best


@kernel(INLINED)
def _own_seconds(
    held: AssignmentState,
    links: Links,
    i: int,
    power_w: float,
    compute_s: float,
    uplink_bits: float,
    downlink_bits: float,
) -> float:
    """Seconds that client i needs for what it does by itself, its power spread evenly over its subchannels."""
    uplink_s = duration(uplink_bits, even_rate(held, links, i, power_w))
    return compute_s + uplink_s + duration(downlink_bits, held.downlink[i])
