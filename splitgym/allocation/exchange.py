"""Exchanges of subchannels after the greedy: one goes to another client, or two clients swap one each.

An exchange helps if everybody can end a little earlier than now within the budgets. Only the two clients concerned need
another power for that, and theirs is a water-filling over sums that change by one subchannel; so a trial costs some ten
nanoseconds, and no trial needs power control.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.allocation.holdings import Holdings, give, take
from splitgym.allocation.links import Links
from splitgym.allocation.load import Load
from splitgym.allocation.power import control
from splitgym.allocation.trial import Goal, helps, set_goal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


CARRIED_OUT = 10
"""An exchange that is carried out takes the time of so many trials, and of another one for each client."""


@njit(cache=True, error_model="numpy")
def exchange(held: Holdings, links: Links, load: Load, ends: Floats, goal: Goal, trials: int) -> tuple[float, int]:
    """Exchanges subchannels until no single exchange helps, or until so many have been tried.

    Args:
        held: Changed in place.
        links: Of the world.
        load: Of the turn.
        ends: [S] seconds of each segment under exact power control; kept up to date.
        goal: Overwritten.
        trials: How many exchanges may be tried; one that is carried out counts as more, for the power control after it.

    Returns:
        Sum of the ends, s, and how many trials are left.
    """
    total_s, improved, first = float(np.sum(ends[: load.segments[0]])), True, 0
    clients = held.number.shape[0]
    while improved and trials > 0:
        set_goal(goal, held, links, load, ends)
        tried = np.zeros(clients, np.bool_)
        for receiver in _receivers(goal):
            improved, done, first = _try_all(held, links, goal, receiver, tried, first, trials)
            tried[receiver] = True
            trials -= done
            if improved:
                total_s = control(held, links, load, ends)
                trials -= CARRIED_OUT + clients
            if improved or trials <= 0:
                break
    return total_s, max(trials, 0)


@njit(cache=True, error_model="numpy")
def _receivers(goal: Goal) -> Ints:
    """Clients without whom as a receiver no exchange can help, if there are any; else all, thirstiest first.

    They are those whose own budget is too small for the goal, and the last of each segment without an uplink.
    """
    clients, common = goal.holder.shape[0], goal.common[0]
    wanted, power_w = np.zeros(clients, np.bool_), np.zeros(clients)
    for i in range(clients):
        power_w[i] = goal.holder[i].power_w
        wanted[i] = power_w[i] > common.client_max_w
    for s in range(common.segments):
        if not goal.segment[s].uplink:
            wanted[goal.segment[s].last[0]] = True
    order = np.argsort(-power_w, kind="mergesort")
    listed, n = np.zeros(clients, np.int64), 0
    for i in order:
        if wanted[i]:
            listed[n] = i
            n += 1
    if common.timed >= 0 and common.over == 0.0:
        for i in order:
            if not wanted[i] and power_w[i] > 0.0:
                listed[n] = i
                n += 1
    return listed[:n]


@njit(cache=True, error_model="numpy")
def _try_all(
    held: Holdings, links: Links, goal: Goal, i: int, tried: Bools, first: int, most: int
) -> tuple[bool, int, int]:
    """Client i tries to get each subchannel of the others, for nothing or for one of its own.

    The first that helps is carried out. With whom has `tried` [C] already, all swaps have been tried.

    Args:
        held: Changed in place.
        links: Of the world.
        goal: What has to be met.
        i: The client.
        tried: [C].
        first: Subchannel to begin with, as trials go round.
        most: How many may be tried, give or take the number of the client's own subchannels.

    Returns:
        Whether one did, the number of trials, and the subchannel to go on with.
    """
    # Taken out of their tuples once: each time counts references.
    owner, own, number = held.owner, held.own, held.number
    hz, floor, log_floor, downlink = links.hz, links.floor, links.log_floor, links.downlink
    holder, duty, segment, common = goal.holder, goal.duty, goal.segment, goal.common
    trials = 0
    for n in range(owner.shape[0]):
        k = (first + n) % owner.shape[0]
        j = owner[k]
        if j == i:
            continue
        # Place -1 stands for nothing in return.
        for place in range(-1, 0 if j >= 0 and tried[j] else number[i]):
            if place < 0 and j >= 0 and number[j] == 1:
                continue
            back = own[i, place] if place >= 0 else -1
            trials += 1
            if helps(holder, duty, segment, common, own, hz, floor, log_floor, downlink, i, j, k, back):
                _carry_out(held, links, i, j, k, back)
                return True, trials, k + 1
        if trials >= most:
            return False, trials, k + 1
    return False, trials, first


@njit(cache=True, error_model="numpy")
def _carry_out(held: Holdings, links: Links, i: int, j: int, k: int, back: int) -> None:
    """Client i gets subchannel k of j (-1: nobody's), and j gets `back` (-1: nothing)."""
    if j >= 0:
        take(held, links, k)
    if back >= 0:
        take(held, links, back)
        if j >= 0:
            give(held, links, j, back)
    give(held, links, i, k)
