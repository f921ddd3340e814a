"""Which clients can be served, and how soon at best: bounds on a client that had what no other needs."""

from math import ceil, inf

from splitgym.allocation.link_budget import Links
from splitgym.allocation.workload import SegmentWorkload, common_seconds
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.timing.barrier import duration
from splitgym.timing.power import even_power
from splitgym.timing.rates import shannon_rate

NARROWINGS = 3
"""Steps of the bound on a client's bandwidth."""
ROUNDING = 1e-9
"""By this fraction a bandwidth may be too large."""


@kernel(INLINED)
def least_seconds(workload: SegmentWorkload, links: Links, members: Bools, sharing: int, seconds: Floats) -> None:
    """Fills in [S, C] seconds below which no member ends a segment if so many clients share the band.

    The client would have all of the band but one subchannel for each of the others, every piece as good as its best
    one, and its whole power budget.
    """
    spare_hz, least_hz = 0.0, inf
    for hz in links.hz:
        spare_hz += hz
        least_hz = min(least_hz, hz)
    spare_hz -= (sharing - 1) * least_hz
    power_w = even_power(links.client_max_w, links.total_max_w, 1)
    for i in range(members.shape[0]):
        if members[i]:
            least_seconds_of(workload, links, i, spare_hz, power_w, seconds)


@kernel(INLINED)
def least_seconds_of(
    workload: SegmentWorkload, links: Links, i: int, spare_hz: float, power_w: float, seconds: Floats
) -> None:
    """Likewise of client i alone, which may have this bandwidth and power."""
    uplink = shannon_rate(spare_hz, power_w / (spare_hz * links.lowest_floor[i]))
    downlink = min(links.whole[i], spare_hz * links.best_downlink[i])
    for s in range(workload.segments[0]):
        uplink_s = duration(workload.uplink_bits[s, i], uplink)
        seconds[s, i] = workload.compute_s[s, i] + uplink_s + duration(workload.downlink_bits[s, i], downlink)


@kernel(INLINED)
def least_latency(workload: SegmentWorkload, links: Links, served: Ints, least_s: Floats) -> tuple[float, float]:
    """A slot with these clients takes no less than this, s, and its timeout's barrier comes no earlier than that."""
    slowest_band = inf
    for i in served:
        slowest_band = min(slowest_band, links.band[i])
    before = common_seconds(workload, 0, served, slowest_band)
    total = before + common_seconds(workload, 1, served, slowest_band)
    for s in range(workload.segments[0]):
        last = 0.0
        for i in served:
            last = max(last, least_s[s, i])
        total += last
        if s <= workload.segments[1]:
            before += last
    return total, before if workload.segments[1] >= 0 else 0.0


@kernel(NO_REFCOUNT)
def servable(
    workload: SegmentWorkload, links: Links, members: Bools, most: int, timeout_s: float, least_s: Floats, order: Ints
) -> tuple[int, float]:
    """Which clients can be served: as many members as there are subchannels and as can be in time, by the bounds.

    If not all can be, those are whose slot could be the shortest, each with the whole band. Where clients do nothing
    by themselves, nobody needs a subchannel.

    Args:
        workload: Of the slot.
        links: Of the world.
        members: [C].
        most: How many can be served for other reasons.
        timeout_s: Of the slot.
        least_s: [S, C] workspace for seconds.
        order: [C] filled with the members' indices, the first in line first.

    Returns:
        How many, the first in the order; and a lower bound of the latency: with nobody the timeout.
    """
    count = list_members(members, order)
    if count == 0:
        return 0, 0.0
    if workload.segments[0] > 0:
        most = min(most, links.hz.shape[0])
    n, all_may_be, in_line = count, count <= most, False
    if all_may_be:
        least_seconds(workload, links, members, count, least_s)
    while n > 0:
        if all_may_be or in_line:
            latency_s, barrier_s = least_latency(workload, links, order[:n], least_s)
            if barrier_s <= timeout_s:
                return n, latency_s
        if in_line:
            n -= 1
            continue
        line(workload, links, members, timeout_s, least_s, order)
        n, in_line = min(count, most), True
    return 0, timeout_s


@kernel(NO_REFCOUNT)
def can_end_by(
    workload: SegmentWorkload,
    links: Links,
    members: Bools,
    latest_s: float,
    least_s: Floats,
    order: Ints,
    rates: Floats,
) -> bool:
    """Whether a slot with all members may take no longer, as far as a bound tells.

    Each needs as many subchannels as carry its uplink in time if all are as good as its best one and it has its whole
    power budget; there must be enough for all of them.

    Args:
        workload: Of the slot.
        links: Of the world.
        members: [C] clients, who all can be served.
        latest_s: Seconds of the slot.
        least_s: [S, C] workspace for seconds.
        order: [C] workspace for indices.
        rates: [C] workspace for uplink rates, bits/s.
    """
    count, subchannels = list_members(members, order), links.hz.shape[0]
    least_seconds(workload, links, members, count, least_s)
    latency_s, _ = least_latency(workload, links, order[:count], least_s)
    if latency_s > latest_s:
        return False
    for s in range(workload.segments[0]):
        end = 0.0
        for n in range(count):
            end = max(end, least_s[s, order[n]])
        end += latest_s - latency_s
        for n in range(count):
            i = order[n]
            bits = workload.uplink_bits[s, i]
            left = end - workload.compute_s[s, i] - duration(workload.downlink_bits[s, i], links.whole[i])
            rate = 0.0 if bits == 0.0 else bits / left if left > 0.0 else inf
            rates[i] = rate if s == 0 else max(rates[i], rate)
    band_hz, narrowest_hz, widest_hz = 0.0, inf, 0.0
    for k in range(subchannels):
        band_hz += links.hz[k]
        narrowest_hz, widest_hz = min(narrowest_hz, links.hz[k]), max(widest_hz, links.hz[k])
    power_w, needed = even_power(links.client_max_w, links.total_max_w, 1), 0
    for n in range(count if workload.segments[0] > 0 else 0):
        i = order[n]
        hz = narrowest_hz
        for _ in range(NARROWINGS):
            # What a bandwidth that is too small seems to carry is too much, so the next one is too small, too.
            hz = max(hz, rates[i] / shannon_rate(1.0, power_w / (hz * links.lowest_floor[i])))
        if hz > band_hz * (1.0 + ROUNDING):
            return False
        needed += max(1, ceil(hz / widest_hz * (1.0 - ROUNDING)))
    return needed <= subchannels


@kernel(INLINED)
def list_members(members: Bools, order: Ints) -> int:
    """Fills in the indices of the members ([C]); returns how many they are."""
    count = 0
    for i in range(members.shape[0]):
        if members[i]:
            order[count] = i
            count += 1
    return count


@kernel(NO_REFCOUNT)
def line(
    workload: SegmentWorkload, links: Links, members: Bools, timeout_s: float, least_s: Floats, order: Ints
) -> int:
    """Members in the order in which they should be served if not all can be: whose slot would be the shortest first.

    Each with the whole band for itself, for which `least_s` is filled in. A client that would miss the timeout even so
    is last.

    Args:
        workload: Of the slot.
        links: Of the world.
        members: [C].
        timeout_s: Of the slot.
        least_s: [S + 1, C] filled; the last row with each client's sum.
        order: [C] filled with indices.

    Returns:
        How many members there are.
    """
    least_seconds(workload, links, members, 1, least_s)
    count, seconds = list_members(members, order), least_s[least_s.shape[0] - 1]
    for n in range(count):
        i = order[n]
        seconds[i] = 0.0
        for s in range(workload.segments[0]):
            seconds[i] += least_s[s, i]
        if least_latency(workload, links, order[n : n + 1], least_s)[1] > timeout_s:
            seconds[i] = inf
    sort_by(order[:count], seconds)
    return count


@kernel(NO_REFCOUNT)
def sort_by(indices: Ints, key: Floats) -> None:
    """Sorts some indices by the keys at them, the least first, those of equals as they stand: few, by insertion."""
    for n in range(1, indices.shape[0]):
        index, place = indices[n], n
        while place > 0 and key[indices[place - 1]] > key[index]:
            indices[place] = indices[place - 1]
            place -= 1
        indices[place] = index
