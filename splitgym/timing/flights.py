"""The clock of one update of the server, of one world: clients go on by themselves, and stay where they are at its end.

Each client goes round and round: parts of the network that move, forward pass, uplink, then it waits until the server
takes it up; gradients on their way back, backward pass, and the next mini-batch. The step ends as the server is done
with the mini-batches of its update.
"""

import numpy as np

from splitgym.arrays import Bools, Ints
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.kernels import COMPILED, INLINED, kernel
from splitgym.timing.amounts import Work
from splitgym.timing.barrier import duration
from splitgym.timing.cell import Cell, Links, Spectrum
from splitgym.timing.dynamic_sharing import Band, band_as_decided
from splitgym.timing.flight_board import Board, Course, clear, find_who_is_on_air, go_on, leave, set_ends
from splitgym.timing.on_demand import note, share, take_means
from splitgym.timing.rates import fill_own_links
from splitgym.timing.slot import Slot
from splitgym.timing.wires import fill_through


@kernel(COMPILED)
def walk_flights(
    course: Course,
    work: Work,
    plans: Ints,
    goal: int,
    server_left: float,
    cell: Cell,
    spectrum: Spectrum,
    slot: Slot,
    board: Board,
) -> float:
    """Runs one step of one world.

    The update closes when `goal` mini-batches wait at the server (the first that came; of several at once those of the
    lowest indices), or with those that wait at the end of patience or timeout.

    Args:
        course: Of the system.
        work: Of the framework.
        plans: [1] or [C], of mini-batches that begin now.
        goal: Mini-batches of the update, as many as can come.
        server_left: Cycles that the server does before it takes up any.
        cell: Of the world.
        spectrum: Of the world.
        slot: Owners and powers are read; timeline and links are filled.
        board: Clients where they are at the start; `taken` and chains are then what the step made of them.

    Returns:
        The latency of the step, s.
    """
    chains, timeline, links = board.chains, slot.timeline, slot.links
    all_the_way = Links(links.hz, links.power_w, slot.joint[0], slot.joint[1])
    clear(timeline.start, timeline.stop, timeline.stage_s, timeline.common_s, board)
    band = _band(course, cell, spectrum, slot, board)
    now, server_free = 0.0, duration(server_left, cell.server_hz)
    closed_s, begun = np.inf, False
    while True:
        moved = True
        while moved:
            moved = go_on(course, work, plans, cell, now, board, slot)
        if closed_s == np.inf and _closes(course, goal, now, board):
            closed_s = now
            if _take(course, max(goal, 1), board) == 0:
                break
        if closed_s < np.inf and server_free <= now and not begun and not course.in_pieces:
            begun, server_free = True, _work_for_all(course, work, cell, now, board, slot)
        while course.in_pieces and server_free <= now:
            client = _first_come(course, closed_s < np.inf, board)
            if client < 0:
                break
            server_free = _work_for_one(course, work, cell, client, now, board, slot)
        if closed_s < np.inf and server_free <= now and _all_served(board):
            break
        find_who_is_on_air(course, cell, now, board)
        if course.on_demand:
            share(band, board.sends, board.receives, now, spectrum, chains, board.loans)
        else:
            set_ends(now, all_the_way, board)
        then = _next_event(course, cell, now, server_free, closed_s, board)
        if course.on_demand:
            hz, seconds = spectrum.subchannel_hz, board.seconds
            note(hz, board.sends, board.receives, then - now, board.loans, links, seconds[0], seconds[1])
        now = then
    if course.on_demand:
        take_means(board.here, links, board.seconds[0], board.seconds[1])
    _trace_back(course, cell, closed_s, now, board, slot)
    leave(course, work, cell, all_the_way, now, board, slot)
    return now


@kernel(COMPILED)
def _band(course: Course, cell: Cell, spectrum: Spectrum, slot: Slot, board: Board) -> Band:
    """The band as decided; with static shares the links of the slot, too."""
    links: Links = slot.links
    if course.on_demand:
        for i in range(board.owns.shape[0]):
            links.hz[i] = links.power_w[i] = links.uplink[i] = links.downlink[i] = 0.0
        return band_as_decided(cell.gain, slot.owner, slot.psd, board.owns, spectrum)
    fill_own_links(spectrum, cell.gain, slot.owner, slot.psd, links, slot.joint)
    fill_through(links.uplink, cell.wires, slot.joint[0])
    fill_through(links.downlink, cell.wires, slot.joint[1])
    return Band(cell.gain, np.zeros((0, 0), np.int64), slot.owner, slot.psd, links)


@kernel(INLINED)
def _closes(course: Course, goal: int, now: float, board: Board) -> bool:
    """Whether the update waits for nobody any longer."""
    waiting = 0
    for i in range(board.here.shape[0]):
        waiting += board.chains.row[i] == course.server_row
    impatient = waiting > 0 and now >= course.patience_s
    return waiting >= goal > 0 or impatient or now >= course.timeout_s


@kernel(COMPILED)
def _first_waiting(course: Course, board: Board, without: Bools) -> int:
    """Of the clients at the server but these the one that came first; -1: there is none."""
    first, came = -1, board.chains.came
    for i in range(without.shape[0]):
        waits = board.chains.row[i] == course.server_row and not without[i]
        if waits and (first < 0 or came[i] < came[first]):
            first = i
    return first


@kernel(COMPILED)
def _take(course: Course, most: int, board: Board) -> int:
    """The update takes those that came first; returns how many."""
    for taken in range(most):
        client = _first_waiting(course, board, board.taken)
        if client < 0:
            return taken
        board.taken[client] = True
    return most


@kernel(COMPILED)
def _first_come(course: Course, closed: bool, board: Board) -> int:
    """The client that the server takes up next, -1: none is there; of a closed update only its own."""
    client = _first_waiting(course, board, board.served)
    return -1 if client >= 0 and closed and not board.taken[client] else client


@kernel(COMPILED)
def _work_for_one(course: Course, work: Work, cell: Cell, client: int, now: float, board: Board, slot: Slot) -> float:
    """The server takes up a client's mini-batch; returns when it is done, s."""
    board.served[client] = True
    for row in range(course.server_row, course.return_row):
        seconds = duration(work.per_participant[board.plan[client], row - MIGRATION_ROWS], cell.server_hz)
        slot.timeline.start[row, client], slot.timeline.stop[row, client] = now, now + seconds
        slot.timeline.common_s[row] += seconds
        now += seconds
    return now


@kernel(COMPILED)
def _work_for_all(course: Course, work: Work, cell: Cell, now: float, board: Board, slot: Slot) -> float:
    """The server takes up all of an update in one batch; returns when it is done, s."""
    for row in range(course.server_row, course.return_row):
        cycles = 0.0
        for i in range(board.taken.shape[0]):
            if board.taken[i]:
                board.served[i] = True
                cycles += work.per_participant[board.plan[i], row - MIGRATION_ROWS]
        seconds = duration(cycles, cell.server_hz)
        for i in range(board.taken.shape[0]):
            if board.taken[i]:
                slot.timeline.start[row, i], slot.timeline.stop[row, i] = now, now + seconds
        slot.timeline.common_s[row] = seconds
        now += seconds
    return now


@kernel(INLINED)
def _all_served(board: Board) -> bool:
    """Whether the server has taken up all of a closed update."""
    left = 0
    for i in range(board.taken.shape[0]):
        left += board.taken[i] and not board.served[i]
    return left == 0


@kernel(INLINED)
def _next_event(course: Course, cell: Cell, now: float, server_free: float, closed_s: float, board: Board) -> float:
    """When somebody will be done with something, or the server waits no longer, s."""
    then = server_free if server_free > now else np.inf
    if closed_s == np.inf:
        then = min(then, course.timeout_s)
        if course.patience_s > now:
            then = min(then, course.patience_s)
    for i in range(board.here.shape[0]):
        if board.here[i]:
            then = min(then, board.chains.end[i])
            if cell.wires.interruption_s[i] > now:
                then = min(then, cell.wires.interruption_s[i])
    return then


@kernel(COMPILED)
def _trace_back(course: Course, cell: Cell, closed_s: float, latency_s: float, board: Board, slot: Slot) -> None:
    """Seconds of each row on the critical path: that of the client of the update that came last, then the server's."""
    start, stop, stage_s = slot.timeline.start, slot.timeline.stop, slot.timeline.stage_s
    last = -1
    for i in range(board.taken.shape[0]):
        if board.taken[i] and (last < 0 or board.chains.came[i] >= board.chains.came[last]):
            last = i
    if last < 0:
        stage_s[course.waiting_row] = latency_s
        return
    now = max(board.chains.came[last], 0.0)
    for row in range(start.shape[0]):
        if row < course.server_row or row >= course.return_row:
            stage_s[row] = stop[row, last] - start[row, last]
    if cell.wires.interruption_s[last] > 0.0:
        # What is left is the time before it began.
        stage_s[0] += max(now - np.sum(stage_s), 0.0)
    if not course.in_pieces:
        stage_s[course.waiting_row] += closed_s - now
        now = closed_s
    for row in range(course.server_row, course.return_row):
        stage_s[row] = max(stop[row, last] - now, 0.0)
        now = max(now, stop[row, last])
    stage_s[course.waiting_row] += latency_s - now
