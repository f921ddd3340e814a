"""The clock of a turn: walks the phases of one world and notes when each client is busy with what."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.frameworks.phases import Resource

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CLIENT, UPLINK, UNICAST = int(Resource.CLIENT), int(Resource.UPLINK), int(Resource.UNICAST)
SERVER, BROADCAST = int(Resource.SERVER), int(Resource.BROADCAST)
END = BROADCAST + 1
"""Behind the last phase everybody waits for the slowest, too."""

MIGRATION_ROWS = 2
"""A timeline begins with two rows for parts of the network that move: down to the clients, up to the server."""


@njit(cache=True)
def duration(amount: float, speed: float) -> float:
    """Seconds for an amount of work at a speed; endless at speed 0, nothing for no work."""
    if amount == 0.0:
        return 0.0
    return amount / speed if speed > 0.0 else np.inf


@njit(cache=True)
def move_bits(held: int, cut: int, prefix_bits: Floats) -> tuple[float, float]:
    """Model bits that a client loads down and up when the cut moves from the one it holds (0: none yet) to `cut`."""
    if held == 0:
        return 0.0, 0.0
    difference = prefix_bits[cut] - prefix_bits[held]
    return max(difference, 0.0), max(-difference, 0.0)


@njit(cache=True)
def first_uplink(resource: Ints) -> int:
    """Index of the first uplink among the phases ([P] who is busy in each), -1: there is none."""
    for phase in range(resource.shape[0]):
        if resource[phase] == UPLINK:
            return phase
    return -1


@njit(cache=True)
def deadline_barrier(resource: Ints) -> int:
    """Index of the phase before which the timeout applies: the first common one that follows the first uplink.

    Args:
        resource: [P] who is busy in each phase.

    Returns:
        0..P-1; P: at the end of the phases; P + 1: never, as there is no uplink.
    """
    phases, phase = resource.shape[0], first_uplink(resource)
    if phase < 0:
        return phases + 1
    while phase < phases and resource[phase] < SERVER:
        phase += 1
    return phase


@njit(cache=True)
def walk(
    resource: Ints,
    work: Floats,
    per_participant: Floats,
    takes_part: Bools,
    client_hz: Floats,
    server_hz: float,
    uplink: Floats,
    downlink: Floats,
    band: Floats,
    move_down: Floats,
    move_up: Floats,
    timeout_s: float,
    start: Floats,
    stop: Floats,
    stage_s: Floats,
) -> tuple[float, float]:
    """Runs one turn of one world.

    Clients work side by side through per-client phases; before a common phase and at the end everybody waits for the
    slowest. At the first such barrier after the first uplink who is later than the timeout is left out, and the server
    has then waited until the timeout.

    Args:
        resource: [P] who is busy in each phase.
        work: [P] cycles or bits.
        per_participant: [P] cycles or bits more for each client that takes part.
        takes_part: [C]; who is left out is set to False here.
        client_hz: [C].
        server_hz: Cycles/s.
        uplink: [C] R_i^U, bits/s.
        downlink: [C] R_i^D, bits/s.
        band: [C] rate of a broadcast to the client alone, bits/s.
        move_down: [C] model bits the client has to fetch.
        move_up: [C] model bits the client has to give up.
        timeout_s: Who has not finished its uplink by then is left out.
        start: [MIGRATION_ROWS + P, C] filled with each client's begin of each phase, s from the turn's begin.
        stop: Likewise the end.
        stage_s: [MIGRATION_ROWS + P] filled with the seconds of each phase on the critical path; they sum to the
        latency.

    Returns:
        The latency of the turn, s, and the bits that were broadcast.
    """
    clients = takes_part.shape[0]
    kinds = np.concatenate((np.array([UNICAST, UPLINK]), resource, np.array([END])))
    row_of_deadline = MIGRATION_ROWS + deadline_barrier(resource)
    deadline = timeout_s if row_of_deadline < kinds.shape[0] else np.inf
    now, own = np.zeros(clients), np.zeros(clients)
    start[:] = 0.0
    stop[:] = 0.0
    stage_s[:] = 0.0
    segment = 0
    barrier = broadcast_bits = 0.0
    for row, kind in enumerate(kinds):
        phase = row - MIGRATION_ROWS
        if kind < SERVER:
            if row >= MIGRATION_ROWS:
                own[:] = work[phase]
            amount = move_down if row == 0 else move_up if row == 1 else own
            speed = client_hz if kind == CLIENT else uplink if kind == UPLINK else downlink
            _side_by_side(amount, speed, takes_part, now, start[row], stop[row])
            continue
        if row == row_of_deadline:
            _leave_out_late(now, takes_part, start[:row], stop[:row], timeout_s)
        barrier = _close_segment(now, start, stop, stage_s, segment, row, deadline)
        participants = np.sum(takes_part)
        if participants == 0:
            # Without an uplink this is the row before the phases: the uplink of migration.
            stage_s[MIGRATION_ROWS + first_uplink(resource)] += timeout_s - barrier
            return timeout_s, broadcast_bits
        if kind == END:
            break
        if row == row_of_deadline:
            deadline = np.inf
        common = work[phase] + per_participant[phase] * participants
        common_speed = server_hz if kind == SERVER else np.min(band[takes_part])
        seconds = duration(common, common_speed)
        stage_s[row] = min(seconds, max(deadline - barrier, 0.0))
        if kind == BROADCAST:
            broadcast_bits += common if stage_s[row] == seconds else common_speed * stage_s[row]
        for i in range(clients):
            if takes_part[i]:
                start[row, i] = barrier
                now[i] = barrier + seconds
                stop[row, i] = now[i]
            else:
                now[i] = 0.0
        segment = row + 1
    return barrier, broadcast_bits


@njit(cache=True)
def _side_by_side(amount: Floats, speed: Floats, takes_part: Bools, now: Floats, start: Floats, stop: Floats) -> None:
    """A per-client phase: every client that takes part works off its amount at its own speed."""
    for i in range(now.shape[0]):
        if takes_part[i]:
            start[i] = now[i]
            now[i] += duration(amount[i], speed[i])
            stop[i] = now[i]


@njit(cache=True)
def _leave_out_late(now: Floats, takes_part: Bools, start: Floats, stop: Floats, timeout_s: float) -> None:
    """Ends what late clients are doing at the timeout, up to which the server has waited for them."""
    for i in range(now.shape[0]):
        if now[i] > timeout_s:
            takes_part[i] = False
            now[i] = timeout_s
            for row in range(start.shape[0]):
                start[row, i] = min(start[row, i], timeout_s)
                stop[row, i] = min(stop[row, i], timeout_s)


@njit(cache=True)
def _close_segment(
    now: Floats, start: Floats, stop: Floats, stage_s: Floats, first: int, last: int, deadline: float
) -> float:
    """Everybody waits for the slowest: its phases [first, last) are on the critical path; returns its clock.

    What comes after a deadline that is still ahead will be cut off there, and so does not count.
    """
    slowest = int(np.argmax(now))
    for row in range(first, last):
        stage_s[row] = min(stop[row, slowest], deadline) - min(start[row, slowest], deadline)
    return now[slowest]
