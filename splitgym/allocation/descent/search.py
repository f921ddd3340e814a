"""The search over cut layers and the blocks at each, compiled, for N worlds at once."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from splitgym.allocation.admission import servable
from splitgym.allocation.assignment import AssignmentState, no_assignment
from splitgym.allocation.descent.slot import STARTS, Workspace, allocate_slot, workspace_for
from splitgym.allocation.link_budget import Links, Radio, empty_links, fill_links
from splitgym.allocation.power import write_psd
from splitgym.allocation.workload import Round, SegmentWorkload, fill_workload, no_workload, uplinks
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel

BLOCKS = ("subchannels", "power", "cut", "exchange")
"""The steps of a descent: the first two at the most promising cut layer, then at all that may be better, then swaps
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
    second_cut: Ints
    """[N]."""
    members: Bools
    """[N, C] clients that are selected and there."""
    slot: Ints
    """[N, C] slot of each client."""
    given: Ints
    """[N, M] owners to hold, or [N, 0]: choose."""
    plans: Ints
    """[N, K] plans to choose from; or to hold, [N, 1] the common one, [N, C] that of each client."""
    hold: bool
    """Whether plans are held."""


class Found(NamedTuple):
    """What the kernel found in N worlds, with T slots."""

    plan: Ints
    """[N] the plan that was chosen; where plans are held, the first of them."""
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
    """[1] the most segments with an uplink in any world and under any plan."""


class UnderPlan(NamedTuple):
    """Workspace of one world with T slots and K plans to choose from."""

    links: Links
    held: AssignmentState
    workload: SegmentWorkload
    members: Bools
    """[C] of the slot."""
    workspace: Workspace
    owner: Ints
    """[T, M]."""
    psd: Floats
    """[T, M]."""
    serves: Ints
    """[2, K] how many clients can take part under each plan at most, and as far as is known."""
    least_s: Floats
    """[2, K] the latency likewise: no less than this."""
    order: Ints
    """[K] plans, the best first."""


def nothing_found(worlds: int, slots: int, subchannels: int) -> Found:
    """Nothing, to be filled."""
    return Found(
        np.zeros(worlds, np.int64),
        np.full((worlds, slots, subchannels), -1),
        np.zeros((worlds, slots, subchannels)),
        np.full(worlds, -1),
        np.full(worlds, np.inf),
        np.zeros((worlds, len(BLOCKS))),
        np.zeros(1, np.int64),
    )


@lru_cache(maxsize=32)
def under_plan(
    thread: int, radio: Radio, phases: int, clients: int, subchannels: int, slots: int, plans: int
) -> UnderPlan:
    """The workspace of a thread (by its identifier), made once for each size."""
    return UnderPlan(
        empty_links(clients, subchannels, radio),
        no_assignment(clients, subchannels),
        no_workload(phases, clients),
        np.zeros(clients, np.bool_),
        workspace_for(phases + 1, clients, subchannels),
        np.zeros((slots, subchannels), np.int64),
        np.zeros((slots, subchannels)),
        np.zeros((2, plans), np.int64),
        np.zeros((2, plans)),
        np.zeros(plans, np.int64),
    )


@kernel(NO_REFCOUNT)
def descend_worlds(
    radio: Radio, rules: Round, of: Worlds, even_power: bool, trials: int, at: UnderPlan, found: Found
) -> None:
    """The descent of every world; `at` is workspace."""
    for n in range(of.gain.shape[0]):
        fill_links(at.links, radio, of.hz[n], of.gain[n], of.members[n])
        _search_plans(found, at, rules, of, n, even_power, trials)
        anybody = False
        for i in range(of.members.shape[1]):
            anybody |= of.members[n, i]
        if not anybody:
            # A slot of nobody takes no time, a round of nobody lasts until the timeout.
            found.latency_s[n] = rules.timeout_s
            for block in range(found.steps_s.shape[1]):
                found.steps_s[n, block] = rules.timeout_s


@kernel(INLINED)
def _search_plans(found: Found, at: UnderPlan, rules: Round, of: Worlds, n: int, even_power: bool, trials: int) -> None:
    """All plans of world n that may be the best; or the one that is held, at once with swaps."""
    plans = 1 if of.hold else of.plans.shape[1]
    for j in range(plans):
        if not of.hold:
            _bound_plan(at, rules, of, n, j)
    starts = 0 if trials == 0 else 1 if of.hold else STARTS
    # First without swaps, then with them under the plans that may still be better, the best one first.
    for last_block in range(3 if of.hold else 2, 4 if of.hold or trials > 0 else 3):
        left = trials if last_block == 3 else 0
        _best_first(at.order[:plans], at.serves[1], at.least_s[1])
        for place in range(plans):
            j = at.order[place]
            if of.hold or (_better(found, n, at.serves[0, j], at.least_s[0, j]) and (last_block == 2 or left > 0)):
                at.serves[1, j], at.least_s[1, j], left = _try_plan(
                    found, at, rules, of, n, j, even_power, starts, left
                )
        for block in range(last_block, 4):
            found.steps_s[n, block] = found.latency_s[n]
    if of.hold:
        found.steps_s[n, 2] = found.steps_s[n, 1]


@kernel(INLINED)
def _bound_plan(at: UnderPlan, rules: Round, of: Worlds, n: int, j: int) -> None:
    """How many clients of world n can take part under a plan at most, and what its round takes at least."""
    _fill_load(at.workload, rules, of, n, j)
    most, least_s = 0, 0.0
    for t in range(at.owner.shape[0]):
        _find_members(at.members, at.links, of, n, t)
        served, seconds = servable(
            at.workload, at.links, at.members, rules.timeout_s, at.workspace.least_s, at.workspace.order
        )
        most += served
        least_s += seconds
    at.serves[0, j] = at.serves[1, j] = most
    at.least_s[0, j] = at.least_s[1, j] = least_s


@kernel(NO_REFCOUNT)
def _try_plan(
    found: Found,
    at: UnderPlan,
    rules: Round,
    of: Worlds,
    n: int,
    choice: int,
    even_power: bool,
    starts: int,
    trials: int,
) -> tuple[int, float, int]:
    """The blocks of all slots of world n under a plan, kept in `found` if that is better.

    Returns:
        How many clients are expected to take part, the latency, s, and how many trials are left.
    """
    _fill_load(at.workload, rules, of, n, choice)
    found.uplinks[0] = max(found.uplinks[0], uplinks(at.workload))
    serves, latency_s, first = 0, 0.0, found.participants[n] < 0
    for t in range(at.owner.shape[0]):
        anybody = _find_members(at.members, at.links, of, n, t)
        count, seconds, trials = allocate_slot(
            at.held,
            at.links,
            at.workload,
            at.members,
            anybody,
            rules.timeout_s,
            of.given[n],
            even_power,
            starts,
            trials,
            at.workspace,
        )
        serves += count
        latency_s += seconds
        if first:
            found.steps_s[n, 0] += at.workspace.blocks[0]
            found.steps_s[n, 1] += at.workspace.blocks[1]
        for k in range(at.owner.shape[1]):
            at.owner[t, k] = at.held.owner[k]
        write_psd(at.held, at.links, at.workload, at.workspace.ends, even_power, at.psd[t])
    if _better(found, n, serves, latency_s):
        found.plan[n], found.participants[n], found.latency_s[n] = of.plans[n, choice], serves, latency_s
        for t in range(at.owner.shape[0]):
            for k in range(at.owner.shape[1]):
                found.owner[n, t, k], found.psd[n, t, k] = at.owner[t, k], at.psd[t, k]
    return serves, latency_s, trials


@kernel(NO_REFCOUNT)
def _fill_load(workload: SegmentWorkload, rules: Round, of: Worlds, n: int, choice: int) -> None:
    """The workload of world n under one of its plans."""
    plans = of.plans[n] if of.hold else of.plans[n, choice : choice + 1]
    fill_workload(
        workload,
        rules,
        plans,
        of.members[n],
        of.client_hz[n],
        of.server_hz[n],
        of.client_cut_layer[n],
        of.second_cut[n],
    )


@kernel(NO_REFCOUNT)
def _find_members(members: Bools, links: Links, of: Worlds, n: int, t: int) -> bool:
    """Marks the clients in slot t of world n with a signal on some subchannel ([C]); whether any is in it."""
    anybody = False
    for i in range(members.shape[0]):
        member = of.members[n, i] and of.slot[n, i] == t
        anybody |= member
        members[i] = member and links.lowest_floor[i] < np.inf
    return anybody


@kernel(NO_REFCOUNT)
def _better(found: Found, n: int, participants: int, latency_s: float) -> bool:
    """Whether more clients take part than in what was found for world n, or as many in less time."""
    if participants != found.participants[n]:
        return participants > found.participants[n]
    return latency_s < found.latency_s[n]


@kernel(INLINED)
def _best_first(order: Ints, serves: Ints, seconds: Floats) -> None:
    """Fills in the plans in the order of most clients, then least seconds, then index: by insertion."""
    for j in range(order.shape[0]):
        place = j
        while place > 0:
            before = order[place - 1]
            if serves[before] > serves[j] or (serves[before] == serves[j] and seconds[before] <= seconds[j]):
                break
            order[place] = before
            place -= 1
        order[place] = j
