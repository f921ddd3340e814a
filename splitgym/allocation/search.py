"""The search over cut layers and the blocks at each, compiled, for N worlds at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.holdings import Holdings, no_holdings
from splitgym.allocation.links import Links, Radio, fill_links, room_for_links
from splitgym.allocation.load import Load, Work, fill_load, no_load, uplinks
from splitgym.allocation.power import write_psd
from splitgym.allocation.serving import servable
from splitgym.allocation.turn import STARTS, Room, allocate_turn, room_for
from splitgym.kernels import COMPILED, UNCOUNTED, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCKS = ("subchannels", "power", "cut", "exchange")
"""The steps of a descent: the first two at the most promising cut layer, then at all that may be better, then exchanges
of subchannels at all that may be better still."""


class Worlds(NamedTuple):
    """N worlds to descend in, for the kernel."""

    hz: Floats
    """[N, M] bandwidths, Hz."""
    gain: Floats
    """[N, C, M]."""
    client_hz: Floats
    """[N, C] cycles/s."""
    server_hz: Floats
    """[N] cycles/s."""
    client_cut_layer: Ints
    """[N, C]."""
    members: Bools
    """[N, C] who is selected and there."""
    turn: Ints
    """[N, C] turn of each client."""
    given: Ints
    """[N, M] owners to hold, or [N, 0]: choose."""
    rows: Ints
    """[N] aggregated rows m."""
    held_cut: Ints
    """[N] cut layer to hold, 0: choose."""


class Found(NamedTuple):
    """What the kernel found in N worlds, with T turns."""

    cut: Ints
    """[N]."""
    owner: Ints
    """[N, T, M] -1: unused."""
    psd: Floats
    """[N, T, M] W/Hz."""
    participants: Ints
    """[N] expected."""
    latency_s: Floats
    """[N] expected."""
    steps_s: Floats
    """[N, 4] expected latency after each of `BLOCKS`."""
    uplinks: Ints
    """[1] the most segments with an uplink in any world and at any cut layer."""


class AtCut(NamedTuple):
    """Room for what is done at one cut layer, with T turns."""

    held: Holdings
    load: Load
    members: Bools
    """[C] of the turn."""
    room: Room
    owner: Ints
    """[T, M]."""
    psd: Floats
    """[T, M]."""


@kernel(COMPILED)
def descend_worlds(radio: Radio, work: Work, of: Worlds, turns: int, even_power: bool, trials: int) -> Found:
    """The descent of every world."""
    (worlds, clients, subchannels), cut_layers = of.gain.shape, work.work.shape[0]
    found = Found(
        np.ones(worlds, np.int64),
        np.full((worlds, turns, subchannels), -1),
        np.zeros((worlds, turns, subchannels)),
        np.full(worlds, -1),
        np.full(worlds, np.inf),
        np.zeros((worlds, len(BLOCKS))),
        np.zeros(1, np.int64),
    )
    links = room_for_links(clients, subchannels, radio)
    at = AtCut(
        no_holdings(clients, subchannels),
        no_load(work.resource.shape[0], clients),
        np.zeros(clients, np.bool_),
        room_for(work.resource.shape[0] + 1, clients, subchannels),
        np.empty((turns, subchannels), np.int64),
        np.empty((turns, subchannels)),
    )
    most, least_s = np.zeros(cut_layers + 1, np.int64), np.zeros(cut_layers + 1)
    for n in range(worlds):
        fill_links(links, radio, of.hz[n], of.gain[n], of.members[n])
        if of.held_cut[n] > 0:
            starts = 1 if trials > 0 else 0
            _try_cut(found, at, links, work, of, n, of.held_cut[n], even_power, starts, trials)
            found.steps_s[n, 2] = found.steps_s[n, 1]
            found.steps_s[n, 3] = found.latency_s[n]
        else:
            _search_cuts(found, at, links, work, of, n, even_power, trials, most, least_s)
        if not np.any(of.members[n]):
            # A turn of nobody takes no time, a round of nobody lasts until the timeout.
            found.latency_s[n], found.steps_s[n] = work.timeout_s, work.timeout_s
    return found


@kernel(COMPILED)
def _search_cuts(
    found: Found,
    at: AtCut,
    links: Links,
    work: Work,
    of: Worlds,
    n: int,
    even_power: bool,
    trials: int,
    most: Ints,
    least_s: Floats,
) -> None:
    """All cut layers of world n that may be the best; `most` and `least_s` are room for bounds, [L] each."""
    cuts = np.arange(1, most.shape[0])
    for j in cuts:
        fill_load(at.load, work, j, of.rows[n], of.client_hz[n], of.server_hz[n], of.client_cut_layer[n])
        most[j], least_s[j] = 0, 0.0
        for t in range(at.owner.shape[0]):
            _find_members(at.members, links, of, n, t)
            served, seconds = servable(at.load, links, at.members, work.timeout_s, at.room.least_s, at.room.order)
            most[j] += served
            least_s[j] += seconds
    serves, latency_s = most.copy(), least_s.copy()
    # First without exchanges, then with them at the cut layers that may still be better, the best one first.
    for last_block in range(2, 4 if trials > 0 else 3):
        left = trials if last_block == 3 else 0
        for j in cuts[_best_first(serves[cuts], latency_s[cuts])]:
            if _better(found, n, most[j], least_s[j]) and (last_block == 2 or left > 0):
                starts = STARTS if trials > 0 else 0
                serves[j], latency_s[j], left = _try_cut(found, at, links, work, of, n, j, even_power, starts, left)
        found.steps_s[n, last_block:] = found.latency_s[n]


@kernel(UNCOUNTED)
def _try_cut(
    found: Found,
    at: AtCut,
    links: Links,
    work: Work,
    of: Worlds,
    n: int,
    cut: int,
    even_power: bool,
    starts: int,
    trials: int,
) -> tuple[int, float, int]:
    """The blocks of all turns of world n at a cut layer, kept in `found` if that is better.

    Returns:
        How many clients are expected to take part, the latency, s, and how many trials are left.
    """
    fill_load(at.load, work, cut, of.rows[n], of.client_hz[n], of.server_hz[n], of.client_cut_layer[n])
    found.uplinks[0] = max(found.uplinks[0], uplinks(at.load))
    serves, latency_s, first = 0, 0.0, found.participants[n] < 0
    for t in range(at.owner.shape[0]):
        anybody = _find_members(at.members, links, of, n, t)
        count, seconds, trials = allocate_turn(
            at.held,
            links,
            at.load,
            at.members,
            anybody,
            work.timeout_s,
            of.given[n],
            even_power,
            starts,
            trials,
            at.room,
        )
        serves += count
        latency_s += seconds
        if first:
            found.steps_s[n, 0] += at.room.blocks[0]
            found.steps_s[n, 1] += at.room.blocks[1]
        for k in range(at.owner.shape[1]):
            at.owner[t, k] = at.held.owner[k]
        write_psd(at.held, links, at.load, at.room.ends, even_power, at.psd[t])
    if _better(found, n, serves, latency_s):
        found.cut[n], found.participants[n], found.latency_s[n] = cut, serves, latency_s
        for t in range(at.owner.shape[0]):
            for k in range(at.owner.shape[1]):
                found.owner[n, t, k], found.psd[n, t, k] = at.owner[t, k], at.psd[t, k]
    return serves, latency_s, trials


@kernel(UNCOUNTED)
def _find_members(members: Bools, links: Links, of: Worlds, n: int, t: int) -> bool:
    """Marks who is in turn t of world n and heard on some subchannel ([C]); whether anybody is, heard or not."""
    anybody = False
    for i in range(members.shape[0]):
        member = of.members[n, i] and of.turn[n, i] == t
        anybody |= member
        members[i] = member and links.lowest_floor[i] < np.inf
    return anybody


@kernel(UNCOUNTED)
def _better(found: Found, n: int, participants: int, latency_s: float) -> bool:
    """Whether more clients take part than in what was found for world n, or as many in less time."""
    if participants != found.participants[n]:
        return participants > found.participants[n]
    return latency_s < found.latency_s[n]


@kernel(COMPILED)
def _best_first(serves: Ints, seconds: Floats) -> Ints:
    """Indices in the order of most clients, then least seconds."""
    order = np.argsort(seconds, kind="mergesort")
    return order[np.argsort(-serves[order], kind="mergesort")]
