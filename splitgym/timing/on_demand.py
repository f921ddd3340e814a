"""The clock of a slot with on-demand sharing: runs the phases of one world by events, each client on its own way.

Nobody is later than with static shares, by induction over the phases of a client: each begins no later; its rate is
never below that of its own subchannels; and a server that never rests while data waits is done with everybody no later
than one that waits for the last before it begins (its phases follow each other, or everybody waits in between).
Where it serves each client by itself before and behind a visit to the clients' tails, that holds for its last phase: in
all it works for as long, and a client waits only while it works. What lies between may come later.
"""

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.kernels import COMPILED, kernel
from splitgym.timing.barrier import UNICAST, UPLINK, Timeline, duration
from splitgym.timing.cell import Cell, Links, Spectrum
from splitgym.timing.dynamic_sharing import Band, Loans, lend
from splitgym.timing.events import (
    Chains,
    Tasks,
    first_come,
    go_on,
    leave_out,
    row_that_all_wait_for,
    work_for_all,
    work_for_one,
)


@kernel(COMPILED)
def walk_on_demand(
    tasks: Tasks,
    deadline_row: int,
    timeout_s: float,
    takes_part: Bools,
    cell: Cell,
    band: Band,
    spectrum: Spectrum,
    timeline: Timeline,
    links: Links,
) -> tuple[float, float]:
    """Runs one slot of one world in which somebody takes part; compare `splitgym.timing.barrier.walk`.

    A client's phase begins when its last one is done. The server takes clients in the order in which their data came,
    each with all phases that follow each other there; what it does once for all waits for the last of them, and so do
    a broadcast, and links and nodes behind the server. A client that sends or receives has what
    `splitgym.timing.dynamic_sharing.lend` gives it at every event. A client that has not come to the deadline's row by
    the timeout is dropped.

    Args:
        tasks: What there is to do.
        deadline_row: The row before which the timeout applies; above R: never.
        timeout_s: Counted from the start of the slot.
        takes_part: [C]; clients that are dropped are set to False here.
        cell: Of the world.
        band: As it was decided for the slot.
        spectrum: Of the world.
        timeline: Filled. Waiting counts for what is waited for.
        links: Filled.

    Returns:
        The latency of the slot, s, and the bits that were broadcast.
    """
    rows, clients = tasks.own.shape
    timeout = timeout_s if deadline_row <= rows else np.inf
    chains = Chains(np.full(clients, -1), np.zeros(clients), np.zeros(clients), np.zeros(clients))
    loans = Loans(np.full(band.owner.shape[0], -1), np.zeros(band.owner.shape[0]), np.zeros(clients))
    sending_s, receiving_s = np.zeros(clients), np.zeros(clients)
    began, begun = takes_part.copy(), np.zeros(rows, np.bool_)
    for array in links:
        array[:] = 0.0
    timeline.start[:] = 0.0
    timeline.stop[:] = 0.0
    timeline.common_s[:] = 0.0
    now = server_free = broadcast_bits = 0.0
    while True:
        again = True
        while again:
            again = go_on(tasks, cell, takes_part, now, chains, timeline)
            row = row_that_all_wait_for(tasks, takes_part, begun, chains)
            if row >= 0:
                again = begun[row] = True
                horizon = timeout if row < deadline_row else np.inf
                server_free, bits = work_for_all(tasks, cell, row, takes_part, now, horizon, chains, timeline)
                broadcast_bits += bits
            elif server_free <= now:
                client = first_come(tasks, takes_part, begun, chains)
                if client >= 0:
                    again = True
                    server_free = work_for_one(tasks, cell, client, now, chains, timeline)
        if np.all(chains.row[takes_part] == rows):
            break
        sends = takes_part & (tasks.kind[chains.row] == UPLINK)
        receives = takes_part & (tasks.kind[chains.row] == UNICAST)
        if np.any(sends | receives):
            share(band, sends, receives, now, spectrum, chains, loans)
        late = takes_part & (chains.row < deadline_row)
        then = _next_event(takes_part, chains, now, server_free)
        times_out = then > timeout and np.any(late)
        if times_out:
            then = timeout
        if not then < np.inf:
            now = np.inf  # over links that carry nothing, and no timeout ahead
            break
        note(spectrum.subchannel_hz, sends, receives, then - now, loans, links, sending_s, receiving_s)
        now = then
        if times_out:
            leave_out(tasks, late, deadline_row, now, chains, timeline)
            takes_part &= ~late
    take_means(began, links, sending_s, receiving_s)
    _trace_back(began, begun, timeline)
    return now, broadcast_bits


@kernel(COMPILED)
def share(
    band: Band, sends: Bools, receives: Bools, now: float, spectrum: Spectrum, chains: Chains, loans: Loans
) -> None:
    """Gives every client that sends or receives its part of the band, and sets when it will be done."""
    before = loans.rate.copy()
    for i in range(before.shape[0]):
        if (sends[i] or receives[i]) and chains.end[i] < np.inf:
            chains.left[i] = (chains.end[i] - now) * before[i]
    lend(band, sends, receives, chains.left, spectrum, loans)
    for i in range(before.shape[0]):
        # At an unchanged rate the end stays as it is, to the bit.
        if (sends[i] or receives[i]) and (chains.end[i] == np.inf or loans.rate[i] != before[i]):
            chains.end[i] = now + duration(chains.left[i], loans.rate[i])


@kernel(COMPILED)
def _next_event(takes_part: Bools, chains: Chains, now: float, server_free: float) -> float:
    """When somebody will be done with something, s; inf: never."""
    then = server_free if server_free > now else np.inf
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            then = min(then, chains.end[i])
    return then


@kernel(COMPILED)
def note(
    hz: Floats,
    sends: Bools,
    receives: Bools,
    seconds: float,
    loans: Loans,
    links: Links,
    sending_s: Floats,
    receiving_s: Floats,
) -> None:
    """Adds what is sent and received within some seconds."""
    for i in range(sends.shape[0]):
        if sends[i]:
            sending_s[i] += seconds
            links.uplink[i] += loans.rate[i] * seconds
        elif receives[i]:
            receiving_s[i] += seconds
            links.downlink[i] += loans.rate[i] * seconds
    for k in range(loans.holder.shape[0]):
        i = loans.holder[k]
        if i >= 0 and sends[i]:
            links.power_w[i] += loans.psd[k] * hz[k] * seconds
        elif i >= 0 and receives[i]:
            links.hz[i] += hz[k] * seconds


@kernel(COMPILED)
def take_means(began: Bools, links: Links, sending_s: Floats, receiving_s: Floats) -> None:
    """Divides what was added up by the seconds of sending and receiving."""
    for i in range(began.shape[0]):
        if began[i] and sending_s[i] > 0.0:
            links.uplink[i] /= sending_s[i]
            links.power_w[i] /= sending_s[i]
        if began[i] and receiving_s[i] > 0.0:
            links.downlink[i] /= receiving_s[i]
            links.hz[i] /= receiving_s[i]


@kernel(COMPILED)
def _trace_back(began: Bools, begun: Bools, timeline: Timeline) -> None:
    """Seconds of each row on the critical path: that of the last client, again from each row that all waited for."""
    rows, now, first = begun.shape[0], 0.0, 0
    timeline.stage_s[:] = 0.0
    for last in range(1, rows + 1):
        if last == rows or begun[last]:
            slowest, latest = -1, -1.0
            for i in range(began.shape[0]):
                if began[i] and np.max(timeline.stop[:last, i]) > latest:
                    slowest, latest = i, np.max(timeline.stop[:last, i])
            for row in range(first, last):
                timeline.stage_s[row] = max(timeline.stop[row, slowest] - now, 0.0)
                now = max(now, timeline.stop[row, slowest])
            first = last
