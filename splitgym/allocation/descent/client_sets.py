"""The set of clients with the largest utility, sum of weights over a power of its latency, in one world.

Sets are the first clients of an order, of several sizes. Links are those of all clients, so they are worked out once. A
set is allocated only if a bound on its latency leaves it a chance against the best so far.
"""

from math import inf

from splitgym.allocation.admission import can_end_by, least_seconds_of
from splitgym.allocation.descent.slot import allocate_slot
from splitgym.allocation.descent.worlds import UnderPlan, Utility, Worlds, fill_load, most_clients
from splitgym.allocation.link_budget import Radio
from splitgym.allocation.workload import Round, common_seconds, seconds_alone
from splitgym.arrays import Bools, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.timing.power import even_power

ROUNDING = 1e-9
"""Bounds may be off by this fraction."""


@kernel(NO_REFCOUNT)
def choose_members(at: UnderPlan, radio: Radio, rules: Round, of: Worlds, utility: Utility, n: int) -> None:
    """Makes the set with the largest utility the members of world n, whose plan is held and which has one slot.

    The first client alone, if no set is such that all can be served; of equals, the smaller one.

    Args:
        at: Workspace, with the links of all clients that have a weight.
        radio: Of the system.
        rules: Of the round.
        of: The worlds; members are all clients that have a weight, then those of the set.
        utility: Weights of the clients.
        n: The world.
    """
    members, sets, latency_exponent = of.members[n], at.sets, utility.latency_exponent[n]
    greedy = at.workspace.greedy
    fill_load(at.workload, rules, of, n, 0)
    clients = _order_clients(at, radio, of, utility, n)
    count = _list_sets(at, rules, of, utility, n, clients)
    best, most = -1, -inf
    for _ in range(count):
        z = 0
        for other in range(1, count):
            if sets.highest[other] > sets.highest[z]:
                z = other
        if sets.highest[z] < 0.0 or sets.highest[z] * (1.0 + ROUNDING) < most:
            break
        sets.highest[z] = -1.0
        _select(members, sets.order, sets.size[z])
        if at.workload.differs[0]:
            fill_load(at.workload, rules, of, n, 0)
        if best >= 0 and not _may_win(at, members, sets.worth[z], most, latency_exponent):
            continue
        served, seconds, _ = allocate_slot(
            at.held,
            at.links,
            at.workload,
            members,
            True,
            most_clients(rules, of, n, 0),
            rules.timeout_s,
            of.given[n],
            False,
            0,
            0,
            at.workspace,
        )
        value = sets.worth[z] / seconds**latency_exponent
        if served == sets.size[z] and (value > most or (value == most and z < best)):
            best, most = z, value
            for k in range(greedy.kept.shape[0]):
                greedy.kept[k] = at.held.owner[k]
    greedy.kept_for[0] = sets.size[best] if best >= 0 else 0
    _select(members, sets.order, sets.size[best] if best >= 0 else min(clients, 1))


@kernel(INLINED)
def _order_clients(at: UnderPlan, radio: Radio, of: Worlds, utility: Utility, n: int) -> int:
    """Lists the clients of world n that have a weight, those of the largest utility per own second first.

    See `by_utility_per_second`. Returns how many they are.
    """
    order, per_second, weight, gain = at.sets.order, at.sets.per_second, utility.weight[n], of.gain[n]
    clients, count, band_hz = 0, 0, 0.0
    for i in range(weight.shape[0]):
        clients += weight[i] > 0.0
    for k in range(gain.shape[1]):
        band_hz += of.hz[n, k]
    for i in range(weight.shape[0]):
        if not weight[i] > 0.0:
            continue
        mean = 0.0
        for k in range(gain.shape[1]):
            mean += gain[i, k]
        mean = mean * radio.stations_on_a_subchannel / gain.shape[1]
        seconds = seconds_alone(at.workload, radio, i, mean, band_hz, clients) ** utility.latency_exponent[n]
        per_second[i] = weight[i] / seconds if seconds > 0.0 else inf
        place = count
        while place > 0:
            before = order[place - 1]
            if per_second[before] > per_second[i]:
                break
            if per_second[before] == per_second[i] and weight[before] >= weight[i]:
                break
            order[place] = before
            place -= 1
        order[place] = i
        count += 1
    return count


@kernel(INLINED)
def _list_sets(at: UnderPlan, rules: Round, of: Worlds, utility: Utility, n: int, clients: int) -> int:
    """Fills in the sets of world n and bounds on their utility; returns how many they are.

    A client ends no earlier than with all subchannels but one for each client before it, which have one at least.
    """
    links, workload, sets, ends = at.links, at.workload, at.sets, at.workspace.ends
    least_s, members, weight = at.workspace.least_s, of.members[n], utility.weight[n]
    spare_hz, narrowest_hz, slowest_band, worth, z, heard = 0.0, inf, inf, 0.0, 0, True
    most = most_clients(rules, of, n, 0)
    if workload.segments[0] > 0:
        most = min(most, links.hz.shape[0])
    for k in range(links.hz.shape[0]):
        spare_hz += links.hz[k]
        narrowest_hz = min(narrowest_hz, links.hz[k])
    power_w = even_power(links.client_max_w, links.total_max_w, 1)
    for s in range(ends.shape[0]):
        ends[s] = 0.0
    for place in range(clients):
        i, size = sets.order[place], place + 1
        worth += weight[i]
        slowest_band = min(slowest_band, links.band[i])
        heard &= links.lowest_floor[i] < inf and size <= most
        if heard:
            least_seconds_of(workload, links, i, spare_hz, power_w, least_s)
            for s in range(workload.segments[0]):
                ends[s] = max(ends[s], least_s[s, i])
        spare_hz -= narrowest_hz
        if size < clients and (z == utility.sizes.shape[0] or size < utility.sizes[z]):
            continue
        if workload.differs[0]:
            _select(members, sets.order, size)
            fill_load(workload, rules, of, n, 0)
        before_s = common_seconds(workload, 0, sets.order[:size], slowest_band)
        total_s = before_s + common_seconds(workload, 1, sets.order[:size], slowest_band)
        for s in range(workload.segments[0]):
            total_s += ends[s]
            if s <= workload.segments[1]:
                before_s += ends[s]
        in_time = workload.segments[1] < 0 or before_s * (1.0 - ROUNDING) <= rules.timeout_s
        sets.size[z], sets.worth[z] = size, worth
        sets.highest[z] = worth / total_s ** utility.latency_exponent[n] if heard and in_time else -1.0
        z += 1
    return z


@kernel(INLINED)
def _may_win(at: UnderPlan, members: Bools, worth: float, most: float, latency_exponent: float) -> bool:
    """Whether the members may end so early that their utility is `most`."""
    if latency_exponent == 0.0 or not 0.0 < most < inf:
        return True
    latest_s = (worth / most) ** (1.0 / latency_exponent) * (1.0 + ROUNDING)
    workspace, rates = at.workspace, at.held.rates[0]
    return can_end_by(at.workload, at.links, members, latest_s, workspace.least_s, workspace.order, rates)


@kernel(INLINED)
def _select(members: Bools, order: Ints, size: int) -> None:
    """Marks the first clients of an order ([C]), and no others."""
    for i in range(members.shape[0]):
        members[i] = False
    for place in range(size):
        members[order[place]] = True
