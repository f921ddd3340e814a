"""The blocks for one turn at one cut layer: subchannels, power, exchanges, for as many clients as can be in time."""

from math import inf
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.allocation.exchange import exchange
from splitgym.allocation.holdings import Holdings, even_rate, give, hold, release
from splitgym.allocation.links import Links
from splitgym.allocation.load import Load, common_seconds
from splitgym.allocation.power import control, end_at, even_share_w
from splitgym.allocation.serving import line, servable
from splitgym.allocation.signal import best_heard
from splitgym.allocation.subchannels import deal
from splitgym.allocation.trial import Goal, no_goal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


STARTS = 3
"""Where exchanges may begin: at the greedy, at the strongest signal, at that in relation to the client's best."""


class Room(NamedTuple):
    """Arrays to write into."""

    ends: Floats
    """[S] seconds of each segment."""
    least_s: Floats
    """[S, C] lower bounds."""
    goal: Goal
    """Of exchanges."""
    blocks: Floats
    """[2] latency after the blocks subchannels and power, s."""


@njit(cache=True, error_model="numpy")
def room_for(segments: int, clients: int) -> Room:
    """Empty room."""
    return Room(np.zeros(segments), np.zeros((segments, clients)), no_goal(segments, clients), np.zeros(2))


@njit(cache=True, error_model="numpy")
def allocate_turn(
    held: Holdings,
    links: Links,
    load: Load,
    members: Bools,
    timeout_s: float,
    given: Ints,
    even_power: bool,
    search: bool,
    trials: int,
    room: Room,
) -> tuple[int, float, int]:
    """Subchannels and powers of a turn, for as many of its members as can be in time, then for the shortest turn.

    Whoever is not served gets nothing, so that nobody waits for it.

    Args:
        held: Filled with who gets what.
        links: Of the world.
        load: Of the turn.
        members: [C] who is in the turn.
        timeout_s: Of the turn.
        given: [M] owners, if subchannels are not to be chosen; else empty.
        even_power: Everybody spends the same; else exact power control.
        search: Whether to begin anywhere but at the greedy.
        trials: Exchanges that may be tried.
        room: Overwritten: the ends, and the latency after the blocks.

    Returns:
        How many are served and in time, the latency, s, and how many trials are left.
    """
    heard = members & (links.lowest_floor < inf)
    served, _ = servable(load, links, heard, timeout_s, room.least_s)
    if served.shape[0] > 0:
        seconds, left = _allocate(held, links, load, served, given, even_power, search, trials, room)
        if _timely(links, load, served, room.ends, timeout_s):
            return served.shape[0], seconds, left
    order = line(load, links, heard, timeout_s, room.least_s)
    fewest, most = 0, served.shape[0] - 1
    while fewest < most:
        tried = (fewest + most + 1) // 2
        _allocate(held, links, load, order[:tried], given, even_power, search, trials, room)
        if _timely(links, load, order[:tried], room.ends, timeout_s):
            fewest = tried
        else:
            most = tried - 1
    if fewest > 0:
        seconds, left = _allocate(held, links, load, order[:fewest], given, even_power, search, trials, room)
        return fewest, seconds, left
    # The order is that of whole turns; another one may be the only one in time.
    for n in range(order.shape[0]):
        seconds, left = _allocate(held, links, load, order[n : n + 1], given, even_power, search, trials, room)
        if _timely(links, load, order[n : n + 1], room.ends, timeout_s):
            return 1, seconds, left
    release(held)
    room.blocks[:] = timeout_s if np.any(members) else 0.0
    return 0, room.blocks[0], trials


@njit(cache=True, error_model="numpy")
def _allocate(
    held: Holdings,
    links: Links,
    load: Load,
    served: Ints,
    given: Ints,
    even_power: bool,
    search: bool,
    trials: int,
    room: Room,
) -> tuple[float, int]:
    """The blocks for the clients `served`; returns the latency, s, and how many trials are left.

    Exchanges end where no single one helps, which depends on where they begin: at what the greedy deals, and at what
    two rules deal that look at the channel alone.
    """
    common_s = _common_seconds(links, load, served)
    if load.segments[0] == 0:
        release(held)
        room.blocks[:] = common_s
        return common_s, trials
    best_s, best = inf, held.owner.copy()
    for start in range(STARTS if search and given.shape[0] == 0 else 1):
        if given.shape[0] > 0:
            _hold_given(held, links, served, given)
        elif start == 0:
            deal(held, links, load, served)
        else:
            handicap = np.ones(held.number.shape[0]) if start == 1 else links.lowest_floor
            hold(held, links, best_heard(links.floor, served, handicap))
        if even_power or start == 0:
            even_s = common_s + _even_ends(held, links, load, room.ends)
            room.blocks[:] = even_s if start == 0 else min(room.blocks[0], even_s)
            seconds = even_s
        if not even_power:
            seconds = common_s + control(held, links, load, room.ends)
            room.blocks[1] = min(room.blocks[1], seconds)
            if trials > 0 and given.shape[0] == 0:
                ends_s, trials = exchange(held, links, load, room.ends, room.goal, trials)
                seconds = common_s + ends_s
        if start == 0 or seconds < best_s:
            best_s = seconds
            best[:] = held.owner
    if not np.array_equal(best, held.owner):
        hold(held, links, best)
        if even_power:
            _even_ends(held, links, load, room.ends)
        else:
            control(held, links, load, room.ends)
    return best_s, trials


@njit(cache=True, error_model="numpy")
def _common_seconds(links: Links, load: Load, served: Ints) -> float:
    """Seconds of all common phases."""
    band = np.min(links.band[served])
    return common_seconds(load, 0, served.shape[0], band) + common_seconds(load, 1, served.shape[0], band)


@njit(cache=True, error_model="numpy")
def _hold_given(held: Holdings, links: Links, served: Ints, given: Ints) -> None:
    release(held)
    is_served = np.zeros(held.number.shape[0], np.bool_)
    is_served[served] = True
    for k in range(given.shape[0]):
        if given[k] >= 0 and is_served[given[k]]:
            give(held, links, given[k], k)


@njit(cache=True, error_model="numpy")
def _even_ends(held: Holdings, links: Links, load: Load, ends: Floats) -> float:
    """Seconds of each segment under an even split of power; returns their sum."""
    rates = np.zeros(held.number.shape[0])
    share_w = even_share_w(held, links)
    for i in range(rates.shape[0]):
        rates[i] = even_rate(held, links, i, share_w)
    total = 0.0
    for s in range(load.segments[0]):
        ends[s] = end_at(held, load, s, rates)
        total += ends[s]
    return total


@njit(cache=True, error_model="numpy")
def _timely(links: Links, load: Load, served: Ints, ends: Floats, timeout_s: float) -> bool:
    """Whether the served clients are in time."""
    timed = load.segments[1]
    if timed < 0:
        return True
    seconds = common_seconds(load, 0, served.shape[0], np.min(links.band[served]))
    return bool(seconds + np.sum(ends[: timed + 1]) <= timeout_s)
