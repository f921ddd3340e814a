"""The clock of a round: walks the phases of one world and notes when each client is busy with what."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.frameworks.phases import Resource

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CLIENT, UPLINK, UNICAST = int(Resource.CLIENT), int(Resource.UPLINK), int(Resource.UNICAST)
SERVER = int(Resource.SERVER)

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
def walk(
    resource: NDArray[np.int64],
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
) -> float:
    """Runs one round of one world.

    Clients work side by side through per-client phases; before a common phase everybody waits for the slowest. At the
    first common phase who is later than the timeout is left out, and the server has then waited until the timeout.

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
        start: [MIGRATION_ROWS + P, C] filled with each client's begin of each phase, s.
        stop: Likewise the end.
        stage_s: [MIGRATION_ROWS + P] filled with the seconds of each phase on the critical path; they sum to the
        latency.

    Returns:
        The latency of the round, s.
    """
    clients = takes_part.shape[0]
    rows = MIGRATION_ROWS + resource.shape[0]
    now = np.zeros(clients)
    start[:] = 0.0
    stop[:] = 0.0
    stage_s[:] = 0.0
    segment = 0
    first_uplink = MIGRATION_ROWS + int(np.argmax(resource == UPLINK))
    for row in range(rows):
        kind = UNICAST if row == 0 else UPLINK if row == 1 else resource[row - MIGRATION_ROWS]
        if kind < SERVER:
            moved = move_down if row == 0 else move_up
            amount = moved if row < MIGRATION_ROWS else np.full(clients, work[row - MIGRATION_ROWS])
            speed = client_hz if kind == CLIENT else uplink if kind == UPLINK else downlink
            _side_by_side(amount, speed, takes_part, now, start[row], stop[row])
            continue
        if segment == 0:
            _leave_out_late(now, takes_part, start[:row], stop[:row], timeout_s)
        barrier = _close_segment(now, start, stop, stage_s, segment, row)
        participants = 0
        slowest_band = np.inf
        for i in range(clients):
            if takes_part[i]:
                participants += 1
                slowest_band = min(slowest_band, band[i])
        if participants == 0:
            stage_s[first_uplink] += timeout_s - barrier
            return timeout_s
        common = work[row - MIGRATION_ROWS] + per_participant[row - MIGRATION_ROWS] * participants
        stage_s[row] = duration(common, server_hz if kind == SERVER else slowest_band)
        for i in range(clients):
            if takes_part[i]:
                start[row, i] = barrier
                now[i] = barrier + stage_s[row]
                stop[row, i] = now[i]
            else:
                now[i] = 0.0
        segment = row + 1
    return _close_segment(now, start, stop, stage_s, segment, rows)


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
def _close_segment(now: Floats, start: Floats, stop: Floats, stage_s: Floats, first: int, last: int) -> float:
    """Everybody waits for the slowest: its phases [first, last) are on the critical path; returns its clock."""
    slowest = int(np.argmax(now))
    for row in range(first, last):
        stage_s[row] = stop[row, slowest] - start[row, slowest]
    return now[slowest]
