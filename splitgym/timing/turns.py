"""The turns of a round, of N worlds: who is in each, with which part of the band, and how they follow each other."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.timing.band import band_of_turn
from splitgym.timing.cell import Cell, Spectrum
from splitgym.timing.chains import Timeline
from splitgym.timing.clock import CLIENT, END, MIGRATION_ROWS, SERVER, UNICAST, UPLINK, move_bits
from splitgym.timing.on_demand import Links
from splitgym.timing.rates import whole_band_rates
from splitgym.timing.turn import Rules, walk_turn

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Busy(NamedTuple):
    """Seconds of work in N worlds."""

    computing: Floats
    """[N, C] of each client."""
    sending: Floats
    """[N, C] of each client."""
    receiving: Floats
    """[N, C] of each client."""
    serving: Floats
    """[N] of the server's processor."""
    broadcasting: Floats
    """[N] of the base station, to all at once."""


class Walked(NamedTuple):
    """What happened in the turns of N worlds, with R = MIGRATION_ROWS + P rows for P phases."""

    candidates: Bools
    """[N, C] who began."""
    participants: Bools
    """[N, C] who was not left out."""
    links: Links
    """Of every world: a leading axis N on each array; with static shares the means are of constants."""
    begin: Floats
    """[N, C] begin of each client's turn, s."""
    start: Floats
    """[N, R, C] begin of each row, s from the turn's begin."""
    stop: Floats
    """[N, R, C] its end."""
    stage_s: Floats
    """[N, R] seconds of each row on the critical path, summed over the turns."""
    latency: Floats
    """[N] s."""
    busy: Busy
    """Summed over rows and turns."""
    broadcast_bits: Floats
    """[N] bits, once for each turn that broadcasts."""
    moved: Floats
    """[N] model bits that participants moved because the cut moved."""


@njit(cache=True)
def walk_turns(
    rules: Rules,
    server_by_client: bool | None,
    spectrum: Spectrum,
    work: Floats,
    per_participant: Floats,
    members: Bools,
    turn: Ints,
    client_hz: Floats,
    server_hz: Floats,
    gain: Floats,
    by_turn: bool,
    assignment: Ints,
    psd: Floats,
    cut: Ints,
    client_cut: Ints,
    prefix_bits: Floats,
) -> Walked:
    """Walks the phases with the members of each turn, one turn after the other.

    If the decision has a band for each turn, it counts as it is. One band for all turns is dealt anew in every turn if
    the clients go one by one or if there are several turns, and counts as it is in a single turn. Turns without members
    take no time; without any member there is one turn of nobody.

    Args:
        rules: Of framework and scenario.
        server_by_client: On demand: whether the server can work for one client before the rows of another are there.
            None: with static shares.
        spectrum: Shared by all.
        work: [N, P] cycles or bits.
        per_participant: [N, P] cycles or bits more for each client that takes part in the turn.
        members: [N, C] who is selected and available.
        turn: [N, C] turn of each client, lower: earlier.
        client_hz: [N, C] cycles/s.
        server_hz: [N] cycles/s.
        gain: [N, C, M] linear, antenna gains included.
        by_turn: Whether the decision has a band for each turn, at the turn's index.
        assignment: [N, T, M] owners in the decision, -1: unused; T = 1: one band for all turns.
        psd: [N, T, M] powers in the decision, W/Hz.
        cut: [N] cut layer.
        client_cut: [N, C] cut layer that each client holds, 0: none yet.
        prefix_bits: [L] model bits of units 1..j.
    """
    (worlds, clients), subchannels = members.shape, spectrum.subchannel_hz.shape[0]
    rows = MIGRATION_ROWS + rules.resource.shape[0]
    candidates, participants = np.zeros((worlds, clients), np.bool_), np.zeros((worlds, clients), np.bool_)
    held, sent_psd = np.zeros((worlds, clients, subchannels)), np.zeros((worlds, clients, subchannels))
    uplink, downlink, begin = np.zeros((worlds, clients)), np.zeros((worlds, clients)), np.zeros((worlds, clients))
    start, stop = np.zeros((worlds, rows, clients)), np.zeros((worlds, rows, clients))
    stage_s, common_s, latency = np.zeros((worlds, rows)), np.zeros((worlds, rows)), np.zeros(worlds)
    broadcast_bits, moved = np.zeros(worlds), np.zeros(worlds)
    now = Timeline(np.zeros((rows, clients)), np.zeros((rows, clients)), np.zeros(rows), np.zeros(rows))
    down, up = np.zeros(clients), np.zeros(clients)
    for n in range(worlds):
        for i in range(clients):
            down[i], up[i] = move_bits(client_cut[n, i], cut[n], prefix_bits)
        band = whole_band_rates(gain[n], spectrum.downlink_psd, spectrum.subchannel_hz, spectrum.noise)
        cell = Cell(client_hz[n], server_hz[n], gain[n], band, down, up)
        links = Links(held[n], sent_psd[n], uplink[n], downlink[n])
        order = np.unique(turn[n][members[n]])
        anew = not by_turn and (order.shape[0] > 1 or (rules.one_by_one and order.shape[0] == 1))
        if order.shape[0] == 0:
            order = np.zeros(1, np.int64)
        for current in order:
            present = members[n] & (turn[n] == current)
            row = current if by_turn else 0
            owner, psd_now = band_of_turn(
                assignment[n, row],
                psd[n, row],
                present,
                anew,
                spectrum.subchannel_hz,
                spectrum.client_max_w,
                spectrum.total_max_w,
            )
            takes_part = _owners(owner, clients) if rules.uses_own_subchannels else present
            began = takes_part.copy()
            seconds, bits = walk_turn(
                rules,
                server_by_client,
                spectrum,
                cell,
                work[n],
                per_participant[n],
                takes_part,
                owner,
                psd_now,
                now,
                links,
            )
            for i in range(clients):
                if began[i]:
                    candidates[n, i], participants[n, i], begin[n, i] = True, takes_part[i], latency[n]
                    start[n, :, i], stop[n, :, i] = now.start[:, i], now.stop[:, i]
                if takes_part[i]:
                    moved[n] += down[i] + up[i]
            stage_s[n] += now.stage_s
            common_s[n] += now.common_s
            broadcast_bits[n] += bits
            latency[n] += seconds
    return Walked(
        candidates,
        participants,
        Links(held, sent_psd, uplink, downlink),
        begin,
        start,
        stop,
        stage_s,
        latency,
        _busy_seconds(rules.resource, start, stop, common_s),
        broadcast_bits,
        moved,
    )


@njit(cache=True)
def _owners(owner: Ints, clients: int) -> Bools:
    """[C] who has a subchannel, from [M] owners."""
    owns = np.zeros(clients, np.bool_)
    for i in owner:
        if i >= 0:
            owns[i] = True
    return owns


@njit(cache=True)
def _busy_seconds(resource: Ints, start: Floats, stop: Floats, common_s: Floats) -> Busy:
    """Adds up the rows of each kind, of clients ([N, R, C]) and common ones ([N, R])."""
    worlds, rows, clients = start.shape
    own, common = np.zeros((SERVER, worlds, clients)), np.zeros((END - SERVER, worlds))
    for row in range(rows):
        kind = UNICAST if row == 0 else UPLINK if row == 1 else resource[row - MIGRATION_ROWS]
        for n in range(worlds):
            if kind >= SERVER:
                common[kind - SERVER, n] += common_s[n, row]
                continue
            for i in range(clients):
                own[kind, n, i] += stop[n, row, i] - start[n, row, i]
    return Busy(own[CLIENT], own[UPLINK], own[UNICAST], common[0], common[1])
