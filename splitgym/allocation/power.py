"""Power control, exact (the paper's second block): the least sum of the segments' times that the budgets allow.

With the subchannels given, clients have to wait for each other's uplinks alone, and the problem is convex. For one
segment with an uplink: find the time t at which it ends; each client then needs a rate, the least power that reaches it
is water-filling over its own subchannels, and t is the smallest for which every budget holds. A second uplink in the
round (SFL gives the model back) adds a search over how the two share the time.
"""

from math import inf, log

import numpy as np

from splitgym.allocation.assignment import (
    AssignmentState,
    assign_all,
    greatest_rate,
    level_at,
    log_level,
    no_assignment,
)
from splitgym.allocation.even_split import even_share_w
from splitgym.allocation.link_budget import Links, own_links
from splitgym.allocation.segment_times import end_at, has_uplink, last_without_uplink, rate_for, rate_needed, ready
from splitgym.allocation.workload import SegmentWorkload, own_workload, uplinks
from splitgym.arrays import Floats, Ints
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.timing.barrier import duration
from splitgym.timing.rates import LN2
from splitgym.types import Plan, RoundState
from splitgym.types.legal import check_arguments

PRECISION = 1e-13
"""Relative precision of a segment's end."""
MOST_STEPS = 2200
"""Halvings from the largest number to the smallest: more than any search for an end takes."""
GOLDEN = 0.6180339887498949
SPLITS = 45
"""Steps of the search over two uplinks: the bracket shrinks to 4e-10 of its width, the time's error to far less."""


def control_power(state: RoundState, plan: Plan, assignment: Ints) -> Floats:
    """Powers under which the round ends as early as the budgets allow; no client uses more than it then needs.

    Args:
        state: Of one world, as the scheduler believes it.
        plan: How clients train.
        assignment: [M] owner of each subchannel, -1: unused.

    Returns:
        [M] W/Hz; 0 on unused subchannels.

    Raises:
        ValueError: the round has more than two uplinks with a wait for everybody between them; or an argument does not
            fit the state.
    """
    check_arguments(state, assignment=assignment)
    workload = own_workload(state, plan)
    check_uplinks(uplinks(workload))
    links = own_links(state)
    held = no_assignment(*state.channel_gain.shape)
    assign_all(held, links, np.asarray(assignment, np.int64))
    ends = np.zeros(len(workload.compute_s))
    control(held, links, workload, ends)
    psd = np.zeros(len(assignment))
    write_psd(held, links, workload, ends, False, psd)
    return psd


def check_uplinks(count: int) -> None:
    """Raises a ValueError if there are more segments with an uplink than power control is exact for."""
    if count > 2:
        raise ValueError(f"the round has {count} uplinks with a wait for everybody between them, allowed: 2")


@kernel(NO_REFCOUNT)
def control(held: AssignmentState, links: Links, workload: SegmentWorkload, ends: Floats) -> float:
    """Least sum over the segments of the time at which the last client ends, of all that hold something.

    Args:
        held: Which client holds what.
        links: Of the world.
        workload: Of the slot.
        ends: [S] filled with the seconds of each segment.

    Returns:
        Their sum, s.
    """
    first = second = -1
    total = 0.0
    nothing, feasible = held.rates[0], held.rates[1]
    for s in range(workload.segments[0]):
        if not has_uplink(held, workload, s):
            ends[s] = last_without_uplink(held, workload, s)
            continue
        if first < 0:
            first, share_w = s, even_share_w(held, links)
            for i in range(feasible.shape[0]):
                nothing[i] = 0.0
                feasible[i] = greatest_rate(held, links, i, share_w) if held.number[i] > 0 else 0.0
        else:
            second = s
        ends[s] = _earliest_end(held, links, workload, s, nothing, feasible)
    if second >= 0:
        _share_time(held, links, workload, first, second, ends)
    for s in range(workload.segments[0]):
        total += ends[s]
    return total


@kernel(NO_REFCOUNT)
def _earliest_end(
    held: AssignmentState, links: Links, workload: SegmentWorkload, s: int, floor: Floats, feasible: Floats
) -> float:
    """Earliest end of segment s that the budgets allow, s.

    The client budgets give a lower bound. Where it breaks the common one, the power that all need together has to come
    down to it: Newton's method on its logarithm, which is convex in the end, so that from the left it hardly ever
    overshoots; a bracket guards it.

    Args:
        held: Which client holds what.
        links: Of the world.
        workload: Of the slot.
        s: The segment.
        floor: [C] rates that clients need anyway, bits/s.
        feasible: [C] rates that the budgets allow all of them together.
    """
    low, high = 0.0, end_at(held, workload, s, feasible)
    for i in range(held.number.shape[0]):
        if held.number[i] > 0:
            rate = greatest_rate(held, links, i, links.client_max_w)
            low = max(low, ready(held, workload, s, i) + duration(workload.uplink_bits[s, i], rate))
    if high == inf and 0.0 < low < inf:
        # A client that sends nothing else needs no rate so far: double the end until the budgets hold.
        high = low
        while high < inf:
            power_w, _ = _power_for_end(held, links, workload, s, high, floor)
            if power_w <= links.total_max_w:
                break
            high *= 2.0
    end = low
    for _ in range(MOST_STEPS):
        if not high - low > PRECISION * high:
            break
        power_w, slope = _power_for_end(held, links, workload, s, end, floor)
        excess = log(power_w / links.total_max_w)
        if abs(excess) <= PRECISION or (end == low and excess < 0.0):
            return end
        if excess > 0.0:
            low = end
        else:
            high = end
        end -= excess * power_w / slope
        if not low < end < high:
            end = 0.5 * (low + high)
    return high


@kernel(NO_REFCOUNT)
def _power_for_end(
    held: AssignmentState, links: Links, workload: SegmentWorkload, s: int, end: float, floor: Floats
) -> tuple[float, float]:
    """Power with which everybody ends segment s in time, W, and its derivative by the end, W/s."""
    power_w = slope = 0.0
    for i in range(held.number.shape[0]):
        if held.number[i] == 0:
            continue
        rate = rate_for(held, workload, s, i, end)
        needed = max(rate, floor[i])
        if needed == 0.0:
            continue
        x, wide, dry = log_level(held, links, i, needed)
        level = level_at(x)
        power_w += wide * level - dry
        if rate > floor[i]:
            slope -= LN2 * level * rate * rate / workload.uplink_bits[s, i]
    return power_w, slope


@kernel(NO_REFCOUNT)
def _share_time(
    held: AssignmentState,
    links: Links,
    workload: SegmentWorkload,
    first: int,
    second: int,
    ends: Floats,
) -> None:
    """Ends of two segments with an uplink whose sum is least; at first `ends` are the earliest of each by itself.

    The earliest end of the second segment is a convex function of the end of the first: golden-section search.
    """
    rates = held.rates[2]
    _rates_for(held, workload, second, ends[second], rates)
    low, high = ends[first], end_at(held, workload, first, rates)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    # Ends of the second segment, below 0: not known yet.
    of_left = of_right = -1.0
    for known in range(2 + SPLITS):
        end = left if of_left < 0.0 else right
        _rates_for(held, workload, first, end, rates)
        second_end = _earliest_end(held, links, workload, second, rates, rates)
        if of_left < 0.0:
            of_left = second_end
        else:
            of_right = second_end
        if of_right < 0.0:
            continue
        if known == 1 + SPLITS or not high - low > 1e-9 * high:
            break
        if left + of_left <= right + of_right:
            high, right, of_right, of_left = right, left, of_left, -1.0
            left = high - GOLDEN * (high - low)
        else:
            low, left, of_left, of_right = left, right, of_right, -1.0
            right = low + GOLDEN * (high - low)
    if left + of_left <= right + of_right:
        ends[first], ends[second] = left, of_left
    else:
        ends[first], ends[second] = right, of_right


@kernel(NO_REFCOUNT)
def _rates_for(held: AssignmentState, workload: SegmentWorkload, s: int, end: float, rates: Floats) -> None:
    """Fills in the rates [C] with which everybody ends segment s in time."""
    for i in range(held.number.shape[0]):
        rates[i] = rate_for(held, workload, s, i, end) if held.number[i] > 0 else 0.0


@kernel(NO_REFCOUNT)
def write_psd(
    held: AssignmentState, links: Links, workload: SegmentWorkload, ends: Floats, even: bool, psd: Floats
) -> None:
    """Fills in [M] powers, W/Hz, of all that hold something: by an even split or as the ends need."""
    for k in range(psd.shape[0]):
        psd[k] = 0.0
    share_w = even_share_w(held, links)
    for i in range(held.number.shape[0]):
        rate = rate_needed(held, workload, i, ends) if held.number[i] > 0 else 0.0
        if rate == 0.0:
            continue
        x, _, _ = log_level(held, links, i, rate)
        level = level_at(x)
        for n in range(held.number[i]):
            k = held.own[i, n]
            psd[k] = share_w / held.wide[i] if even else max(0.0, level - links.floor[i, k])
