"""The goal of candidate swaps: everybody ends a little earlier than now.

What a candidate reads stands in records, a row per client and segment: reading a field of a record costs one memory
access, while taking an array out of a tuple costs an atomic count of references.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.assignment import AssignmentState, level_at, log_level, power_at
from splitgym.allocation.link_budget import Links
from splitgym.allocation.segment_times import has_uplink, ready
from splitgym.allocation.workload import SegmentWorkload
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.timing.barrier import duration
from splitgym.timing.rates import LN2

Records = NDArray[np.void]

GAIN = 1e-7
"""A swap has to shorten the time by this fraction at least, times the number of subchannels."""

HOLDER = np.dtype(
    [
        ("number", np.int64),
        ("wide", np.float64),
        ("depth", np.float64),
        ("floor", np.float64),
        ("downlink", np.float64),
        ("power_w", np.float64),
        ("slope", np.float64),
    ]
)
"""A client: its sums as in `AssignmentState`; the power that it needs for the goal (W; at most twice p_max, which is
enough to know that it cannot meet it), and its derivative by the end of the timed segment (W/s)."""
DUTY = np.dtype(
    [("compute_s", np.float64), ("uplink_bits", np.float64), ("downlink_bits", np.float64), ("ready_s", np.float64)]
)
"""What a client does in a segment; `ready_s`: the seconds of it without the uplink."""
SEGMENT = np.dtype([("end_s", np.float64), ("uplink", np.bool_), ("last", np.int64, 3)])
"""When a segment shall end; whether it has an uplink, which power shortens; the last three clients without their
uplinks, the very last one first (-1: there are fewer)."""
COMMON = np.dtype(
    [
        ("segments", np.int64),
        ("timed", np.int64),
        ("gain_s", np.float64),
        ("client_max_w", np.float64),
        ("total_max_w", np.float64),
        ("power_w", np.float64),
        ("slope", np.float64),
        ("over", np.float64),
    ]
)
"""What is common to all: how many segments; the first with an uplink (-1: none), which may last longer by what those
without one gain; how much earlier all have to end; budgets; sums of the clients' power and slope; how many break their
own budget."""


class Goal(NamedTuple):
    """Everybody ends a little earlier than now."""

    holder: Records
    """[C]."""
    duty: Records
    """[S, C]."""
    segment: Records
    """[S]."""
    common: Records
    """[1]."""
    tried: Bools
    """[C] with whom all swaps have been tried."""
    power_w: Floats
    """[C] workspace for what clients need, W."""
    order: Ints
    """[2, C] workspace for lists of clients."""
    back: Ints
    """[M + 1] workspace for what a client may give in return."""


def no_goal(segments: int, clients: int, subchannels: int) -> Goal:
    """Workspace for a goal."""
    holder, duty = np.zeros(clients, HOLDER), np.zeros((segments, clients), DUTY)
    return Goal(
        holder,
        duty,
        np.zeros(segments, SEGMENT),
        np.zeros(1, COMMON),
        np.zeros(clients, np.bool_),
        np.zeros(clients),
        np.zeros((2, clients), np.int64),
        np.zeros(subchannels + 1, np.int64),
    )


@kernel(INLINED)
def set_goal(goal: Goal, held: AssignmentState, links: Links, workload: SegmentWorkload, ends: Floats) -> None:
    """To end earlier than `ends` [S] by a share of their sum, in the first segment with an uplink."""
    holder, duty, segment, all_of = goal.holder, goal.duty, goal.segment, goal.common[0]
    segments, clients = workload.segments[0], holder.shape[0]
    all_of.segments, all_of.timed = segments, -1
    all_of.gain_s = 0.0
    for s in range(segments):
        all_of.gain_s += GAIN * links.hz.shape[0] * ends[s]
    all_of.client_max_w, all_of.total_max_w = links.client_max_w, links.total_max_w
    for s in range(segments):
        segment[s].uplink, segment[s].end_s = has_uplink(held, workload, s), ends[s]
        if segment[s].uplink and all_of.timed < 0:
            all_of.timed = s
            segment[s].end_s -= all_of.gain_s
        for i in range(clients):
            served = held.number[i] > 0
            duty[s, i].compute_s = workload.compute_s[s, i]
            duty[s, i].uplink_bits = workload.uplink_bits[s, i] if served else 0.0
            duty[s, i].downlink_bits = workload.downlink_bits[s, i]
            duty[s, i].ready_s = ready(held, workload, s, i) if served else 0.0
        _find_last(duty, segment, s)
    all_of.power_w = all_of.slope = all_of.over = 0.0
    for i in range(clients):
        one = holder[i]
        one.number, one.wide, one.depth = held.number[i], held.wide[i], held.depth[i]
        one.floor, one.downlink = held.floor[i], held.downlink[i]
        one.power_w, one.slope = _power_and_slope(goal, held, links, i)
        all_of.power_w += one.power_w
        all_of.slope += one.slope
        all_of.over += one.power_w > links.client_max_w


@kernel(INLINED)
def _find_last(duty: Records, segment: Records, s: int) -> None:
    """Fills in the last three clients of segment s."""
    last = second = third = -1
    for i in range(duty.shape[1]):
        if last < 0 or duty[s, i].ready_s > duty[s, last].ready_s:
            last, second, third = i, last, second
        elif second < 0 or duty[s, i].ready_s > duty[s, second].ready_s:
            second, third = i, second
        elif third < 0 or duty[s, i].ready_s > duty[s, third].ready_s:
            third = i
    segment[s].last[0], segment[s].last[1], segment[s].last[2] = last, second, third


@kernel(INLINED)
def _power_and_slope(goal: Goal, held: AssignmentState, links: Links, i: int) -> tuple[float, float]:
    """Power that client i needs, at most twice its budget, and its derivative by the end of the timed segment."""
    all_of = goal.common[0]
    rate = rate_if(goal.duty, goal.segment, all_of.segments, all_of.timed, i, goal.holder[i].downlink, 0.0)
    if rate == 0.0:
        return 0.0, 0.0
    x, wide, floor = log_level(held, links, i, rate)
    power_w = power_at(x, wide, floor)
    if not power_w < 2.0 * links.client_max_w:
        return 2.0 * links.client_max_w, 0.0
    duty = goal.duty[all_of.timed, i]
    left = goal.segment[all_of.timed].end_s - duty.ready_s
    steers = duty.uplink_bits >= rate * left and duty.uplink_bits > 0.0
    return power_w, -LN2 * level_at(x) * rate * rate / duty.uplink_bits if steers else 0.0


@kernel(INLINED)
def rate_if(
    duty: Records, segment: Records, segments: int, timed: int, i: int, downlink: float, gained: float
) -> float:
    """Rate that client i needs for the goal with another downlink and more time."""
    rate = 0.0
    for s in range(segments):
        if not segment[s].uplink:
            continue
        left = segment[s].end_s - duty[s, i].compute_s - duration(duty[s, i].downlink_bits, downlink)
        if s == timed:
            left += gained
        bits = duty[s, i].uplink_bits
        if left < 0.0 or (left == 0.0 and bits > 0.0):
            return inf
        if bits > 0.0:
            rate = max(rate, bits / left)
    return rate
