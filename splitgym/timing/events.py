"""What each client has to do in a slot, and how far it is, when clients and server go on as soon as they can."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.frameworks.resources import Barrier
from splitgym.kernels import COMPILED, kernel
from splitgym.timing.amounts import Work, own_amount, plan_of
from splitgym.timing.barrier import BROADCAST, CLIENT, SERVER, Rows, Timeline, common_delay_s, common_speed, duration
from splitgym.timing.cell import Cell

NONE = int(Barrier.NONE)


class Tasks(NamedTuple):
    """What there is to do in the R rows of a slot's timeline."""

    kind: Ints
    """[R + 1] what is busy; END behind the last row."""
    own: Floats
    """[R, C] cycles or bits of each client: in its own phase, or for it in a common one."""
    once: Floats
    """[R] cycles or bits of a common phase beside those."""
    waits: Bools
    """[R] whether everybody waits for the last before the row begins."""
    in_pieces: Bools
    """[R] whether the server works for one client after the other."""


class Chains(NamedTuple):
    """How far the clients are; all [C]."""

    row: Ints
    """The row that each is in; -1: it has not begun, R: it has done everything."""
    end: Floats
    """When that is done at the present rate, s; inf: it waits."""
    left: Floats
    """Bits that it had still to send or receive when its rate was last set."""
    came: Floats
    """When its data came to the server, s."""


@kernel(COMPILED)
def tasks_of(table: Rows, work: Work, plans: Ints, takes_part: Bools, barrier: Ints, cell: Cell) -> Tasks:
    """Lays out phases under plans ([1] or [C], see `splitgym.timing.barrier.walk`) as the rows of a table.

    Where the barrier of a phase ([P]) is NONE the server works for one client before the rows of another are there; it
    waits for all only before what it does once. Nobody waits for a phase without tasks.
    """
    kind = table.kind
    rows = kind.shape[0] - 1
    own, once = np.zeros((rows, cell.client_hz.shape[0])), np.zeros(rows)
    waits, in_pieces = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    own[0], own[1] = cell.move_down, cell.move_up
    for row in range(MIGRATION_ROWS, rows):
        phase = row - MIGRATION_ROWS
        common, each = kind[row] >= SERVER, 0.0
        for i in range(own.shape[1]):
            plan = plan_of(plans, i)
            own[row, i] = work.per_participant[plan, phase] if common else own_amount(work, plan, phase, i)
            if takes_part[i]:
                once[row], each = max(once[row], work.work[plan, phase]), max(each, own[row, i])
        if row == table.moving_row:
            once[row] += cell.move_between
        if row == table.relocation_row:
            once[row] += cell.relocation_s
        if common:
            in_pieces[row] = barrier[phase] == NONE
            waits[row] = once[row] > 0.0 or (each > 0.0 and not in_pieces[row])
        else:
            once[row] = 0.0
    return Tasks(kind, own, once, waits, in_pieces)


@kernel(COMPILED)
def go_on(tasks: Tasks, cell: Cell, takes_part: Bools, now: float, chains: Chains, timeline: Timeline) -> bool:
    """Every client that is done with a row enters the next, and passes what is nothing to do; whether there was one."""
    rows, moved = tasks.own.shape[0], False
    for i in range(takes_part.shape[0]):
        while takes_part[i] and chains.end[i] <= now:
            moved = True
            if chains.row[i] >= 0:
                timeline.stop[chains.row[i], i] = now
            chains.row[i] += 1
            chains.end[i] = np.inf
            row = chains.row[i]
            if row == rows:
                break
            timeline.start[row, i] = now
            chains.left[i] = tasks.own[row, i]
            if tasks.kind[row] == CLIENT or (tasks.own[row, i] == 0.0 and not tasks.waits[row]):
                chains.end[i] = now + duration(tasks.own[row, i], cell.client_hz[i])
            if tasks.kind[row] == SERVER and tasks.kind[row - 1] != SERVER:
                chains.came[i] = now
    return moved


@kernel(COMPILED)
def row_that_all_wait_for(tasks: Tasks, takes_part: Bools, begun: Bools, chains: Chains) -> int:
    """The row at which everybody waits for it to begin, -1: there is none; `begun`: [R] which did."""
    common = -1
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            row = chains.row[i]
            if row == tasks.own.shape[0] or not tasks.waits[row] or begun[row] or (common >= 0 and row != common):
                return -1
            common = row
    return common


@kernel(COMPILED)
def work_for_all(
    tasks: Tasks,
    cell: Cell,
    row: int,
    takes_part: Bools,
    now: float,
    horizon_s: float,
    chains: Chains,
    timeline: Timeline,
) -> tuple[float, float]:
    """Begins a row that all wait for; what goes on behind the horizon is cut off there and does not count.

    Returns:
        When it is done and pieces may follow, s, and the bits that are broadcast.
    """
    kind, amount = tasks.kind[row], tasks.once[row]
    if not tasks.in_pieces[row]:
        amount += tasks.own[row, 0] * np.sum(takes_part)
    slowest_band = np.min(cell.band[takes_part]) if kind == BROADCAST else 0.0
    speed = common_speed(kind, cell.server_hz, slowest_band, cell.backbone.speed)
    delay_s = common_delay_s(kind, amount, cell)
    seconds = duration(amount, speed) + delay_s
    counted_s = min(seconds, max(horizon_s - now, 0.0))
    timeline.common_s[row] += counted_s
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            timeline.start[row, i] = now
            if not tasks.in_pieces[row]:
                chains.end[i] = now + seconds
    sent = 0.0
    if kind == BROADCAST:
        sent = amount if counted_s == seconds else speed * max(counted_s - delay_s, 0.0)
    return now + seconds, sent


@kernel(COMPILED)
def first_come(tasks: Tasks, takes_part: Bools, begun: Bools, chains: Chains) -> int:
    """The client whose data has been at the server longest and is not being worked on, -1: there is none."""
    first = -1
    for i in range(takes_part.shape[0]):
        if takes_part[i] and chains.end[i] == np.inf and chains.row[i] < tasks.own.shape[0]:
            row = chains.row[i]
            ready = tasks.in_pieces[row] and (begun[row] or not tasks.waits[row])
            if ready and (first < 0 or chains.came[i] < chains.came[first]):
                first = i
    return first


@kernel(COMPILED)
def work_for_one(tasks: Tasks, cell: Cell, client: int, now: float, chains: Chains, timeline: Timeline) -> float:
    """The server takes up a client's piece; returns when it is done, s."""
    row = chains.row[client]
    seconds = duration(tasks.own[row, client], cell.server_hz)
    timeline.common_s[row] += seconds
    chains.end[client] = now + seconds
    if not tasks.waits[row]:
        timeline.start[row, client] = now
    return chains.end[client]


@kernel(COMPILED)
def leave_out(tasks: Tasks, late: Bools, deadline_row: int, now: float, chains: Chains, timeline: Timeline) -> None:
    """Ends what late clients ([C]) are doing, and all that they should have done before the deadline's row."""
    for i in range(late.shape[0]):
        if late[i]:
            row = chains.row[i]
            if tasks.kind[row] >= SERVER and chains.end[i] == np.inf:
                timeline.start[row, i] = now
            timeline.stop[row, i] = now
            timeline.start[row + 1 : deadline_row, i] = now
            timeline.stop[row + 1 : deadline_row, i] = now
