"""Where the clients of one world are in a step of an asynchronous framework: from row to row, each by itself."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.kernels import COMPILED, INLINED, kernel
from splitgym.timing.amounts import Work, own_amount, plan_of
from splitgym.timing.barrier import CLIENT, UNICAST, UPLINK, duration
from splitgym.timing.cell import Cell, Links
from splitgym.timing.dynamic_sharing import Loans
from splitgym.timing.events import Chains
from splitgym.timing.slot import Slot
from splitgym.types.flights import IDLE


class Course(NamedTuple):
    """What framework and scenario say; see `splitgym.frameworks.asynchrony.Asynchrony`."""

    kind: Ints
    """[R + 1] what is busy in each row of the timeline."""
    server_row: int
    return_row: int
    waiting_row: int
    """The row in which the server waits for what does not come: the first uplink."""
    patience_s: float
    timeout_s: float
    """From the start of the step; then the server updates with those that have delivered, if any."""
    in_pieces: bool
    """Whether it works for one client before all of the update are there, and for one after the other."""
    on_demand: bool
    """Whether idle subchannels are lent."""


class Board(NamedTuple):
    """What is noted in a step; the arrays of clients are [C]."""

    chains: Chains
    """Row, end of it, amount left; and when the smashed data came to the server, which may be before the step."""
    plan: Ints
    """Of the mini-batch in flight."""
    entered: Floats
    """Amount of the row when it was entered, or when the step began."""
    returned_s: Floats
    """As in `Flights`, like the next."""
    began_s: Floats
    here: Bools
    """Clients that can be reached."""
    owns: Bools
    """Clients that have a subchannel."""
    starts: Bools
    """Clients that begin a mini-batch once they have nothing else to do."""
    served: Bools
    """Clients for which the server works or has worked."""
    taken: Bools
    """Clients of the update."""
    sends: Bools
    receives: Bools
    bits: Floats
    """[2] bits that were sent, and those of moved parts of the network among them."""
    loans: Loans
    """What is lent at a moment."""
    seconds: Floats
    """[2, C] of sending and of receiving, on demand."""


def empty_board(clients: int, subchannels: int) -> Board:
    """An empty one."""
    end, left, came, entered, returned_s, began_s, rate = np.zeros((7, clients))
    here, owns, starts, served, taken, sends, receives = np.zeros((7, clients), np.bool_)
    return Board(
        Chains(np.zeros(clients, np.int64), end, left, came),
        np.zeros(clients, np.int64),
        entered,
        returned_s,
        began_s,
        here,
        owns,
        starts,
        served,
        taken,
        sends,
        receives,
        np.zeros(2),
        Loans(np.full(subchannels, -1), np.zeros(subchannels), rate),
        np.zeros((2, clients)),
    )


@kernel(INLINED)
def clear(start: Floats, stop: Floats, stage_s: Floats, common_s: Floats, board: Board) -> None:
    """Nothing has happened yet in a step."""
    for row in range(start.shape[0]):
        stage_s[row] = common_s[row] = 0.0
        for i in range(start.shape[1]):
            start[row, i] = stop[row, i] = 0.0
    for i in range(start.shape[1]):
        board.served[i] = board.taken[i] = False
        board.returned_s[i] = board.began_s[i] = np.inf
        board.seconds[0, i] = board.seconds[1, i] = board.loans.rate[i] = 0.0
    board.bits[0] = board.bits[1] = 0.0


@kernel(COMPILED)
def go_on(course: Course, work: Work, plans: Ints, cell: Cell, now: float, board: Board, slot: Slot) -> bool:
    """Every client that is done with its row enters the next one; whether there was one."""
    chains, rows, moved = board.chains, slot.timeline.start.shape[0], False
    for i in range(board.here.shape[0]):
        if not board.here[i] or chains.end[i] > now:
            continue
        moved, row = True, chains.row[i]
        if row != IDLE:
            slot.timeline.stop[row, i] = now
            _count_bits(course.kind[row], row, board.entered[i], cell.wires.links[i], board)
        row += 1
        if row == rows:
            board.returned_s[i] = now
        if row in (0, rows):
            row = 0 if board.starts[i] else IDLE
            board.began_s[i] = now if board.starts[i] else np.inf
            board.plan[i] = plan_of(plans, i)
        chains.row[i], chains.end[i], chains.left[i] = row, np.inf, 0.0
        if row == IDLE:
            continue
        if row == course.server_row:
            chains.came[i] = now
            continue
        slot.timeline.start[row, i] = now
        chains.left[i] = board.entered[i] = _amount(work, cell, row, i, board.plan[i])
        if course.kind[row] == CLIENT or chains.left[i] == 0.0:
            chains.end[i] = now + duration(chains.left[i], cell.client_hz[i])
    return moved


@kernel(INLINED)
def _amount(work: Work, cell: Cell, row: int, i: int, plan: int) -> float:
    """Cycles or bits of a row that client i has by itself."""
    if row < MIGRATION_ROWS:
        return cell.move_down[i] if row == 0 else cell.move_up[i]
    return own_amount(work, plan, row - MIGRATION_ROWS, i)


@kernel(INLINED)
def _count_bits(kind: int, row: int, bits: float, links: float, board: Board) -> None:
    """Adds what was sent in a row of a client, by radio and over so many wired links."""
    if kind in (UPLINK, UNICAST):
        board.bits[0] += bits * (1.0 + links)
        board.bits[1] += bits if row < MIGRATION_ROWS else 0.0


@kernel(INLINED)
def find_who_is_on_air(course: Course, cell: Cell, now: float, board: Board) -> None:
    """Clients that send or receive now; without a subchannel they wait, and so they do while they change stations."""
    for i in range(board.here.shape[0]):
        row = board.chains.row[i]
        on_air = board.here[i] and board.owns[i] and row != IDLE and now >= cell.wires.interruption_s[i]
        board.sends[i] = on_air and course.kind[max(row, 0)] == UPLINK
        board.receives[i] = on_air and course.kind[max(row, 0)] == UNICAST


@kernel(INLINED)
def set_ends(now: float, links: Links, board: Board) -> None:
    """When clients that begin to send or receive over their own subchannels will be done."""
    chains = board.chains
    for i in range(board.here.shape[0]):
        if chains.end[i] == np.inf and (board.sends[i] or board.receives[i]):
            rate = links.uplink[i] if board.sends[i] else links.downlink[i]
            chains.end[i] = now + duration(chains.left[i], rate)


@kernel(COMPILED)
def leave(course: Course, work: Work, cell: Cell, links: Links, now: float, board: Board, slot: Slot) -> None:
    """What is in flight at the end of the step: the amounts that are left of the rows; `links`: over all of the way."""
    chains, rows = board.chains, slot.timeline.start.shape[0]
    for i in range(board.here.shape[0]):
        row = chains.row[i]
        if board.taken[i]:
            chains.row[i] = course.return_row if course.return_row < rows else IDLE
            chains.left[i] = (
                _amount(work, cell, course.return_row, i, board.plan[i]) if course.return_row < rows else 0.0
            )
        elif row not in (IDLE, course.server_row) and board.here[i]:
            kind = course.kind[row]
            if chains.end[i] < np.inf:
                on_demand = board.loans.rate[i]
                rate = cell.client_hz[i] if kind == CLIENT else on_demand if course.on_demand else _rate(kind, links, i)
                chains.left[i] = max(chains.end[i] - now, 0.0) * rate
            slot.timeline.stop[row, i] = now
            _count_bits(kind, row, board.entered[i] - chains.left[i], cell.wires.links[i], board)


@kernel(INLINED)
def _rate(kind: int, links: Links, i: int) -> float:
    """Of a client over its own subchannels, bits/s."""
    return links.uplink[i] if kind == UPLINK else links.downlink[i]
