"""The blocks for one slot at one cut layer: subchannels, power, swaps, for as many clients as can be in time."""

from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.allocation.admission import line, servable
from splitgym.allocation.assignment import AssignmentState, assign, assign_all, even_rate, release_all
from splitgym.allocation.descent.goal import Goal, no_goal
from splitgym.allocation.descent.greedy import GreedyWorkspace, assign_greedily, greedy_workspace
from splitgym.allocation.descent.local_search import search_swaps
from splitgym.allocation.even_split import even_share_w
from splitgym.allocation.link_budget import Links
from splitgym.allocation.max_snr import MaxSnr, assign_max_snr, max_snr_workspace
from splitgym.allocation.segment_times import end_at
from splitgym.allocation.workload import SegmentWorkload, common_seconds
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel

STARTS = 3
"""Where swaps may start: at the greedy, at max-SNR, at the SNR in relation to the client's best."""
GREEDY, RELATIVE = 0, 2
"""The first and the last of them."""
SCARCE = 1.5
"""With fewer subchannels for each client than this, relative signal strength is the better start."""


class Workspace(NamedTuple):
    """Arrays to write into."""

    ends: Floats
    """[S] seconds of each segment."""
    least_s: Floats
    """[S + 1, C] lower bounds; the last row for sums."""
    order: Ints
    """[C] clients that are served, first those that are."""
    greedy: GreedyWorkspace
    """Of the greedy."""
    max_snr: MaxSnr
    """Of the strongest signal."""
    best: Ints
    """[M] the best owners so far."""
    best_ends: Floats
    """[S] and their ends, s."""
    goal: Goal
    """Of swaps."""
    blocks: Floats
    """[2] latency after the blocks subchannels and power, s."""


def workspace_for(segments: int, clients: int, subchannels: int) -> Workspace:
    """An empty workspace."""
    return Workspace(
        np.zeros(segments),
        np.zeros((segments + 1, clients)),
        np.zeros(clients, np.int64),
        greedy_workspace(clients, subchannels),
        max_snr_workspace(clients, subchannels),
        np.zeros(subchannels, np.int64),
        np.zeros(segments),
        no_goal(segments, clients, subchannels),
        np.zeros(2),
    )


@kernel(NO_REFCOUNT)
def allocate_slot(
    held: AssignmentState,
    links: Links,
    workload: SegmentWorkload,
    members: Bools,
    anybody: bool,
    most_clients: int,
    timeout_s: float,
    given: Ints,
    even_power: bool,
    starts: int,
    trials: int,
    workspace: Workspace,
) -> tuple[int, float, int]:
    """Subchannels and powers of a slot, for as many of its members as can be in time, then for the shortest slot.

    Whoever is not served gets nothing, so that nobody waits for it.

    Args:
        held: Filled with what each client gets.
        links: Of the world.
        workload: Of the slot.
        members: [C] clients in the slot that have a signal on some subchannel.
        anybody: Whether any client is in the slot, with a signal or without.
        most_clients: How many nodes have the memory for.
        timeout_s: Of the slot.
        given: [M] owners, if subchannels are not to be chosen; else empty.
        even_power: Everybody spends the same; else exact power control.
        starts: Where to start: 0: at the greedy; 1: where it is best as a rule; `STARTS`: at all.
        trials: Swaps that may be tried.
        workspace: Overwritten: the ends, and the latency after the blocks.

    Returns:
        How many are served and in time, the latency, s, and how many trials are left.
    """
    order = workspace.order
    count, _ = servable(workload, links, members, most_clients, timeout_s, workspace.least_s, order)
    in_line, fewest, most = 0, 0, count
    for i in range(members.shape[0]):
        in_line += members[i]
    # All; then, by bisection, the longest part of the line that is in time; then each client alone, for the line is
    # that of whole slots, and another client than its first may be the only one in time.
    alone, place, behind = count == 0, 0, max(count, 1)
    while behind <= min(in_line, most_clients):
        served = order[place:behind]
        seconds, left = _allocate(held, links, workload, served, given, even_power, starts, trials, workspace)
        in_time = _timely(links, workload, served, workspace.ends, timeout_s)
        if in_time and (alone or behind == most):
            return behind - place, seconds, left
        if alone:
            place, behind = place + 1, behind + 1
            continue
        if behind == count:
            line(workload, links, members, timeout_s, workspace.least_s, order)
        if in_time:
            fewest = behind
        else:
            most = behind - 1
        alone = most == 0
        behind = max((fewest + most + 1) // 2, 1)
    release_all(held)
    seconds = timeout_s if anybody else 0.0
    workspace.blocks[0] = workspace.blocks[1] = seconds
    return 0, seconds, trials


@kernel(NO_REFCOUNT)
def _allocate(
    held: AssignmentState,
    links: Links,
    workload: SegmentWorkload,
    served: Ints,
    given: Ints,
    even_power: bool,
    starts: int,
    trials: int,
    workspace: Workspace,
) -> tuple[float, int]:
    """The blocks for the clients `served`; returns the latency, s, and how many trials are left.

    Swaps end where no single one helps, which depends on where they start: at what the greedy assigns, and at what
    two rules assign that look at the channel alone.
    """
    common_s = _common_seconds(links, workload, served)
    if workload.segments[0] == 0:
        release_all(held)
        workspace.blocks[0] = workspace.blocks[1] = common_s
        return common_s, trials
    first, behind = _starts(links, served, starts if given.shape[0] == 0 else 0)
    best_s, best, ends, best_ends = inf, workspace.best, workspace.ends, workspace.best_ends
    for start in range(first, behind):
        if given.shape[0] == 0:
            _start(held, links, workload, served, start, workspace)
        else:
            _hold_given(held, links, served, given)
        seconds, trials = _with_powers(
            held, links, workload, common_s, even_power, start == first, trials if given.shape[0] == 0 else 0, workspace
        )
        if behind == first + 1:
            return seconds, trials
        if start == first or seconds < best_s:
            best_s = seconds
            for k in range(best.shape[0]):
                best[k] = held.owner[k]
            for s in range(ends.shape[0]):
                best_ends[s] = ends[s]
    assign_all(held, links, best)
    for s in range(ends.shape[0]):
        ends[s] = best_ends[s]
    return best_s, trials


@kernel(INLINED)
def _starts(links: Links, served: Ints, starts: int) -> tuple[int, int]:
    """Where swaps start: the first of `STARTS`, and the one behind the last."""
    if starts == STARTS:
        return GREEDY, STARTS
    if starts == 1 and links.hz.shape[0] < SCARCE * served.shape[0]:
        return RELATIVE, RELATIVE + 1
    return GREEDY, GREEDY + 1


@kernel(INLINED)
def _with_powers(
    held: AssignmentState,
    links: Links,
    workload: SegmentWorkload,
    common_s: float,
    even_power: bool,
    first: bool,
    trials: int,
    workspace: Workspace,
) -> tuple[float, int]:
    """Powers for what is held, and swaps; returns the latency, s, and how many trials are left.

    Beside it, the ends are noted, and the latency after each block if it is the first start, or if that is less.
    """
    seconds = common_s
    if even_power or first:
        seconds = common_s + _even_ends(held, links, workload, workspace.ends)
        workspace.blocks[0] = workspace.blocks[1] = seconds if first else min(workspace.blocks[0], seconds)
    if not even_power:
        unswapped_s, ends_s, trials = search_swaps(held, links, workload, workspace.ends, workspace.goal, trials)
        workspace.blocks[1] = min(workspace.blocks[1], common_s + unswapped_s)
        seconds = common_s + ends_s
    return seconds, trials


@kernel(INLINED)
def _common_seconds(links: Links, workload: SegmentWorkload, served: Ints) -> float:
    """Seconds of all common phases."""
    band = _slowest_band(links, served)
    return common_seconds(workload, 0, served, band) + common_seconds(workload, 1, served, band)


@kernel(INLINED)
def _slowest_band(links: Links, served: Ints) -> float:
    """Rate of a broadcast to those that are served, bits/s."""
    slowest = inf
    for i in served:
        slowest = min(slowest, links.band[i])
    return slowest


@kernel(INLINED)
def _start(
    held: AssignmentState, links: Links, workload: SegmentWorkload, served: Ints, start: int, workspace: Workspace
) -> None:
    """Assigns subchannels as at one of `STARTS`."""
    greedy, max_snr = workspace.greedy, workspace.max_snr
    if start == GREEDY and served.shape[0] == greedy.kept_for[0]:
        assign_all(held, links, greedy.kept)
        return
    if start == GREEDY:
        assign_greedily(held, links, workload, served, greedy)
        return
    for i in served:
        max_snr.handicap[i] = links.lowest_floor[i] if start == RELATIVE else 1.0
    assign_max_snr(links.floor, served, max_snr)
    assign_all(held, links, max_snr.owner)


@kernel(INLINED)
def _hold_given(held: AssignmentState, links: Links, served: Ints, given: Ints) -> None:
    """Assigns the given subchannels to the owners that are served."""
    release_all(held)
    for k in range(given.shape[0]):
        is_served = False
        for i in served:
            is_served |= given[k] == i
        if is_served:
            assign(held, links, given[k], k)


@kernel(INLINED)
def _even_ends(held: AssignmentState, links: Links, workload: SegmentWorkload, ends: Floats) -> float:
    """Seconds of each segment under an even split of power; returns their sum."""
    rates = held.rates[0]
    share_w = even_share_w(held, links)
    for i in range(rates.shape[0]):
        rates[i] = even_rate(held, links, i, share_w)
    total = 0.0
    for s in range(workload.segments[0]):
        ends[s] = end_at(held, workload, s, rates)
        total += ends[s]
    return total


@kernel(INLINED)
def _timely(links: Links, workload: SegmentWorkload, served: Ints, ends: Floats, timeout_s: float) -> bool:
    """Whether the served clients are in time."""
    timed = workload.segments[1]
    if timed < 0:
        return True
    seconds = common_seconds(workload, 0, served, _slowest_band(links, served))
    for s in range(timed + 1):
        seconds += ends[s]
    return bool(seconds <= timeout_s)
