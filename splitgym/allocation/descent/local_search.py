"""Local search over swaps after the greedy: a subchannel goes to another client, or two clients swap one each.

A swap is feasible if everybody can end a little earlier than now within the budgets. Only the two clients concerned
need another power for that, and theirs is a water-filling over sums that change by one subchannel. So a candidate costs
some ten nanoseconds, and none needs power control.
"""

from math import inf

from splitgym.allocation.admission import sort_by
from splitgym.allocation.assignment import AssignmentState, assign, release
from splitgym.allocation.descent.goal import Goal, set_goal
from splitgym.allocation.descent.swap import swap_is_feasible
from splitgym.allocation.link_budget import Links
from splitgym.allocation.power import control
from splitgym.allocation.workload import SegmentWorkload
from splitgym.arrays import Bools, Floats
from splitgym.kernels import INLINED, kernel

CARRIED_OUT = 10
"""A swap that is carried out takes the time of so many trials, and of another one for each client."""


@kernel(INLINED)
def search_swaps(
    held: AssignmentState, links: Links, workload: SegmentWorkload, ends: Floats, goal: Goal, trials: int
) -> tuple[float, float, int]:
    """Exact power control, and swaps of subchannels until no single swap is feasible or so many have been tried.

    Args:
        held: Changed in place.
        links: Of the world.
        workload: Of the slot.
        ends: [S] filled with the seconds of each segment.
        goal: Overwritten.
        trials: How many swaps may be tried; one that is carried out counts as more, for the power control after it.

    Returns:
        Sum of the ends without swaps and with them, s, and how many trials are left.
    """
    clients, tried, receivers = held.number.shape[0], goal.tried, goal.order[0]
    unswapped_s, first = -1.0, 0
    while True:
        total_s = control(held, links, workload, ends)
        if unswapped_s < 0.0:
            unswapped_s = total_s
        else:
            trials -= CARRIED_OUT + clients
        # Whoever never ends has no goal.
        improved = False
        if trials > 0 and total_s < inf:
            set_goal(goal, held, links, workload, ends)
            for i in range(clients):
                tried[i] = False
            for n in range(_list_receivers(goal)):
                improved, done, first = _try_all(held, links, goal, receivers[n], tried, first, trials)
                tried[receivers[n]] = True
                trials -= done
                if improved or trials <= 0:
                    break
        if not improved:
            return unswapped_s, total_s, max(trials, 0)


@kernel(INLINED)
def _list_receivers(goal: Goal) -> int:
    """Clients without whom as a receiver no swap can be feasible, if there are any; else all, thirstiest first.

    They are those whose own budget is too small for the goal, and the last of each segment without an uplink.

    Returns:
        How many they are: so many come first in the first row of `goal.order`.
    """
    common, holder, segment, thirst = goal.common[0], goal.holder, goal.segment, goal.power_w
    listed, order, n = goal.order[0], goal.order[1], 0
    for i in range(order.shape[0]):
        order[i], thirst[i] = i, -holder[i].power_w
    sort_by(order, thirst)
    for i in order:
        wanted = -thirst[i] > common.client_max_w
        for s in range(common.segments):
            wanted |= not segment[s].uplink and segment[s].last[0] == i
        if wanted:
            listed[n] = i
            n += 1
    if common.timed >= 0 and common.over == 0.0:
        needed = n
        for i in order:
            others = thirst[i] < 0.0
            for place in range(needed):
                others &= listed[place] != i
            if others:
                listed[n] = i
                n += 1
    return n


@kernel(INLINED)
def _try_all(
    held: AssignmentState, links: Links, goal: Goal, i: int, tried: Bools, first: int, most: int
) -> tuple[bool, int, int]:
    """Client i tries to get each subchannel of the others, for nothing or for one of its own.

    The first feasible one is carried out. With whom has `tried` [C] already, all swaps have been tried.

    Args:
        held: Changed in place.
        links: Of the world.
        goal: What has to be met.
        i: The client.
        tried: [C].
        first: Subchannel to start with, as trials go round.
        most: How many may be tried, give or take the number of the client's own subchannels.

    Returns:
        Whether one did, the number of trials, and the subchannel to go on with.
    """
    # Taken out of their tuples once: each time counts references.
    owner, own, number = held.owner, held.own, held.number
    hz, floor, log_floor, downlink = links.hz, links.floor, links.log_floor, links.downlink
    holder, duty, segment, common = goal.holder, goal.duty, goal.segment, goal.common
    back, trials = goal.back, 0
    # First nothing in return, then each of its own. In a list, as the compiler else writes the first trial out apart.
    back[0] = -1
    for place in range(number[i]):
        back[1 + place] = own[i, place]
    for n in range(owner.shape[0]):
        k = (first + n) % owner.shape[0]
        j = owner[k]
        if j == i:
            continue
        for place in range(1 if j >= 0 and tried[j] else 1 + number[i]):
            gone = back[place]
            if gone < 0 and j >= 0 and number[j] == 1:
                continue
            trials += 1
            if swap_is_feasible(holder, duty, segment, common, own, hz, floor, log_floor, downlink, i, j, k, gone):
                _carry_out(held, links, i, j, k, gone)
                return True, trials, k + 1
        if trials >= most:
            return False, trials, k + 1
    return False, trials, first


@kernel(INLINED)
def _carry_out(held: AssignmentState, links: Links, i: int, j: int, k: int, back: int) -> None:
    """Client i gets subchannel k of j (-1: nobody's), and j gets `back` (-1: nothing)."""
    if j >= 0:
        release(held, links, k)
    if back >= 0:
        release(held, links, back)
        if j >= 0:
            assign(held, links, j, back)
    assign(held, links, i, k)
