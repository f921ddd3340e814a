"""The turns of a round, of N worlds: who is in each, with which part of the band, and how they follow each other."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.timing.band import band_of_turn
from splitgym.timing.clock import MIGRATION_ROWS, move_bits, walk
from splitgym.timing.rates import own_rates, whole_band_rates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Walked(NamedTuple):
    """What happened in the turns of N worlds, with R = MIGRATION_ROWS + P rows for P phases."""

    candidates: Bools
    """[N, C] who began."""
    participants: Bools
    """[N, C] who was not left out."""
    owned: Bools
    """[N, C, M] the subchannels that each client had in its turn."""
    psd: Floats
    """[N, C, M] its transmit power spectral density on them, W/Hz."""
    uplink: Floats
    """[N, C] R_i^U in its turn, bits/s."""
    downlink: Floats
    """[N, C] R_i^D."""
    begin: Floats
    """[N, C] begin of its turn, s."""
    start: Floats
    """[N, R, C] begin of each phase, s from the turn's begin."""
    stop: Floats
    """[N, R, C] end of each phase."""
    stage_s: Floats
    """[N, R] seconds of each row on the critical path, summed over the turns."""
    latency: Floats
    """[N] s."""
    broadcast_bits: Floats
    """[N] bits, once for each turn that broadcasts."""
    moved: Floats
    """[N] model bits that participants moved because the cut moved."""


@njit(cache=True)
def walk_turns(
    resource: Ints,
    work: Floats,
    per_participant: Floats,
    one_by_one: bool,
    uses_own_subchannels: bool,
    members: Bools,
    turn: Ints,
    client_hz: Floats,
    server_hz: Floats,
    gain: Floats,
    assignment: Ints,
    psd: Floats,
    downlink_psd: float,
    subchannel_hz: Floats,
    noise: float,
    client_max_w: float,
    total_max_w: float,
    cut: Ints,
    client_cut: Ints,
    prefix_bits: Floats,
    timeout_s: float,
) -> Walked:
    """Walks the phases with the members of each turn, one turn after the other; see `splitgym.timing.clock.walk`.

    The band is dealt anew in every turn if the clients go one by one or if there are several turns; in a single turn
    the decision's subchannels and powers count as they are. Turns without members take no time; without any member
    there is one turn of nobody.

    Args:
        resource: [P] who is busy in each phase.
        work: [N, P] cycles or bits.
        per_participant: [N, P] cycles or bits more for each client that takes part in the turn.
        one_by_one: Whether the turns are those of single clients.
        uses_own_subchannels: Whether a client without a subchannel cannot take part.
        members: [N, C] who is selected and available.
        turn: [N, C] turn of each client, lower: earlier.
        client_hz: [N, C] cycles/s.
        server_hz: [N] cycles/s.
        gain: [N, C, M] linear, antenna gains included.
        assignment: [N, M] owners in the decision, -1: unused.
        psd: [N, M] powers in the decision, W/Hz.
        downlink_psd: Of the base station, W/Hz.
        subchannel_hz: [M].
        noise: N0, W/Hz.
        client_max_w: p_max, W.
        total_max_w: p_th, W.
        cut: [N] cut layer.
        client_cut: [N, C] cut layer that each client holds, 0: none yet.
        prefix_bits: [L] model bits of units 1..j.
        timeout_s: Counted from the begin of each turn.
    """
    (worlds, clients), subchannels = members.shape, subchannel_hz.shape[0]
    rows = MIGRATION_ROWS + resource.shape[0]
    candidates, participants = np.zeros((worlds, clients), np.bool_), np.zeros((worlds, clients), np.bool_)
    owned, own_psd = np.zeros((worlds, clients, subchannels), np.bool_), np.zeros((worlds, clients, subchannels))
    uplink, downlink, begin = np.zeros((worlds, clients)), np.zeros((worlds, clients)), np.zeros((worlds, clients))
    start, stop = np.zeros((worlds, rows, clients)), np.zeros((worlds, rows, clients))
    stage_s, latency = np.zeros((worlds, rows)), np.zeros(worlds)
    broadcast_bits, moved = np.zeros(worlds), np.zeros(worlds)
    turn_start, turn_stop, turn_stage_s = np.zeros((rows, clients)), np.zeros((rows, clients)), np.zeros(rows)
    down, up = np.zeros(clients), np.zeros(clients)
    base_station_psd = np.full(subchannels, downlink_psd)
    for n in range(worlds):
        band = whole_band_rates(gain[n], downlink_psd, subchannel_hz, noise)
        for i in range(clients):
            down[i], up[i] = move_bits(client_cut[n, i], cut[n], prefix_bits)
        order = np.unique(turn[n][members[n]])
        anew = order.shape[0] > 1 or (one_by_one and order.shape[0] == 1)
        if order.shape[0] == 0:
            order = np.zeros(1, np.int64)
        for current in order:
            present = members[n] & (turn[n] == current)
            owner, turn_psd = band_of_turn(
                assignment[n], psd[n], present, anew, subchannel_hz, client_max_w, total_max_w
            )
            for k in range(subchannels):
                if owner[k] >= 0:
                    owned[n, owner[k], k] = True
                    own_psd[n, owner[k], k] = turn_psd[k]
            takes_part = present.copy()
            if uses_own_subchannels:
                for i in range(clients):
                    takes_part[i] &= np.any(owned[n, i])
            began = takes_part.copy()
            turn_uplink = own_rates(gain[n], owner, turn_psd, subchannel_hz, noise)
            turn_downlink = own_rates(gain[n], owner, base_station_psd, subchannel_hz, noise)
            seconds, bits = walk(
                resource,
                work[n],
                per_participant[n],
                takes_part,
                client_hz[n],
                server_hz[n],
                turn_uplink,
                turn_downlink,
                band,
                down,
                up,
                timeout_s,
                turn_start,
                turn_stop,
                turn_stage_s,
            )
            for i in range(clients):
                if began[i]:
                    candidates[n, i], participants[n, i] = True, takes_part[i]
                    uplink[n, i], downlink[n, i], begin[n, i] = turn_uplink[i], turn_downlink[i], latency[n]
                    start[n, :, i], stop[n, :, i] = turn_start[:, i], turn_stop[:, i]
                if takes_part[i]:
                    moved[n] += down[i] + up[i]
            stage_s[n] += turn_stage_s
            broadcast_bits[n] += bits
            latency[n] += seconds
    return Walked(
        candidates,
        participants,
        owned,
        own_psd,
        uplink,
        downlink,
        begin,
        start,
        stop,
        stage_s,
        latency,
        broadcast_bits,
        moved,
    )
