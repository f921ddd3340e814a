"""The search over cut layers and the blocks at each, compiled, for N worlds at once."""

from math import inf
from typing import Any

from splitgym.allocation.admission import servable
from splitgym.allocation.descent.client_sets import choose_members
from splitgym.allocation.descent.slot import STARTS, allocate_slot
from splitgym.allocation.descent.worlds import (
    Found,
    UnderPlan,
    Utility,
    Worlds,
    fill_load,
    has_memory,
    most_clients,
)
from splitgym.allocation.link_budget import Links, Radio, fill_links
from splitgym.allocation.power import write_psd
from splitgym.allocation.workload import Round, uplinks
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel


@kernel(COMPILED)
def descend_worlds(descender: Any, of: Worlds, utility: Utility, even_power: bool, trials: int, found: Found) -> None:
    """The descent of every world, filled in. Where a set is to be chosen, it becomes the world's members.

    Args:
        descender: A handle of a `Descender`, used by one thread at a time.
        of: The worlds.
        utility: How sets are to be chosen.
        even_power: Everybody spends the same.
        trials: Swaps that may be tried in a world.
        found: Filled.
    """
    held = descender.held
    _descend_worlds(held.radio, held.rules, held.at, of, utility, even_power, trials, found)


@kernel(NO_REFCOUNT)
def _descend_worlds(
    radio: Radio,
    rules: Round,
    at: UnderPlan,
    of: Worlds,
    utility: Utility,
    even_power: bool,
    trials: int,
    found: Found,
) -> None:
    """The descent of every world."""
    for n in range(of.gain.shape[0]):
        found.participants[n], found.latency_s[n], at.workspace.greedy.kept_for[0] = -1, inf, 0
        for block in range(4):
            found.steps_s[n, block] = 0.0
        fill_links(
            at.links,
            radio,
            of.hz[n],
            of.gain[n],
            of.attached.s_per_bit[n],
            of.members[n],
            of.uplink_interference[n],
            of.downlink_interference[n],
        )
        if utility.sizes.shape[0] > 0:
            choose_members(at, radio, rules, of, utility, n)
        _search_plans(found, at, rules, of, n, even_power, trials)
        anybody = False
        for i in range(of.members.shape[1]):
            anybody |= of.members[n, i] and (of.hold or rules.client_bytes[found.plan[n]] <= of.memory_bytes[n, i])
        if not anybody:
            # A slot of nobody takes no time, a round of nobody lasts until the timeout.
            found.latency_s[n] = rules.timeout_s
            for block in range(4):
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
    fill_load(at.workload, rules, of, n, j)
    most, least_s = 0, 0.0
    for t in range(at.owner.shape[0]):
        _find_members(at.members, at.links, rules, of, n, j, t)
        served, seconds = servable(
            at.workload,
            at.links,
            at.members,
            most_clients(rules, of, n, j),
            rules.timeout_s,
            at.workspace.least_s,
            at.workspace.order,
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
    fill_load(at.workload, rules, of, n, choice)
    found.uplinks[0] = max(found.uplinks[0], uplinks(at.workload))
    serves, latency_s, first = 0, 0.0, found.participants[n] < 0
    for t in range(at.owner.shape[0]):
        anybody = _find_members(at.members, at.links, rules, of, n, choice, t)
        count, seconds, trials = allocate_slot(
            at.held,
            at.links,
            at.workload,
            at.members,
            anybody,
            most_clients(rules, of, n, choice),
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
def _find_members(members: Bools, links: Links, rules: Round, of: Worlds, n: int, choice: int, t: int) -> bool:
    """Marks the clients in slot t of world n with a signal on some subchannel ([C]); whether any is in it.

    Clients without the memory for the plan are in no slot.
    """
    anybody = False
    for i in range(members.shape[0]):
        member = of.members[n, i] and of.slot[n, i] == t and has_memory(rules, of, n, choice, i)
        anybody |= member
        members[i] = member and links.lowest_floor[i] < inf
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
