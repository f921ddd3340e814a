"""The blocks for one slot at one cut layer: subchannels, power, exchanges, for as many clients as can be in time."""

from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.allocation.admission import line, servable
from splitgym.allocation.assignment import Holdings, even_rate, give, hold, release
from splitgym.allocation.descent.goal import Goal, no_goal
from splitgym.allocation.descent.greedy import Dealing, deal, no_dealing
from splitgym.allocation.descent.local_search import exchange
from splitgym.allocation.even_split import even_share_w
from splitgym.allocation.link_budget import Links
from splitgym.allocation.max_snr import Heard, best_heard, no_heard
from splitgym.allocation.power import control
from splitgym.allocation.segment_times import end_at
from splitgym.allocation.workload import Load, common_seconds
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel

STARTS = 3
"""Where exchanges may begin: at the greedy, at the strongest signal, at that in relation to the client's best."""
GREEDY, RELATIVE = 0, 2
"""The first and the last of them."""
SCARCE = 1.5
"""With fewer subchannels for each client than this, relative signal strength is the better one to begin at."""


class Room(NamedTuple):
    """Arrays to write into."""

    ends: Floats
    """[S] seconds of each segment."""
    least_s: Floats
    """[S + 1, C] lower bounds; the last row for sums."""
    order: Ints
    """[C] who is served, first those who are."""
    dealing: Dealing
    """Of the greedy."""
    heard: Heard
    """Of the strongest signal."""
    best: Ints
    """[M] the best owners so far."""
    goal: Goal
    """Of exchanges."""
    blocks: Floats
    """[2] latency after the blocks subchannels and power, s."""


@kernel(COMPILED)
def room_for(segments: int, clients: int, subchannels: int) -> Room:
    """Empty room."""
    return Room(
        np.zeros(segments),
        np.zeros((segments + 1, clients)),
        np.zeros(clients, np.int64),
        no_dealing(clients),
        no_heard(clients, subchannels),
        np.zeros(subchannels, np.int64),
        no_goal(segments, clients),
        np.zeros(2),
    )


@kernel(NO_REFCOUNT)
def allocate_slot(
    held: Holdings,
    links: Links,
    load: Load,
    members: Bools,
    anybody: bool,
    timeout_s: float,
    given: Ints,
    even_power: bool,
    starts: int,
    trials: int,
    room: Room,
) -> tuple[int, float, int]:
    """Subchannels and powers of a slot, for as many of its members as can be in time, then for the shortest slot.

    Whoever is not served gets nothing, so that nobody waits for it.

    Args:
        held: Filled with who gets what.
        links: Of the world.
        load: Of the slot.
        members: [C] who is in the slot, and heard on some subchannel.
        anybody: Whether somebody is in the slot, heard or not.
        timeout_s: Of the slot.
        given: [M] owners, if subchannels are not to be chosen; else empty.
        even_power: Everybody spends the same; else exact power control.
        starts: Where to begin: 0: at the greedy; 1: where it is best as a rule; `STARTS`: at all.
        trials: Exchanges that may be tried.
        room: Overwritten: the ends, and the latency after the blocks.

    Returns:
        How many are served and in time, the latency, s, and how many trials are left.
    """
    order = room.order
    count, _ = servable(load, links, members, timeout_s, room.least_s, order)
    if count > 0:
        seconds, left = _allocate(held, links, load, order[:count], given, even_power, starts, trials, room)
        if _timely(links, load, order[:count], room.ends, timeout_s):
            return count, seconds, left
    members_heard = line(load, links, members, timeout_s, room.least_s, order)
    fewest, most = 0, count - 1
    while fewest < most:
        tried = (fewest + most + 1) // 2
        _allocate(held, links, load, order[:tried], given, even_power, starts, trials, room)
        if _timely(links, load, order[:tried], room.ends, timeout_s):
            fewest = tried
        else:
            most = tried - 1
    if fewest > 0:
        seconds, left = _allocate(held, links, load, order[:fewest], given, even_power, starts, trials, room)
        return fewest, seconds, left
    # The order is that of whole slots; another one may be the only one in time.
    for n in range(members_heard):
        seconds, left = _allocate(held, links, load, order[n : n + 1], given, even_power, starts, trials, room)
        if _timely(links, load, order[n : n + 1], room.ends, timeout_s):
            return 1, seconds, left
    release(held)
    room.blocks[:] = timeout_s if anybody else 0.0
    return 0, room.blocks[0], trials


@kernel(NO_REFCOUNT)
def _allocate(
    held: Holdings,
    links: Links,
    load: Load,
    served: Ints,
    given: Ints,
    even_power: bool,
    starts: int,
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
    first, behind = _starts(links, served, starts if given.shape[0] == 0 else 0)
    best_s, best = inf, room.best
    for start in range(first, behind):
        if given.shape[0] == 0:
            _begin(held, links, load, served, start, room)
        else:
            _hold_given(held, links, served, given)
        seconds, trials = _with_powers(
            held, links, load, common_s, even_power, start == first, trials if given.shape[0] == 0 else 0, room
        )
        if behind == first + 1:
            return seconds, trials
        if start == first or seconds < best_s:
            best_s = seconds
            for k in range(best.shape[0]):
                best[k] = held.owner[k]
    hold(held, links, best)
    if even_power:
        _even_ends(held, links, load, room.ends)
    else:
        control(held, links, load, room.ends)
    return best_s, trials


@kernel(INLINED)
def _starts(links: Links, served: Ints, starts: int) -> tuple[int, int]:
    """Where exchanges begin: the first of `STARTS`, and the one behind the last."""
    if starts == STARTS:
        return GREEDY, STARTS
    if starts == 1 and links.hz.shape[0] < SCARCE * served.shape[0]:
        return RELATIVE, RELATIVE + 1
    return GREEDY, GREEDY + 1


@kernel(INLINED)
def _with_powers(
    held: Holdings,
    links: Links,
    load: Load,
    common_s: float,
    even_power: bool,
    first: bool,
    trials: int,
    room: Room,
) -> tuple[float, int]:
    """Powers for what is held, and exchanges; returns the latency, s, and how many trials are left.

    Beside it, the ends are noted, and the latency after each block if it is the first start, or if that is less.
    """
    seconds = common_s
    if even_power or first:
        seconds = common_s + _even_ends(held, links, load, room.ends)
        room.blocks[:] = seconds if first else min(room.blocks[0], seconds)
    if not even_power:
        seconds = common_s + control(held, links, load, room.ends)
        room.blocks[1] = min(room.blocks[1], seconds)
        if trials > 0:
            ends_s, trials = exchange(held, links, load, room.ends, room.goal, trials)
            seconds = common_s + ends_s
    return seconds, trials


@kernel(INLINED)
def _common_seconds(links: Links, load: Load, served: Ints) -> float:
    """Seconds of all common phases."""
    band = _slowest_band(links, served)
    return common_seconds(load, 0, served, band) + common_seconds(load, 1, served, band)


@kernel(INLINED)
def _slowest_band(links: Links, served: Ints) -> float:
    """Rate of a broadcast to those who are served, bits/s."""
    slowest = inf
    for i in served:
        slowest = min(slowest, links.band[i])
    return slowest


@kernel(INLINED)
def _begin(held: Holdings, links: Links, load: Load, served: Ints, start: int, room: Room) -> None:
    """Everybody holds what it is dealt where exchanges may begin, one of `STARTS`."""
    if start == GREEDY:
        deal(held, links, load, served, room.dealing)
        return
    heard = room.heard
    for i in served:
        heard.handicap[i] = links.lowest_floor[i] if start == RELATIVE else 1.0
    best_heard(links.floor, served, heard)
    hold(held, links, heard.owner)


@kernel(INLINED)
def _hold_given(held: Holdings, links: Links, served: Ints, given: Ints) -> None:
    release(held)
    for k in range(given.shape[0]):
        is_served = False
        for i in served:
            is_served |= given[k] == i
        if is_served:
            give(held, links, given[k], k)


@kernel(INLINED)
def _even_ends(held: Holdings, links: Links, load: Load, ends: Floats) -> float:
    """Seconds of each segment under an even split of power; returns their sum."""
    rates = held.rates[0]
    share_w = even_share_w(held, links)
    for i in range(rates.shape[0]):
        rates[i] = even_rate(held, links, i, share_w)
    total = 0.0
    for s in range(load.segments[0]):
        ends[s] = end_at(held, load, s, rates)
        total += ends[s]
    return total


@kernel(INLINED)
def _timely(links: Links, load: Load, served: Ints, ends: Floats, timeout_s: float) -> bool:
    """Whether the served clients are in time."""
    timed = load.segments[1]
    if timed < 0:
        return True
    seconds = common_seconds(load, 0, served, _slowest_band(links, served))
    for s in range(timed + 1):
        seconds += ends[s]
    return bool(seconds <= timeout_s)
