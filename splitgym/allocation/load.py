"""What each client has to do by itself in a turn, read from the framework's program.

Clients work by themselves between the phases that are common to all. So a turn takes

    T = common + sum over segments s of max over clients i of (compute_si + uplink_si / R_i^U + downlink_si / R_i^D)

where a segment is what lies between two common phases. That holds for every framework's program; EPSL has two segments,
one with the uplink and one with the unicast, SFL a second uplink in the last one.
"""

from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.budget import even_power_w
from splitgym.frameworks.phases import Program, aggregated_rows
from splitgym.kernels import COMPILED, UNCOUNTED, kernel
from splitgym.rounds import RoundState, System
from splitgym.rounds.legal import check_arguments
from splitgym.timing.cell import Cloud, cloud_of
from splitgym.timing.clock import (
    BROADCAST,
    CLIENT,
    SERVER,
    UPLINK,
    common_speed,
    deadline_barrier,
    duration,
    move_bits,
)
from splitgym.timing.rates import subchannel_rate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Work(NamedTuple):
    """What `Program` and `System` say of the work in a turn, for kernels."""

    resource: Ints
    """[P]."""
    work: Floats
    """[L - 1, b + 1, P] cycles or bits."""
    per_participant: Floats
    """[L - 1, b + 1, P]."""
    prefix_bits: Floats
    """[L] model bits of units 1..j."""
    timeout_s: float
    cloud: Cloud


class Load(NamedTuple):
    """The load of C clients in up to S segments, at one cut layer; filled by `fill_load`."""

    compute_s: Floats
    """[S, C]."""
    uplink_bits: Floats
    """[S, C]."""
    downlink_bits: Floats
    """[S, C]."""
    segments: Ints
    """[2] how many segments there are; the one behind which the timeout applies (-1: it never does)."""
    common: Floats
    """[2, 3] common phases before the timeout applies, and after: seconds, seconds for each participant, broadcast
    bits."""


def work_of(system: System) -> Work:
    """The work of a system's program."""
    program: Program = system.program
    return Work(
        program.resource,
        program.work,
        program.per_participant,
        system.prefix_bits,
        system.round_timeout_s,
        cloud_of(system),
    )


@kernel(COMPILED)
def no_load(phases: int, clients: int) -> Load:
    """An empty load with room for any program of so many phases."""
    segments = phases + 1
    return Load(
        np.zeros((segments, clients)),
        np.zeros((segments, clients)),
        np.zeros((segments, clients)),
        np.zeros(2, np.int64),
        np.zeros((2, 3)),
    )


@kernel(UNCOUNTED)
def fill_load(
    load: Load, work: Work, cut: int, rows: int, client_hz: Floats, server_hz: float, client_cut_layer: Ints
) -> None:
    """Fills in the load at a cut layer (1..L-1) with so many aggregated rows, moved parts of the network included.

    Args:
        load: Overwritten.
        work: Of the program.
        cut: Cut layer.
        rows: m = ceil(phi b).
        client_hz: [C] cycles/s.
        server_hz: Cycles/s.
        client_cut_layer: [C] cut layer that each client holds, 0: none yet.
    """
    amounts, each = work.work[cut - 1, rows], work.per_participant[cut - 1, rows]
    load.compute_s[0], load.uplink_bits[0], load.downlink_bits[0] = 0.0, 0.0, 0.0
    load.common[:] = 0.0
    barrier = deadline_barrier(work.resource)
    segment, open_segment, timed = 0, False, -1
    for i in range(client_hz.shape[0]):
        down, up = move_bits(client_cut_layer[i], cut, work.prefix_bits)
        load.downlink_bits[0, i], load.uplink_bits[0, i] = down, up
        open_segment |= down + up > 0.0
    for phase in range(work.resource.shape[0]):
        kind = work.resource[phase]
        if kind < SERVER:
            open_segment = True
            for i in range(client_hz.shape[0]):
                if kind == CLIENT:
                    load.compute_s[segment, i] += amounts[phase] / client_hz[i]
                elif kind == UPLINK:
                    load.uplink_bits[segment, i] += amounts[phase]
                else:
                    load.downlink_bits[segment, i] += amounts[phase]
            continue
        if phase == barrier:
            timed = segment
        if open_segment:
            segment += 1
            open_segment = False
            load.compute_s[segment], load.uplink_bits[segment], load.downlink_bits[segment] = 0.0, 0.0, 0.0
        common = load.common[0 if phase < barrier else 1]
        if kind == BROADCAST:
            common[2] += amounts[phase]
        else:
            speed = common_speed(kind, server_hz, inf, work.cloud)
            common[0] += amounts[phase] / speed
            common[1] += each[phase] / speed
    if barrier == work.resource.shape[0]:
        timed = segment
    load.segments[0], load.segments[1] = segment + open_segment, timed


@kernel(UNCOUNTED)
def common_seconds(load: Load, part: int, participants: int, slowest_band: float) -> float:
    """Seconds of the common phases before (part 0) or after (1) the timeout applies."""
    seconds, each, bits = load.common[part]
    return seconds + each * participants + duration(bits, slowest_band)


@kernel(UNCOUNTED)
def uplinks(load: Load) -> int:
    """How many segments have an uplink."""
    count = 0
    for s in range(load.segments[0]):
        bits = 0.0
        for i in range(load.uplink_bits.shape[1]):
            bits += load.uplink_bits[s, i]
        count += bits > 0.0
    return count


def own_load(state: RoundState, cut_layer: int, aggregation_ratio: float) -> Load:
    """The load at a cut layer; `state` is of one world.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, cut_layer=cut_layer, aggregation_ratio=aggregation_ratio)
    system = state.system
    work = work_of(system)
    load = no_load(len(work.resource), len(state.client_hz))
    rows = int(aggregated_rows(aggregation_ratio, system.batch_size))
    fill_load(load, work, cut_layer, rows, state.client_hz, float(state.server_hz), state.client_cut_layer)
    return load


def own_seconds(state: RoundState, cut_layer: Any, sharing: Any, aggregation_ratio: Any) -> Floats:
    """[C] or [N, C] seconds for all that a client does by itself, if `sharing` clients share band and power evenly.

    Args:
        state: Of one world or N, as the scheduler believes it; a client's link is its mean gain.
        cut_layer: 1..L-1, or [N].
        sharing: Number of clients, or [N].
        aggregation_ratio: phi, or [N].
    """
    system, gain = state.system, np.atleast_2d(state.channel_gain.mean(-1))
    worlds = len(gain)
    hz = np.atleast_1d(state.subchannel_hz.sum(-1)) / sharing
    seconds: Floats = _own_seconds(
        work_of(system),
        np.broadcast_to(cut_layer, worlds),
        np.broadcast_to(aggregated_rows(aggregation_ratio, system.batch_size), worlds),
        np.atleast_2d(state.client_hz),
        np.atleast_1d(state.server_hz),
        np.atleast_2d(state.client_cut_layer),
        gain,
        hz,
        even_power_w(state, sharing) / hz,
        (system.downlink_psd_w_per_hz, system.noise_psd_w_per_hz),
    )
    return seconds if state.batched else seconds[0]


@kernel(COMPILED)
def _own_seconds(
    work: Work,
    cuts: Ints,
    rows: Ints,
    client_hz: Floats,
    server_hz: Floats,
    client_cut_layer: Ints,
    gain: Floats,
    hz: Floats,
    uplink_psd: Floats,
    downlink_and_noise_psd: tuple[float, float],
) -> Floats:
    """[N, C]; `gain` is [N, C], `hz` and `uplink_psd` are [N]."""
    worlds, clients = gain.shape
    seconds, load = np.zeros((worlds, clients)), no_load(len(work.resource), clients)
    downlink_psd, noise = downlink_and_noise_psd
    for n in range(worlds):
        fill_load(load, work, cuts[n], rows[n], client_hz[n], server_hz[n], client_cut_layer[n])
        for i in range(clients):
            up, down = 0.0, 0.0
            for s in range(load.segments[0]):
                seconds[n, i] += load.compute_s[s, i]
                up += load.uplink_bits[s, i]
                down += load.downlink_bits[s, i]
            seconds[n, i] += duration(up, subchannel_rate(hz[n], uplink_psd[n], gain[n, i], noise)) + duration(
                down, subchannel_rate(hz[n], downlink_psd, gain[n, i], noise)
            )
    return seconds
