"""The clock of a slot: walks the phases of one world and notes when each client is busy with what."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.program import MIGRATION_ROWS, Program
from splitgym.frameworks.resources import Resource
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.timing.amounts import Work, common_amount, own_amount, plan_of
from splitgym.timing.cell import Cell, Links

CLIENT, UPLINK, UNICAST = int(Resource.CLIENT), int(Resource.UPLINK), int(Resource.UNICAST)
SERVER, BROADCAST = int(Resource.SERVER), int(Resource.BROADCAST)
END = 2**62
"""Behind the last phase everybody waits for the slowest, too."""


@kernel(INLINED)
def duration(amount: float, speed: float) -> float:
    """Seconds for an amount of work at a speed; endless at speed 0, nothing for no work."""
    if amount == 0.0:
        return 0.0
    return amount / speed if speed > 0.0 else np.inf


@kernel(INLINED)
def common_speed(kind: int, server_hz: float, slowest_band: float, speed: Floats) -> float:
    """Cycles/s or bits/s in a common phase; `speed`: [Q] of `Backbone`."""
    if kind == SERVER:
        return server_hz
    if kind == BROADCAST:
        return slowest_band
    return speed[kind]


@kernel(INLINED)
def common_delay_s(kind: int, amount: float, cell: Cell) -> float:
    """Seconds that a common phase needs beside its bits; nothing for no work."""
    if kind < BROADCAST or amount == 0.0:
        return 0.0
    return cell.broadcast_delay_s if kind == BROADCAST else cell.backbone.delay_s[kind]


@kernel(NO_REFCOUNT)
def first_of(resource: Ints, kind: int) -> int:
    """Index of the first phase of a kind among the phases ([P] what is busy in each), -1: there is none."""
    for phase in range(resource.shape[0]):
        if resource[phase] == kind:
            return phase
    return -1


@kernel(NO_REFCOUNT)
def deadline_barrier(resource: Ints) -> int:
    """Index of the phase before which the timeout applies: the first common one that follows the first uplink.

    Args:
        resource: [P] what is busy in each phase.

    Returns:
        0..P-1; P: at the end of the phases; P + 1: never, as there is no uplink.
    """
    phases, phase = resource.shape[0], first_of(resource, UPLINK)
    if phase < 0:
        return phases + 1
    while phase < phases and resource[phase] < SERVER:
        phase += 1
    return phase


class Rows(NamedTuple):
    """The rows of a slot's timeline, R = MIGRATION_ROWS + P for P phases, and what may end it."""

    kind: Ints
    """[R + 1] what is busy; END behind the last row."""
    deadline_row: int
    """The row before which the timeout applies; above R: never."""
    waiting_row: int
    """The row in which the server waits if nobody is left: the first uplink, or that of what moves."""
    moving_row: int
    """The first row of the link over which units move with the second cut, and with it what moves; -1: none."""
    timeout_s: float
    """Counted from the start of the slot."""
    relocation_row: int
    """The row in which units move between nodes, -1: there is none."""
    passes: Ints
    """[R + 1] of each row `splitgym.frameworks.phases.Phase.of_pass`."""
    micro_batches: float
    """xi, into which the work of each pass is split."""


class Timeline(NamedTuple):
    """What happens when in a slot, s from its begin."""

    start: Floats
    """[R, C] start of each row for each client: of what it waits for, when that is taken up."""
    stop: Floats
    """[R, C] its end."""
    stage_s: Floats
    """[R] seconds of each row on the critical path; they sum to the latency."""
    common_s: Floats
    """[R] seconds that the server, the base station or the cloud works on each common phase."""


def rows_of(program: Program, timeout_s: float) -> Rows:
    """The rows of a framework's phases, under the first placement."""
    resource = program.resource
    moving = first_of(resource, program.moving_link)
    passes = program.passes or (0,) * len(resource)
    return Rows(
        kinds_of(program)[0],
        MIGRATION_ROWS + deadline_barrier(resource),
        MIGRATION_ROWS + first_of(resource, UPLINK),
        MIGRATION_ROWS + moving if moving >= 0 else -1,
        float(timeout_s),
        MIGRATION_ROWS + program.relocation if program.relocation >= 0 else -1,
        np.array([*[0] * MIGRATION_ROWS, *passes, 0], np.int64),
        float(program.micro_batches),
    )


def kinds_of(program: Program) -> Ints:
    """[K, R + 1] what is busy in each row under each placement; END behind the last row."""
    return np.array([[UNICAST, UPLINK, *route, END] for route in program.route], np.int64)


@kernel(INLINED)
def rows_under(table: Rows, kind: Ints) -> Rows:
    """The rows with what is busy in each ([R + 1]) under another placement."""
    return Rows(
        kind,
        table.deadline_row,
        table.waiting_row,
        table.moving_row,
        table.timeout_s,
        table.relocation_row,
        table.passes,
        table.micro_batches,
    )


@kernel(INLINED)
def walk(
    table: Rows,
    work: Work,
    plans: Ints,
    takes_part: Bools,
    cell: Cell,
    links: Links,
    now: Floats,
    amount: Floats,
    timeline: Timeline,
) -> tuple[float, float]:
    """Runs one slot of one world with static shares.

    A client begins after the interruption of its handover, which counts for the first row. Clients work side by side
    through per-client phases; before a common phase and at the end everybody waits for the slowest. At the first
    such barrier after the first uplink clients that are later than the timeout are dropped, and the server has then
    waited until the timeout.

    Args:
        table: Of the framework and the scenario.
        work: Of the framework.
        plans: [1] the common plan, or [C] that of each client.
        takes_part: [C]; clients that are dropped are set to False here.
        cell: Of the world.
        links: Of the slot, with rates over radio and wires together.
        now: [C] workspace for the clients' clocks.
        amount: [C] workspace for cycles or bits of a phase.
        timeline: Filled.

    Returns:
        The latency of the slot, s, and the bits that were broadcast.
    """
    kinds, start, stop, stage_s = table.kind, timeline.start, timeline.stop, timeline.stage_s
    rows, clients = start.shape
    deadline = table.timeout_s if table.deadline_row <= rows else np.inf
    for i in range(clients):
        now[i] = cell.wires.interruption_s[i] if takes_part[i] else 0.0
    for row in range(rows):
        stage_s[row] = 0.0
    participants, slowest_band = _participants(takes_part, cell.band)
    segment = 0
    barrier = broadcast_bits = 0.0
    for row in range(rows + 1):
        kind = kinds[row]
        if kind < SERVER:
            speed = cell.client_hz if kind == CLIENT else links.uplink if kind == UPLINK else links.downlink
            find_amounts(row, table, work, plans, cell, amount)
            _work_apart(amount, speed, cell.wires.delay_s, kind != CLIENT, takes_part, now, start[row], stop[row])
            continue
        if row == table.deadline_row:
            _leave_out_late(now, takes_part, start, stop, row, table.timeout_s)
            participants, slowest_band = _participants(takes_part, cell.band)
        barrier = _close_segment(now, start, stop, stage_s, segment, row, deadline)
        if participants == 0:
            stage_s[table.waiting_row] += table.timeout_s - barrier
            barrier = table.timeout_s
            _do_nothing(start, stop, row)
            break
        if kind == END:
            break
        if row == table.deadline_row:
            deadline = np.inf
        common = _amount_for_all(row, table, work, plans, takes_part, participants, cell, timeline)
        common_per_s = common_speed(kind, cell.server_hz, slowest_band, cell.backbone.speed)
        delay_s = common_delay_s(kind, common, cell)
        seconds = duration(common, common_per_s) + delay_s
        stage_s[row] = min(seconds, max(deadline - barrier, 0.0))
        if kind == BROADCAST:
            cut_off_bits = common_per_s * max(stage_s[row] - delay_s, 0.0)
            broadcast_bits += common if stage_s[row] == seconds else cut_off_bits
        _work_together(barrier, barrier + seconds, takes_part, now, start[row], stop[row])
        segment = row + 1
    for row in range(rows):
        timeline.common_s[row] = stage_s[row]
    return barrier, broadcast_bits


@kernel(INLINED)
def find_amounts(row: int, table: Rows, work: Work, plans: Ints, cell: Cell, amount: Floats) -> None:
    """Fills [C] cycles or bits of a row in which every client works by itself."""
    if row < MIGRATION_ROWS:
        moved = cell.move_down if row == 0 else cell.move_up
        for i in range(amount.shape[0]):
            amount[i] = moved[i]
    else:
        for i in range(amount.shape[0]):
            amount[i] = own_amount(work, plan_of(plans, i), row - MIGRATION_ROWS, i)
    if table.passes[row] > 0:
        for i in range(amount.shape[0]):
            amount[i] /= table.micro_batches


@kernel(NO_REFCOUNT)
def _amount_for_all(
    row: int,
    table: Rows,
    work: Work,
    plans: Ints,
    takes_part: Bools,
    participants: int,
    cell: Cell,
    timeline: Timeline,
) -> float:
    """Cycles, bits or seconds of a row that is common to all; of a stage of a pass those of one micro-batch."""
    if table.passes[row] < 0:
        return (table.micro_batches - 1.0) * _longest_stage(table, row, takes_part, cell, timeline)
    amount = common_amount(work, plans, row - MIGRATION_ROWS, takes_part, participants)
    if row == table.moving_row:
        amount += cell.move_between
    if row == table.relocation_row:
        amount += cell.relocation_s
    return amount / table.micro_batches if table.passes[row] > 0 else amount


@kernel(INLINED)
def _longest_stage(table: Rows, behind: int, takes_part: Bools, cell: Cell, timeline: Timeline) -> float:
    """Seconds of the longest stage of the pass that a row lies behind, over all that take part.

    Without delays of wires: the next micro-batch is sent while one is on its way.
    """
    longest, start, stop = 0.0, timeline.start, timeline.stop
    for row in range(behind):
        if table.passes[row] == -table.passes[behind]:
            kind = table.kind[row]
            for i in range(takes_part.shape[0]):
                delay_s = cell.backbone.delay_s[kind] if kind > BROADCAST else 0.0
                if kind in (UPLINK, UNICAST):
                    delay_s = cell.wires.delay_s[i]
                if takes_part[i]:
                    longest = max(longest, stop[row, i] - start[row, i] - delay_s)
    return longest


@kernel(INLINED)
def _work_apart(
    amount: Floats,
    speed: Floats,
    delay_s: Floats,
    sends: bool,
    takes_part: Bools,
    now: Floats,
    start_s: Floats,
    stop_s: Floats,
) -> None:
    """A row in which every client works by itself, or sends or receives; clocks go on. All arrays are [C]."""
    for i in range(now.shape[0]):
        seconds = duration(amount[i], speed[i]) + (delay_s[i] if sends and amount[i] > 0.0 else 0.0)
        start_s[i] = now[i]
        stop_s[i] = now[i] = now[i] + (seconds if takes_part[i] else 0.0)


@kernel(INLINED)
def _work_together(
    begin_s: float, end_s: float, takes_part: Bools, now: Floats, start_s: Floats, stop_s: Floats
) -> None:
    """A row that is common to all that take part; the clocks of others stand at 0. All arrays are [C]."""
    for i in range(now.shape[0]):
        start_s[i] = begin_s if takes_part[i] else 0.0
        stop_s[i] = now[i] = end_s if takes_part[i] else 0.0


@kernel(INLINED)
def _do_nothing(start: Floats, stop: Floats, first: int) -> None:
    """Rows from `first` on ([R, C] of a timeline), as nobody is left."""
    for row in range(first, start.shape[0]):
        for i in range(start.shape[1]):
            start[row, i] = stop[row, i] = 0.0


@kernel(INLINED)
def _participants(takes_part: Bools, band: Floats) -> tuple[int, float]:
    """How many take part, and the least rate of a broadcast to them, bits/s."""
    participants, slowest_band = 0, np.inf
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            participants += 1
            slowest_band = min(slowest_band, band[i])
    return participants, slowest_band


@kernel(INLINED)
def _leave_out_late(now: Floats, takes_part: Bools, start: Floats, stop: Floats, rows: int, timeout_s: float) -> None:
    """Ends what late clients are doing at the timeout, up to which the server has waited for them."""
    for i in range(now.shape[0]):
        if now[i] > timeout_s:
            takes_part[i] = False
            now[i] = timeout_s
            for row in range(rows):
                start[row, i] = min(start[row, i], timeout_s)
                stop[row, i] = min(stop[row, i], timeout_s)


@kernel(INLINED)
def _close_segment(
    now: Floats, start: Floats, stop: Floats, stage_s: Floats, first: int, last: int, deadline: float
) -> float:
    """Everybody waits for the slowest: its phases [first, last) are on the critical path; returns its clock.

    What comes after a deadline that is still ahead will be cut off there, and so does not count.
    """
    slowest = 0
    for i in range(1, now.shape[0]):
        if now[i] > now[slowest]:
            slowest = i
    for row in range(first, last):
        stage_s[row] = min(stop[row, slowest], deadline) - min(start[row, slowest], deadline)
    if first == 0:
        stage_s[0] += min(start[0, slowest], deadline)
    return now[slowest]
