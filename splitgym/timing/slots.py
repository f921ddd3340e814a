"""The slots of a round, of N worlds: which clients have which part of the band in each, one after the other."""

from collections.abc import Callable
from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel
from splitgym.timing.amounts import bits_between, move_bits, plan_of
from splitgym.timing.barrier import Rows, rows_under
from splitgym.timing.cell import Cell, Constants, Spectrum
from splitgym.timing.rates import fill_band_rates
from splitgym.timing.records import Decided, Memories, Rules, Walked, Workspace, Worlds
from splitgym.timing.relocation import relocate
from splitgym.timing.slot import Slot, walk_as_needed, walk_statically
from splitgym.timing.slot_account import clear, note_slot
from splitgym.timing.slot_bandwidth import band_of_slot
from splitgym.timing.wires import broadcast_delay_s, fill_through, fill_wires

CLUSTERED, SEQUENTIAL = int(Access.CLUSTERED), int(Access.SEQUENTIAL)
BEFORE, BEHIND = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""Slots that come before and after all."""


@kernel(INLINED)
def slot_of_client(access: int, cluster: int, client: int) -> int:
    """`splitgym.frameworks.phases.Access.slot_of_clients`, of one client."""
    return cluster if access == CLUSTERED else client if access == SEQUENTIAL else 0


def _worlds_walked_by(walk: Callable[..., tuple[float, float]]) -> Callable[..., None]:
    """The loop over worlds and slots around a kernel that walks one slot."""

    def walk_worlds(
        rows: Rows,
        constants: Constants,
        rules: Rules,
        barrier: Ints,
        worlds: Worlds,
        decided: Decided,
        walked: Walked,
        workspace: Workspace,
    ) -> None:
        work = rules.work
        slot, order, members, band = workspace.slot, workspace.order, workspace.members, workspace.band
        down, up, began, client_hz = workspace.down, workspace.up, slot.began, workspace.client_hz
        clock, wires, longest_delay_s = decided.clock, workspace.wires, broadcast_delay_s(constants.ways)
        for n in range(worlds.gain.shape[0]):
            spectrum = Spectrum(
                worlds.hz[n], constants.noise, constants.downlink_psd, constants.client_max_w, constants.total_max_w
            )
            plans = decided.plan[n]
            clear(walked, n)
            _find_members(rules, worlds, decided, walked, n, workspace)
            for i in range(client_hz.shape[0]):
                client_hz[i] = worlds.client_hz[n, i] * clock[min(n, clock.shape[0] - 1), min(i, clock.shape[1] - 1)]
            fill_band_rates(spectrum, worlds.gain[n], members, band)
            placement = rules.relocation.placement[plans[0]]
            fill_wires(wires, constants.ways, worlds.attached, n, placement)
            fill_through(band, wires, band)
            between = bits_between(worlds.second_cut[n], rules.second_cut[plans[0]], rules.prefix_bits)
            relocation_s, relocated, sent = relocate(worlds.unit_node[n], plans[0], rules.relocation)
            cell = Cell(
                client_hz,
                worlds.server_hz[n],
                constants.backbone,
                worlds.gain[n],
                band,
                down,
                up,
                between,
                relocation_s,
                relocated,
                sent,
                wires,
                longest_delay_s,
                worlds.station_gain[n],
            )
            table = rows_under(rows, rules.kinds[placement])
            current = _next_slot(order, members, BEFORE)
            following = _next_slot(order, members, current)
            again = not decided.by_slot and current < BEHIND and (following < BEHIND or rules.access == SEQUENTIAL)
            while True:
                row = current if decided.by_slot and current < BEHIND else 0
                for i in range(began.shape[0]):
                    began[i] = members[i] and order[i] == current
                band_of_slot(
                    decided.owner[n, row], decided.psd[n, row], began, again, spectrum, slot.now, slot.owner, slot.psd
                )
                _find_who_begins(slot, rules.uses_own_subchannels)
                _leave_out_for_memory(
                    rules.memory, plans, worlds.absence[n], slot, walked.without_subchannel[n], walked.without_memory[n]
                )
                seconds, broadcast_bits = walk(table, barrier, spectrum, cell, work, plans, slot)
                note_slot(walked, n, constants, rules, table, plans, spectrum, cell, slot, broadcast_bits)
                walked.latency_s[n] += seconds
                if following == BEHIND:
                    break
                current, following = following, _next_slot(order, members, following)

    return walk_worlds


# Sharing on demand needs arrays of changing sizes; with static shares nothing is made.
walk_with_static_shares = kernel(NO_REFCOUNT)(_worlds_walked_by(walk_statically))
_on_demand = kernel(COMPILED)(_worlds_walked_by(walk_as_needed))


@kernel(COMPILED)
def _walk_statically(rounds: Any, decided: Decided) -> None:
    held, of = rounds.held, rounds.held.walker
    walk_with_static_shares(
        of.rows, of.constants, of.rules, of.barrier, held.worlds, decided, held.walked, of.workspace
    )


@kernel(COMPILED)
def _walk_on_demand(rounds: Any, decided: Decided) -> None:
    held, of = rounds.held, rounds.held.walker
    _on_demand(of.rows, of.constants, of.rules, of.barrier, held.worlds, decided, held.walked, of.workspace)


def walk_slots(rounds: Any, on_demand: bool, decided: Decided) -> None:
    """Walks the phases with the members of each slot, one slot after the other.

    If the decision has a band for each slot, it counts as it is. One band for all slots is assigned again in every slot
    if the clients go one by one or if there are several slots, and counts as it is in a single slot. Slots without
    members take no time; without any member there is one slot of nobody.

    Args:
        rounds: A handle of `Rounds`, used by one thread at a time; its `walked` is filled.
        on_demand: Whether shares are lent, and phases wait only as `Walker.barrier` says.
        decided: What.
    """
    walk = _walk_on_demand if on_demand else _walk_statically
    walk(rounds, decided)


@kernel(INLINED)
def _find_members(rules: Rules, worlds: Worlds, decided: Decided, walked: Walked, n: int, workspace: Workspace) -> None:
    """Which clients of world n shall and can participate, in which slots, and what moves to or from them."""
    order, members, down, up = workspace.order, workspace.members, workspace.down, workspace.up
    plans = decided.plan[n]
    selected, available, client_cut = decided.selected[n], worlds.available[n], worlds.client_cut[n]
    tail, second = worlds.client_second_cut[n], rules.second_cut[plans[0]]
    for i in range(members.shape[0]):
        plan = plan_of(plans, i)
        lacks_memory = rules.memory.client[plan] > worlds.memory_bytes[n, i]
        unit_bits = rules.moved_bits[rules.precision[plan]]
        down[i], up[i] = move_bits(client_cut[i], rules.cut_layer[plan], tail[i], second, unit_bits)
        order[i] = slot_of_client(rules.access, decided.cluster[n, i], i)
        members[i] = walked.without_subchannel[n, i] = selected[i] and available[i] and not lacks_memory
        walked.without_memory[n, i] = selected[i] and available[i] and lacks_memory
        walked.unavailable[n, i] = selected[i] and not available[i]


@kernel(INLINED)
def _next_slot(order: Ints, members: Bools, after: int) -> int:
    """The first slot of a member after another one; BEHIND: there is none."""
    following = BEHIND
    for i in range(order.shape[0]):
        if members[i] and after < order[i] < following:
            following = order[i]
    return following


@kernel(INLINED)
def _find_who_begins(slot: Slot, uses_own_subchannels: bool) -> None:
    """Of the members, marked as clients that began, only owners can begin if clients need subchannels."""
    began, takes_part, owner = slot.began, slot.takes_part, slot.owner
    for i in range(began.shape[0]):
        takes_part[i] = began[i] and not uses_own_subchannels
    if uses_own_subchannels:
        for i in owner:
            if i >= 0:
                takes_part[i] = True
    for i in range(began.shape[0]):
        began[i] = takes_part[i]


@kernel(INLINED)
def _leave_out_for_memory(
    memory: Memories, plans: Ints, absence: Floats, slot: Slot, without_subchannel: Bools, without_memory: Bools
) -> None:
    """While a node has too little memory for all that begin the slot, the one that took part last does not.

    Of equals it is the one with the highest index. The other arrays are [C].
    """
    began, takes_part, owner = slot.began, slot.takes_part, slot.owner
    for s in range(memory.limit.shape[0]):
        while _needed_bytes(memory.once[s], memory.per_participant[s], plans, began) > memory.limit[s]:
            last = -1
            for i in range(began.shape[0]):
                if began[i] and (last < 0 or absence[i] <= absence[last]):
                    last = i
            began[last] = takes_part[last] = without_subchannel[last] = False
            without_memory[last] = True
            for k in range(owner.shape[0]):
                if owner[k] == last:
                    owner[k] = -1


@kernel(INLINED)
def _needed_bytes(once: Floats, per_participant: Floats, plans: Ints, serves: Bools) -> float:
    """What a node needs for the clients that it serves; both tables are [G]. Nothing for nobody."""
    most, needed = 0.0, 0.0
    for i in range(serves.shape[0]):
        if serves[i]:
            plan = plan_of(plans, i)
            most = max(most, once[plan])
            needed += per_participant[plan]
    return most + needed
