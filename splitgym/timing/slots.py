"""The slots of a round, of N worlds: which clients have which part of the band in each, one after the other."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel
from splitgym.network.wired import Ways
from splitgym.timing.amounts import Work, bits_between, move_bits, plan_of
from splitgym.timing.barrier import BROADCAST, CLIENT, SERVER, UNICAST, UPLINK, Rows, find_amounts, rows_under
from splitgym.timing.cell import Cell, Constants, Spectrum
from splitgym.timing.rates import fill_band_rates
from splitgym.timing.relocation import Relocation, relocate
from splitgym.timing.slot import Slot, walk_as_needed, walk_statically
from splitgym.timing.slot_bandwidth import band_of_slot
from splitgym.timing.wires import Attached, Wires, broadcast_delay_s, fill_through, fill_wires, radio_share

CLUSTERED, SEQUENTIAL = int(Access.CLUSTERED), int(Access.SEQUENTIAL)
BEFORE, BEHIND = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""Slots that come before and after all."""


class Memories(NamedTuple):
    """What plans need of memory, see `splitgym.frameworks.memory.MemoryNeeds`."""

    client: Floats
    """[G] bytes of a client."""
    once: Floats
    """[S, G] bytes of each node whose memory is limited."""
    per_participant: Floats
    """[S, G] bytes more for each client that takes part in the slot."""
    limit: Floats
    """[S] bytes that it has."""


class Rules(NamedTuple):
    """What a framework and a scenario say about the slots of a round."""

    resource: Ints
    """[P] what is busy in each phase."""
    work: Work
    """Of each phase under each plan."""
    cut_layer: Ints
    """[G] of each plan."""
    second_cut: Ints
    """[G] of each plan, 0: nobody decides it."""
    client_energy: Floats
    """[G] energy of a client's cycle under each plan, over that with full precision."""
    prefix_bits: Floats
    """[L] model bits of units 1..j, with full precision."""
    precision: Ints
    """[G] of each plan."""
    moved_bits: Floats
    """[Q, L] bits of units 1..j as they move between client and server, with each precision."""
    access: int
    """Which clients work at the same time: a number of `Access`."""
    uses_own_subchannels: bool
    """Whether a client without a subchannel cannot take part."""
    memory: Memories
    kinds: Ints
    """[K, R + 1] what is busy in each row of the timeline under each placement."""
    relocation: Relocation


class Worlds(NamedTuple):
    """The states of N worlds."""

    hz: Floats
    """[N, M] bandwidths B_k, Hz."""
    gain: Floats
    """[N, C, M] linear, antenna gains included."""
    client_hz: Floats
    """[N, C] cycles/s."""
    server_hz: Floats
    """[N] cycles/s."""
    client_cut: Ints
    """[N, C] cut layer that each client holds, 0: none yet."""
    second_cut: Ints
    """[N] last unit in front of the second cut between two servers, 0: none yet."""
    client_second_cut: Ints
    """[N, C] second cut behind which each client holds a tail, 0: none."""
    available: Bools
    """[N, C] clients that are there."""
    memory_bytes: Floats
    """[N, C] memory of each client."""
    absence: Floats
    """[N, C] rounds since each took part."""
    unit_node: Ints
    """[N, L] row of the node that holds each unit behind the cut, -1: none yet; without placements [N, 0]."""
    attached: Attached


class Decided(NamedTuple):
    """The decisions in N worlds."""

    plan: Ints
    """[N, 1] the common plan, or [N, C] that of each client."""
    selected: Bools
    """[N, C] clients that shall participate."""
    cluster: Ints
    """[N, C] lower: earlier."""
    owner: Ints
    """[N, T, M] -1: unused; T = 1: one band for all slots."""
    psd: Floats
    """[N, T, M] W/Hz."""
    by_slot: bool
    """Whether there is a band for each slot, at the slot's index."""
    clock: Floats
    """[N, 1] or [N, C] fraction of its speed with which each client computes; [1, 1]: one for all worlds."""


class Walked(NamedTuple):
    """What happens in N worlds: the arrays of `splitgym.timing.cost.RoundCost`.

    Starts and stops are of no row if nobody asks for them.
    """

    latency_s: Floats
    participants: Bools
    without_subchannel: Bools
    unavailable: Bools
    timed_out: Bools
    without_memory: Bools
    start_s: Floats
    stop_s: Floats
    stage_s: Floats
    client_energy_j: Floats
    server_energy_j: Floats
    traffic_bits: Floats
    migration_bits: Floats


class Workspace(NamedTuple):
    """Arrays that a walk overwrites."""

    slot: Slot
    order: Ints
    """[C] the slot that each client is in."""
    members: Bools
    """[C] clients that shall participate, are there, and have the memory."""
    band: Floats
    """[C] as in `Cell`, like the next two."""
    down: Floats
    up: Floats
    client_hz: Floats
    """[C] cycles/s with which each client computes."""
    wires: Wires

    @classmethod
    def empty(cls, rows: int, clients: int, subchannels: int) -> Self:
        """An empty one."""
        order, members = np.zeros(clients, np.int64), np.zeros(clients, bool)
        band, down, up, client_hz = np.zeros((4, clients))
        slot, wires = Slot.empty(rows, clients, subchannels), Wires.none(clients)
        return cls(slot, order, members, band, down, up, client_hz, wires)


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
            _clear(walked, n)
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
                _note_slot(walked, n, constants, rules, table, plans, spectrum, cell, slot, broadcast_bits)
                walked.latency_s[n] += seconds
                if following == BEHIND:
                    break
                current, following = following, _next_slot(order, members, following)

    return walk_worlds


class Walker(NamedTuple):
    """What is the same in all rounds, and workspace."""

    rows: Rows
    constants: Constants
    rules: Rules
    barrier: Ints
    """[P] what each phase waits for, if shares are lent on demand."""
    workspace: Workspace


class Rounds(NamedTuple):
    """What the kernel needs of rounds beside their decisions."""

    walker: Walker
    worlds: Worlds
    walked: Walked


# Sharing on demand needs arrays of changing sizes; with static shares nothing is made.
_with_static_shares = kernel(NO_REFCOUNT)(_worlds_walked_by(walk_statically))
_on_demand = kernel(COMPILED)(_worlds_walked_by(walk_as_needed))


@kernel(COMPILED)
def _walk_statically(rounds: Any, decided: Decided) -> None:
    held, of = rounds.held, rounds.held.walker
    _with_static_shares(of.rows, of.constants, of.rules, of.barrier, held.worlds, decided, held.walked, of.workspace)


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
def _clear(walked: Walked, n: int) -> None:
    """Nothing has happened yet in world n."""
    walked.latency_s[n] = walked.server_energy_j[n] = walked.traffic_bits[n] = walked.migration_bits[n] = 0.0
    for row in range(walked.stage_s.shape[1]):
        walked.stage_s[n, row] = 0.0
    for i in range(walked.participants.shape[1]):
        walked.participants[n, i] = walked.timed_out[n, i] = False
        walked.client_energy_j[n, i] = 0.0
    for row in range(walked.start_s.shape[1]):
        for i in range(walked.start_s.shape[2]):
            walked.start_s[n, row, i] = walked.stop_s[n, row, i] = 0.0


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


@kernel(INLINED)
def _note_slot(
    walked: Walked,
    n: int,
    constants: Constants,
    rules: Rules,
    table: Rows,
    plans: Ints,
    spectrum: Spectrum,
    cell: Cell,
    slot: Slot,
    broadcast_bits: float,
) -> None:
    """Notes what happened in a slot of world n: which clients were in it, when, and what it cost."""
    began, takes_part, links, busy_s = slot.began, slot.takes_part, slot.links, slot.busy_s
    start, stop, common_s = slot.timeline.start, slot.timeline.stop, slot.timeline.common_s
    own_hz, power_w, uplink, downlink = links.hz, links.power_w, links.uplink, links.downlink
    client_hz, move_down, move_up = cell.client_hz, cell.move_down, cell.move_up
    participants, timed_out, without_subchannel = walked.participants, walked.timed_out, walked.without_subchannel
    all_start, all_stop, clients_j = walked.start_s, walked.stop_s, walked.client_energy_j
    stage_s, all_stage_s, server_j, bits = slot.timeline.stage_s, walked.stage_s, 0.0, broadcast_bits
    begin, moved_bits, backbone, kinds, anybody = walked.latency_s[n], 0.0, cell.backbone, table.kind, False
    wired_s, hops = cell.wires.s_per_bit, cell.wires.links
    _add_up_busy_seconds(table, takes_part, start, stop, busy_s)
    if cell.broadcast_delay_s > 0.0:
        _leave_out_delays(table, rules, plans, cell, slot)
    for i in range(began.shape[0]):
        if not began[i]:
            continue
        participants[n, i], timed_out[n, i] = takes_part[i], not takes_part[i]
        anybody |= takes_part[i]
        without_subchannel[n, i] = False
        computing = busy_s[0, i]
        sending = busy_s[1, i] * radio_share(uplink[i], wired_s[i])
        receiving = busy_s[2, i] * radio_share(downlink[i], wired_s[i])
        for row in range(all_start.shape[1]):
            all_start[n, row, i], all_stop[n, row, i] = begin + start[row, i], begin + stop[row, i]
        capacitance = constants.client_capacitance * rules.client_energy[plan_of(plans, i)]
        clients_j[n, i] = capacitance * client_hz[i] ** 3 * computing + power_w[i] * sending
        server_j += constants.downlink_psd * own_hz[i] * receiving
        bits += (uplink[i] * sending + downlink[i] * receiving) * (1.0 + hops[i])
        moved_bits += move_down[i] + move_up[i] if takes_part[i] else 0.0
    for row in range(common_s.shape[0]):
        all_stage_s[n, row] += stage_s[row]
        busy = common_s[row] * _times(table, row)
        if kinds[row] == SERVER:
            server_j += constants.server_capacitance * cell.server_hz**3 * busy
        elif kinds[row] == BROADCAST:
            hears, seconds = began if row < table.deadline_row else takes_part, common_s[row] - cell.broadcast_delay_s
            on_air_s, wired_bits = _broadcast(constants.ways, cell, hears, max(seconds, 0.0))
            server_j += constants.downlink_psd * _width_hz(spectrum.subchannel_hz) * on_air_s
            bits += wired_bits
        elif kinds[row] > BROADCAST and backbone.is_link[kinds[row]]:
            sending_s = max(common_s[row] - backbone.delay_s[kinds[row]], 0.0)
            bits += backbone.speed[kinds[row]] * sending_s * _times(table, row)
        elif kinds[row] > BROADCAST:
            server_j += backbone.capacitance[kinds[row]] * backbone.speed[kinds[row]] ** 3 * busy
    if anybody:
        moved_bits += cell.relocated_bits
        bits += cell.relocation_traffic
    walked.migration_bits[n] += moved_bits + cell.move_between
    walked.server_energy_j[n] += server_j
    walked.traffic_bits[n] += bits


@kernel(INLINED)
def _times(table: Rows, row: int) -> float:
    """How often what stands in a row is done: once for each micro-batch."""
    return table.micro_batches if table.passes[row] > 0 else 1.0


@kernel(INLINED)
def _add_up_busy_seconds(table: Rows, takes_part: Bools, start: Floats, stop: Floats, busy_s: Floats) -> None:
    """Fills [3, C] seconds of computing, sending and receiving; [R, C] of a timeline, of no meaning for others.

    Who was dropped at the timeout was busy until then with the first micro-batch.
    """
    kinds = table.kind
    for i in range(busy_s.shape[1]):
        busy_s[0, i] = busy_s[1, i] = busy_s[2, i] = 0.0
    for row in range(start.shape[0]):
        if kinds[row] < SERVER:
            busy = busy_s[0] if kinds[row] == CLIENT else busy_s[1] if kinds[row] == UPLINK else busy_s[2]
            start_s, stop_s, times = start[row], stop[row], _times(table, row)
            for i in range(busy.shape[0]):
                busy[i] += (stop_s[i] - start_s[i]) * (times if takes_part[i] else 1.0)


@kernel(INLINED)
def _leave_out_delays(table: Rows, rules: Rules, plans: Ints, cell: Cell, slot: Slot) -> None:
    """Takes delays of wires out of the seconds of sending and receiving, in which clients or stations are on air."""
    start, stop, kinds = slot.timeline.start, slot.timeline.stop, table.kind
    for row in range(start.shape[0]):
        if kinds[row] in (UPLINK, UNICAST):
            find_amounts(row, table, rules.work, plans, cell, slot.amount)
            busy, times = slot.busy_s[1] if kinds[row] == UPLINK else slot.busy_s[2], _times(table, row)
            for i in range(busy.shape[0]):
                if slot.amount[i] > 0.0:
                    delay_s = min(cell.wires.delay_s[i], stop[row, i] - start[row, i])
                    busy[i] -= delay_s * (times if slot.takes_part[i] else 1.0)


@kernel(INLINED)
def _broadcast(ways: Ways, cell: Cell, hears: Bools, seconds: float) -> tuple[float, float]:
    """Of a broadcast to some clients ([C]): seconds on air, and bits over links to their stations, each link once."""
    if ways.s_per_bit.shape[0] == 0:
        return seconds, 0.0
    slowest, links = -1, 0.0
    for i in range(hears.shape[0]):
        if hears[i] and (slowest < 0 or cell.band[i] < cell.band[slowest]):
            slowest = i
    if slowest < 0:
        return 0.0, 0.0
    for e in range(ways.s_per_bit.shape[0]):
        used = False
        for i in range(hears.shape[0]):
            used |= hears[i] and ways.uses[cell.wires.station[i], 0, e]
        links += used
    bits = cell.band[slowest] * seconds
    return seconds - bits * cell.wires.s_per_bit[slowest], bits * links


@kernel(INLINED)
def _width_hz(hz: Floats) -> float:
    """The whole band, Hz."""
    width = 0.0
    for one in hz:
        width += one
    return width
