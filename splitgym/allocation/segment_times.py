"""When clients end a segment at given rates, and the rates that an end needs."""

from math import inf

from splitgym.allocation.assignment import AssignmentState
from splitgym.allocation.workload import SegmentWorkload
from splitgym.arrays import Floats
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.timing.barrier import duration


@kernel(NO_REFCOUNT)
def has_uplink(held: AssignmentState, workload: SegmentWorkload, s: int) -> bool:
    """Whether any client that holds something has bits to send in segment s."""
    bits = 0.0
    for i in range(held.number.shape[0]):
        if held.number[i] > 0:
            bits += workload.uplink_bits[s, i]
    return bits > 0.0


@kernel(NO_REFCOUNT)
def ready(held: AssignmentState, workload: SegmentWorkload, s: int, i: int) -> float:
    """Seconds of client i in segment s without its uplink."""
    return workload.compute_s[s, i] + duration(workload.downlink_bits[s, i], held.downlink[i])


@kernel(NO_REFCOUNT)
def last_without_uplink(held: AssignmentState, workload: SegmentWorkload, s: int) -> float:
    """When the last client ends segment s, which has no uplink, s."""
    last = 0.0
    for i in range(held.number.shape[0]):
        if held.number[i] > 0:
            last = max(last, ready(held, workload, s, i))
    return last


@kernel(NO_REFCOUNT)
def end_at(held: AssignmentState, workload: SegmentWorkload, s: int, rates: Floats) -> float:
    """When the last client ends segment s if they send at these rates [C], s."""
    last = 0.0
    for i in range(held.number.shape[0]):
        if held.number[i] > 0:
            last = max(last, ready(held, workload, s, i) + duration(workload.uplink_bits[s, i], rates[i]))
    return last


@kernel(NO_REFCOUNT)
def rate_for(held: AssignmentState, workload: SegmentWorkload, s: int, i: int, end: float) -> float:
    """Rate with which client i ends segment s in time; endless if no rate is enough."""
    bits = workload.uplink_bits[s, i]
    if bits == 0.0:
        return 0.0
    left = end - ready(held, workload, s, i)
    return bits / left if left > 0.0 else inf


@kernel(NO_REFCOUNT)
def rate_needed(held: AssignmentState, workload: SegmentWorkload, i: int, ends: Floats) -> float:
    """Rate with which client i ends every segment in time, bits/s."""
    rate = 0.0
    for s in range(workload.segments[0]):
        rate = max(rate, rate_for(held, workload, s, i, ends[s]))
    return rate
