"""Whether a candidate swap of subchannels is feasible: the innermost loop of the descent."""

from math import inf

from splitgym.allocation.assignment import power_at
from splitgym.allocation.descent.goal import Records, rate_if
from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.timing.barrier import duration


@kernel(INLINED)
def swap_is_feasible(
    holder: Records,
    duty: Records,
    segment: Records,
    common: Records,
    own: Ints,
    hz: Floats,
    floor: Floats,
    log_floor: Floats,
    downlink: Floats,
    i: int,
    j: int,
    k: int,
    back: int,
) -> bool:
    """Whether everybody meets the goal if i gets subchannel k of j (-1: nobody's) and j gets `back` (-1: nothing).

    Args:
        holder: Of the goal, as `duty`, `segment` and `common`.
        duty: [S, C].
        segment: [S].
        common: [1].
        own: [C, M] as in `AssignmentState`.
        hz: [M] as in `Links`, as `floor`, `log_floor` and `downlink`.
        floor: [C, M].
        log_floor: [C, M].
        downlink: [C, M].
        i: The client that receives.
        j: The client that gives.
        k: Subchannel.
        back: Subchannel of i.
    """
    all_of = common[0]
    downlink_i, downlink_j = _downlinks_if(holder, downlink, i, j, k, back)
    gained = 0.0
    for s in range(all_of.segments):
        if not segment[s].uplink:
            gained += _gained_if(duty, segment, s, i, downlink_i, j, downlink_j)
    if all_of.timed < 0:
        return gained > all_of.gain_s
    rate = rate_if(duty, segment, all_of.segments, all_of.timed, i, downlink_i, gained)
    power_i = _power_if(holder, own, hz, floor, log_floor, i, k, back, rate)
    if power_i > all_of.client_max_w:
        return False
    power_j = 0.0
    if j >= 0:
        rate = rate_if(duty, segment, all_of.segments, all_of.timed, j, downlink_j, gained)
        power_j = _power_if(holder, own, hz, floor, log_floor, j, back, k, rate)
        if power_j > all_of.client_max_w:
            return False
    left_w = all_of.total_max_w - power_i - power_j
    if not _others_may_meet(holder, common, i, j, gained, left_w):
        return False
    return gained == 0.0 or _others_meet(holder, duty, segment, common, own, hz, floor, log_floor, i, j, gained, left_w)


@kernel(NO_REFCOUNT)
def _downlinks_if(holder: Records, downlink: Floats, i: int, j: int, k: int, back: int) -> tuple[float, float]:
    """Downlinks of i and j after the swap, bits/s."""
    downlink_i, downlink_j = holder[i].downlink + downlink[i, k], 0.0
    if back >= 0:
        downlink_i -= downlink[i, back]
    if j >= 0:
        downlink_j = holder[j].downlink - downlink[j, k]
        if back >= 0:
            downlink_j += downlink[j, back]
    return downlink_i, downlink_j


@kernel(NO_REFCOUNT)
def _others_may_meet(holder: Records, common: Records, i: int, j: int, gained: float, left_w: float) -> bool:
    """Whether the others may meet the goal with `gained` seconds more; exact if these are none.

    Power is convex in the end, so they need no less than along the tangent.
    """
    all_of = common[0]
    power_w, slope = all_of.power_w - holder[i].power_w, all_of.slope - holder[i].slope
    over = all_of.over - (holder[i].power_w > all_of.client_max_w)
    if j >= 0:
        power_w -= holder[j].power_w
        slope -= holder[j].slope
        over -= holder[j].power_w > all_of.client_max_w
    return power_w + gained * slope <= left_w and (over == 0.0 or gained > 0.0)


@kernel(NO_REFCOUNT)
def _others_meet(
    holder: Records,
    duty: Records,
    segment: Records,
    common: Records,
    own: Ints,
    hz: Floats,
    floor: Floats,
    log_floor: Floats,
    i: int,
    j: int,
    gained: float,
    left_w: float,
) -> bool:
    """Whether all but i and j meet the goal with `gained` seconds more, within their budgets and `left_w` in all."""
    all_of = common[0]
    for other in range(holder.shape[0]):
        if holder[other].number == 0 or other in (i, j):
            continue
        rate = rate_if(duty, segment, all_of.segments, all_of.timed, other, holder[other].downlink, gained)
        power_w = _power_if(holder, own, hz, floor, log_floor, other, -1, -1, rate)
        left_w -= power_w
        if power_w > all_of.client_max_w or left_w < 0.0:
            return False
    return True


@kernel(NO_REFCOUNT)
def _gained_if(duty: Records, segment: Records, s: int, i: int, downlink_i: float, j: int, downlink_j: float) -> float:
    """By how much the last client ends segment s earlier if i and j had these downlinks; it has no uplink."""
    last = duty[s, i].compute_s + duration(duty[s, i].downlink_bits, downlink_i)
    if j >= 0:
        last = max(last, duty[s, j].compute_s + duration(duty[s, j].downlink_bits, downlink_j))
    for n in range(3):
        other = segment[s].last[n]
        if other not in (i, j):
            if other >= 0:
                last = max(last, duty[s, other].ready_s)
            break
    return segment[s].end_s - last


@kernel(INLINED)
def _power_if(
    holder: Records, own: Ints, hz: Floats, floor: Floats, log_floor: Floats, i: int, come: int, gone: int, rate: float
) -> float:
    """Least power with which client i reaches a rate if subchannel `come` came and `gone` went (-1: none)."""
    if rate <= 0.0:
        return 0.0
    if rate == inf:
        return inf
    wide, depth, dry, worst = holder[i].wide, holder[i].depth, holder[i].floor, -inf
    last = holder[i].number - 1
    if gone >= 0:
        wide -= hz[gone]
        depth -= hz[gone] * log_floor[i, gone]
        dry -= hz[gone] * floor[i, gone]
        if own[i, last] == gone:
            last -= 1
    if last >= 0:
        worst = log_floor[i, own[i, last]]
    if come >= 0:
        wide += hz[come]
        depth += hz[come] * log_floor[i, come]
        dry += hz[come] * floor[i, come]
        worst = max(worst, log_floor[i, come])
    x = (rate + depth) / wide
    if x <= worst:
        return _power_if_some_stay_dry(holder[i].number, own, hz, floor, log_floor, i, come, gone, rate)
    return power_at(x, wide, dry)


@kernel(NO_REFCOUNT)
def _power_if_some_stay_dry(
    count: int, own: Ints, hz: Floats, floor: Floats, log_floor: Floats, i: int, come: int, gone: int, rate: float
) -> float:
    """The same from the best subchannel upwards, until the next one stays dry."""
    wide = depth = dry = 0.0
    x, n = inf, 0
    to_come = come >= 0
    while True:
        if n < count and own[i, n] == gone:
            n += 1
            continue
        k = own[i, n] if n < count else -1
        if to_come and (k < 0 or floor[i, come] < floor[i, k]):
            k = come
        if k < 0 or x <= log_floor[i, k]:
            return power_at(x, wide, dry)
        wide += hz[k]
        depth += hz[k] * log_floor[i, k]
        dry += hz[k] * floor[i, k]
        x = (rate + depth) / wide
        if k == come:
            to_come = False
        else:
            n += 1
