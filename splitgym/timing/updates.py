"""Updates of the server in N worlds, with an asynchronous framework: the loop around `splitgym.timing.flights`."""

from typing import Any, NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, INLINED, kernel
from splitgym.timing.amounts import move_bits, plan_of
from splitgym.timing.barrier import CLIENT, SERVER, UNICAST, UPLINK
from splitgym.timing.cell import Cell, Constants, Spectrum
from splitgym.timing.flight_board import Board, Course
from splitgym.timing.flights import walk_flights
from splitgym.timing.records import Decided, Memories, Rules, Walked, Worlds
from splitgym.timing.slot import Slot
from splitgym.timing.slot_bandwidth import band_of_slot
from splitgym.timing.wires import Wires, fill_wires, radio_share
from splitgym.types.flights import IDLE, Flights


class Updates(NamedTuple):
    """What the kernel needs of steps beside their decisions."""

    course: Course
    constants: Constants
    rules: Rules
    worlds: Worlds
    before: Flights
    """[N, C] what is in flight at the start of the steps."""
    after: Flights
    """[N, C] likewise at their ends; filled."""
    walked: Walked
    """Filled."""
    slot: Slot
    """Workspace, like the next two."""
    client_hz: Floats
    """[C] cycles/s with which each client computes."""
    wires: Wires
    board: Board


def walk_updates(updates: Any, decided: Decided, quorum: Ints) -> None:
    """Walks one step of every world.

    Args:
        updates: A handle of `Updates`, used by one thread at a time; `walked` and `after` are filled.
        decided: What; there is one band for the whole step.
        quorum: [N] mini-batches of the update; 0: of all that can deliver.
    """
    _walk(updates, decided, quorum)


@kernel(COMPILED)
def _walk(updates: Any, decided: Decided, quorum: Ints) -> None:
    held = updates.held
    _walk_worlds(
        held.course,
        held.constants,
        held.rules,
        held.worlds,
        held.before,
        held.after,
        decided,
        quorum,
        held.walked,
        held.slot,
        held.client_hz,
        held.wires,
        held.board,
    )


@kernel(COMPILED)
def _walk_worlds(
    course: Course,
    constants: Constants,
    rules: Rules,
    worlds: Worlds,
    before: Flights,
    after: Flights,
    decided: Decided,
    quorum: Ints,
    walked: Walked,
    slot: Slot,
    hz: Floats,
    wires: Wires,
    board: Board,
) -> None:
    work = rules.work
    for n in range(worlds.gain.shape[0]):
        spectrum = Spectrum(
            worlds.hz[n], constants.noise, constants.downlink_psd, constants.client_max_w, constants.total_max_w
        )
        # Arrays of the slot that a step has no other use for.
        down, up, may_begin = slot.now, slot.amount, slot.takes_part
        fill_wires(wires, constants.ways, worlds.attached, n, 0)
        backbone, gain = constants.backbone, worlds.gain[n]
        none = 0.0
        of_stations = worlds.station_gain[n]
        cell = Cell(
            hz, worlds.server_hz[n], backbone, gain, hz, down, up, none, none, none, none, wires, none, of_stations
        )
        plans, clock = decided.plan[n], decided.clock
        for i in range(hz.shape[0]):
            plan = plan_of(plans, i)
            hz[i] = worlds.client_hz[n, i] * clock[min(n, clock.shape[0] - 1), min(i, clock.shape[1] - 1)]
            may_begin[i] = decided.selected[n, i] and _has_memory(rules.memory, plan, worlds.memory_bytes[n, i])
            slot.began[i] = worlds.available[n, i] and (may_begin[i] or before.row[n, i] != IDLE)
            down[i], up[i] = move_bits(
                worlds.client_cut[n, i], rules.cut_layer[plan], 0, 0, rules.moved_bits[rules.precision[plan]]
            )
        owner, psd = decided.owner[n, 0], decided.psd[n, 0]
        band_of_slot(owner, psd, slot.began, False, spectrum, slot.joint[0], slot.owner, slot.psd)
        _find_owners(slot, board)
        goal = _board_clients(course, worlds.available[n], may_begin, before, n, cell, board)
        goal = min(goal, quorum[n]) if quorum[n] > 0 else goal
        goal = min(goal, max(_most_at_once(rules.memory, course, plans, board), 1))
        left = before.server_left[n]
        walked.latency_s[n] = walk_flights(course, work, plans, goal, left, cell, spectrum, slot, board)
        _note_flights(after, course, walked.latency_s[n], n, board)
        after.server_left[n] = max(left - walked.latency_s[n] * cell.server_hz, 0.0)
        done = left - after.server_left[n]
        _note_step(walked, n, constants, rules, course, worlds, decided.selected[n], before, done, cell, slot, board)


@kernel(INLINED)
def _has_memory(memory: Memories, plan: int, client_bytes: float) -> bool:
    """Whether a client has the memory for a plan, and nodes have it to serve a client with that plan."""
    fits = memory.client[plan] <= client_bytes
    for s in range(memory.limit.shape[0]):
        fits = fits and memory.once[s, plan] + memory.per_participant[s, plan] <= memory.limit[s]
    return fits


@kernel(INLINED)
def _most_at_once(memory: Memories, course: Course, plans: Ints, board: Board) -> int:
    """Mini-batches for which nodes have the memory, if all come with the plan that needs the most."""
    most = board.here.shape[0]
    for s in range(memory.limit.shape[0]):
        once = each = 0.0
        for i in range(board.here.shape[0]):
            in_flight = 0 <= board.chains.row[i] < course.return_row
            if in_flight or board.starts[i]:
                plan = board.plan[i] if in_flight else plan_of(plans, i)
                once, each = max(once, memory.once[s, plan]), max(each, memory.per_participant[s, plan])
        if each > 0.0:
            most = min(most, int((memory.limit[s] - once) // each))
    return most


@kernel(INLINED)
def _find_owners(slot: Slot, board: Board) -> None:
    for i in range(board.owns.shape[0]):
        board.owns[i] = False
    for i in slot.owner:
        if i >= 0:
            board.owns[i] = True


@kernel(INLINED)
def _board_clients(
    course: Course, available: Bools, may_begin: Bools, before: Flights, n: int, cell: Cell, board: Board
) -> int:
    """Where the clients of world n are at the start of the step; how many of them can deliver in it.

    A client that is gone loses its mini-batch; one that is on its way back from an update waits until it returns. One
    that changes its station computes meanwhile, but neither sends nor receives nor begins a mini-batch.
    """
    chains, reachable = board.chains, 0
    for i in range(available.shape[0]):
        row, left = before.row[n, i], before.left[n, i]
        in_flight = 0 <= row < course.return_row
        if in_flight and not available[i]:
            row, left, in_flight = IDLE, 0.0, False
        board.here[i] = available[i]
        board.starts[i] = available[i] and may_begin[i] and board.owns[i]
        chains.row[i], chains.left[i], board.plan[i] = row, left, before.plan[n, i]
        board.entered[i], chains.came[i] = left, -before.waited_s[n, i]
        if row == IDLE:
            chains.end[i] = cell.wires.interruption_s[i] if board.starts[i] else np.inf
        else:
            computes = course.kind[row] == CLIENT
            chains.end[i] = left / cell.client_hz[i] if computes else np.inf
        waits = row == course.server_row
        reachable += waits or (board.owns[i] and in_flight) or board.starts[i]
    return reachable


@kernel(INLINED)
def _note_flights(after: Flights, course: Course, latency_s: float, n: int, board: Board) -> None:
    for i in range(board.here.shape[0]):
        row = board.chains.row[i]
        after.row[n, i], after.plan[n, i] = row, board.plan[i]
        after.left[n, i] = board.chains.left[i] if row != IDLE else 0.0
        after.returned_s[n, i], after.began_s[n, i] = board.returned_s[i], board.began_s[i]
        after.waited_s[n, i] = latency_s - board.chains.came[i] if row == course.server_row else 0.0


@kernel(INLINED)
def _note_step(
    walked: Walked,
    n: int,
    constants: Constants,
    rules: Rules,
    course: Course,
    worlds: Worlds,
    selected: Bools,
    before: Flights,
    generated: float,
    cell: Cell,
    slot: Slot,
    board: Board,
) -> None:
    """Notes what a step of world n did and cost; `generated`: cycles that the server did for generated rows."""
    start, stop, links = slot.timeline.start, slot.timeline.stop, slot.links
    stage_s, common_s = slot.timeline.stage_s, slot.timeline.common_s
    server_j = constants.server_capacitance * worlds.server_hz[n] ** 2 * generated
    for row in range(stage_s.shape[0]):
        walked.stage_s[n, row] = stage_s[row]
        if course.kind[row] == SERVER:
            server_j += constants.server_capacitance * worlds.server_hz[n] ** 3 * common_s[row]
    for i in range(selected.shape[0]):
        computing = sending = receiving = 0.0
        for row in range(stage_s.shape[0]):
            seconds = stop[row, i] - start[row, i]
            if course.kind[row] == CLIENT:
                # A client comes back with the plan that it left with, and may begin with another one.
                plan = before.plan[n, i] if row >= course.return_row else board.plan[i]
                computing += rules.client_energy[plan] * seconds
            sending += seconds if course.kind[row] == UPLINK else 0.0
            receiving += seconds if course.kind[row] == UNICAST else 0.0
        for row in range(walked.start_s.shape[1]):
            walked.start_s[n, row, i], walked.stop_s[n, row, i] = start[row, i], stop[row, i]
        available, in_flight = worlds.available[n, i], 0 <= before.row[n, i] < course.return_row
        walked.participants[n, i], walked.timed_out[n, i] = board.taken[i], False
        walked.unavailable[n, i] = selected[i] and not available
        waits = before.row[n, i] == course.server_row
        lacks_memory = selected[i] and available and not in_flight and not slot.takes_part[i]
        walked.without_memory[n, i] = lacks_memory
        without_subchannel = selected[i] and available and not board.owns[i] and not waits
        walked.without_subchannel[n, i] = without_subchannel and not lacks_memory
        sending *= radio_share(links.uplink[i], cell.wires.s_per_bit[i])
        receiving *= radio_share(links.downlink[i], cell.wires.s_per_bit[i])
        client_j = constants.client_capacitance * cell.client_hz[i] ** 3 * computing
        walked.client_energy_j[n, i] = client_j + links.power_w[i] * sending
        server_j += constants.downlink_psd * links.hz[i] * receiving
    walked.server_energy_j[n], walked.traffic_bits[n] = server_j, board.bits[0]
    walked.migration_bits[n] = board.bits[1]
