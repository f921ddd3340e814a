"""What each client has to do by itself in a slot, read from the framework's program.

Clients work by themselves between the phases that are common to all. So a slot takes

    T = common + sum over segments s of max over clients i of (compute_si + uplink_si / R_i^U + downlink_si / R_i^D)

Seconds over wires behind the base stations do not depend on what is allocated and count as compute_si, and so does the
interruption of a handover.

where a segment is what lies between two common phases. That holds for every framework's program; EPSL has two segments,
one with the uplink and one with the unicast, SFL a second uplink in the last one.
"""

from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from splitgym.allocation.link_budget import Radio, radio_of
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.memory import EVERYBODY
from splitgym.frameworks.program import Program
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.network.wired import Ways
from splitgym.timing.amounts import Work, bits_between, move_bits, once_amount, own_amount, plan_of, work_of
from splitgym.timing.barrier import (
    BROADCAST,
    CLIENT,
    SERVER,
    UPLINK,
    common_speed,
    deadline_barrier,
    duration,
)
from splitgym.timing.cell import Backbone, backbone_of
from splitgym.timing.power import even_power
from splitgym.timing.rates import subchannel_rate
from splitgym.timing.relocation import Relocation, relocate, relocation_of
from splitgym.timing.wires import Attached, Wires, attached_of, broadcast_delay_s, fill_wires
from splitgym.types import Plan, RoundState, SystemParameters, with_axis
from splitgym.types.legal import check_plan


class Round(NamedTuple):
    """What `Program` and `SystemParameters` say of the work in a slot, for kernels."""

    route: Ints
    """[K, P] what is busy in each phase under each placement."""
    work: Work
    """Of each phase under each plan."""
    cut_layer: Ints
    """[G] of each plan."""
    second_cut: Ints
    """[G] of each plan, 0: nobody decides it."""
    prefix_bits: Floats
    """[L] model bits of units 1..j, with full precision."""
    precision: Ints
    """[G] of each plan."""
    moved_bits: Floats
    """[Q, L] bits of units 1..j as they move between client and server, with each precision."""
    timeout_s: float
    backbone: Backbone
    moving_link: int
    """The resource over which units move with the second cut, -1: none."""
    client_bytes: Floats
    """[G] memory that a client needs under each plan; 0 where memory is not limited."""
    most_clients: Ints
    """[G] clients for which nodes have the memory at the same time."""
    relocation: Relocation
    relocation_phase: int
    """The phase in which units move between nodes, -1: there is none."""
    ways: Ways


class SegmentWorkload(NamedTuple):
    """Work of C clients in up to S segments, under one plan or one of each client's own; see `fill_workload`."""

    compute_s: Floats
    """[S, C] seconds that do not depend on what is allocated."""
    uplink_bits: Floats
    """[S, C]."""
    downlink_bits: Floats
    """[S, C]."""
    segments: Ints
    """[2] how many segments there are; the one behind which the timeout applies (-1: it never does)."""
    common: Floats
    """[2, 3] common phases before the timeout applies, and after: seconds, seconds for each participant, broadcast
    bits."""
    common_s: Floats
    """[2, C] what each participant adds to the seconds of common phases, where plans differ."""
    differs: Bools
    """[1] whether plans differ: then `common_s` counts."""
    wires: Wires
    """Workspace."""


@lru_cache(maxsize=32)
def round_of(system: SystemParameters) -> Round:
    """The round of a system's program."""
    program: Program = system.program
    return Round(
        program.route,
        work_of(program),
        program.plans.cut_layer,
        program.plans.second_cut,
        system.prefix_bits,
        program.plans.precision,
        system.moved_bits,
        system.round_timeout_s,
        backbone_of(program.resources),
        program.moving_link,
        np.zeros(len(program.work)) if system.memory is None else system.memory.client,
        np.full(len(program.work), EVERYBODY) if system.memory is None else system.memory.most_clients,
        relocation_of(program),
        program.relocation,
        system.ways,
    )


def no_workload(phases: int, clients: int) -> SegmentWorkload:
    """An empty workload for any program of so many phases."""
    segments = phases + 1
    return SegmentWorkload(
        np.zeros((segments, clients)),
        np.zeros((segments, clients)),
        np.zeros((segments, clients)),
        np.zeros(2, np.int64),
        np.zeros((2, 3)),
        np.zeros((2, clients)),
        np.zeros(1, np.bool_),
        Wires.none(clients),
    )


@kernel(NO_REFCOUNT)
def fill_workload(
    workload: SegmentWorkload,
    of: Round,
    plans: Ints,
    members: Bools,
    client_hz: Floats,
    server_hz: float,
    client_cut_layer: Ints,
    second_cut: int,
    client_second_cut: Ints,
    unit_node: Ints,
    attached: Attached,
    n: int,
) -> None:
    """Fills in the workload under a plan or plans, moved parts of the network included.

    Where plans differ, what a common phase does once is that of the members' largest, also if that one is not served.

    Args:
        workload: Overwritten.
        of: Of the program.
        plans: [1] the common plan, or [C] that of each client.
        members: [C] clients that may participate.
        client_hz: [C] cycles/s.
        server_hz: Cycles/s.
        client_cut_layer: [C] cut layer that each client holds, 0: none yet.
        second_cut: Last unit at the edge server before the round, if another server has those behind it; 0: none yet.
        client_second_cut: [C] second cut behind which each client holds a tail, 0: none.
        unit_node: [L] row of the node that holds each unit, below 0: none does; without placements [0].
        attached: Stations of the clients of N worlds.
        n: The world.
    """
    placement = of.relocation.placement[plans[0]]
    resource = of.route[placement]
    fill_wires(workload.wires, of.ways, attached, n, placement)
    between = bits_between(second_cut, of.second_cut[plans[0]], of.prefix_bits)
    workload.differs[0] = plans.shape[0] > 1
    for part in range(2):
        for what in range(3):
            workload.common[part, what] = 0.0
        for i in range(client_hz.shape[0]):
            workload.common_s[part, i] = 0.0
    _no_own_work(workload, 0)
    barrier = deadline_barrier(resource)
    segment, timed = 0, -1
    open_segment = _begin(workload, of, plans, client_cut_layer, client_second_cut)
    for phase in range(resource.shape[0]):
        kind = resource[phase]
        if kind < SERVER:
            open_segment = True
            _add_own(workload, of.work, plans, phase, kind, segment, client_hz)
            continue
        if phase == barrier:
            timed = segment
        if open_segment:
            segment += 1
            open_segment = False
            _no_own_work(workload, segment)
        speed = common_speed(kind, server_hz, inf, of.backbone.speed)
        part = 0 if phase < barrier else 1
        _add_common(workload, of.work, plans, phase, kind, part, speed, members)
        if kind >= BROADCAST and _has_work(of.work, plans, phase, members):
            delay_s = broadcast_delay_s(of.ways) if kind == BROADCAST else of.backbone.delay_s[kind]
            workload.common[part, 0] += delay_s
        if kind == of.moving_link:
            # What moves goes with the first of what is sent.
            workload.common[part, 0] += between / speed
            if between > 0.0 and not _has_work(of.work, plans, phase, members):
                workload.common[part, 0] += of.backbone.delay_s[kind]
            between = 0.0
        if phase == of.relocation_phase:
            workload.common[part, 0] += relocate(unit_node, plans[0], of.relocation)[0]
    if barrier == resource.shape[0]:
        timed = segment
    workload.segments[0], workload.segments[1] = segment + open_segment, timed


@kernel(INLINED)
def _begin(workload: SegmentWorkload, of: Round, plans: Ints, client_cut_layer: Ints, client_second_cut: Ints) -> bool:
    """What clients do before the first phase: parts of the network move, handovers end. Whether there is any of it."""
    wires, anything, second = workload.wires, False, of.second_cut[plans[0]]
    for i in range(client_cut_layer.shape[0]):
        plan = plan_of(plans, i)
        unit_bits = of.moved_bits[of.precision[plan]]
        down, up = move_bits(client_cut_layer[i], of.cut_layer[plan], client_second_cut[i], second, unit_bits)
        workload.downlink_bits[0, i], workload.uplink_bits[0, i] = down, up
        workload.compute_s[0, i] = wires.interruption_s[i] + _wired_s(wires, i, down) + _wired_s(wires, i, up)
        anything |= down + up + wires.interruption_s[i] > 0.0
    return anything


@kernel(INLINED)
def _wired_s(wires: Wires, i: int, bits: float) -> float:
    """Seconds over wires of what client i sends or receives."""
    return bits * wires.s_per_bit[i] + (wires.delay_s[i] if bits > 0.0 else 0.0)


@kernel(INLINED)
def _has_work(work: Work, plans: Ints, phase: int, members: Bools) -> bool:
    """Whether there is anything to do for members in a common phase."""
    if plans.shape[0] == 1:
        return work.work[plans[0], phase] + work.per_participant[plans[0], phase] > 0.0
    for i in range(members.shape[0]):
        if members[i] and work.work[plans[i], phase] + work.per_participant[plans[i], phase] > 0.0:
            return True
    return False


@kernel(INLINED)
def _no_own_work(workload: SegmentWorkload, segment: int) -> None:
    """A segment in which no client has to do anything."""
    for i in range(workload.compute_s.shape[1]):
        workload.compute_s[segment, i] = workload.uplink_bits[segment, i] = workload.downlink_bits[segment, i] = 0.0


@kernel(INLINED)
def _add_own(
    workload: SegmentWorkload, work: Work, plans: Ints, phase: int, kind: int, segment: int, client_hz: Floats
) -> None:
    """Adds what clients do by themselves in a phase of a segment."""
    for i in range(client_hz.shape[0]):
        amount = own_amount(work, plan_of(plans, i), phase, i)
        if kind == CLIENT:
            workload.compute_s[segment, i] += amount / client_hz[i]
        elif kind == UPLINK:
            workload.uplink_bits[segment, i] += amount
            workload.compute_s[segment, i] += _wired_s(workload.wires, i, amount)
        else:
            workload.downlink_bits[segment, i] += amount
            workload.compute_s[segment, i] += _wired_s(workload.wires, i, amount)


@kernel(INLINED)
def _add_common(
    workload: SegmentWorkload, work: Work, plans: Ints, phase: int, kind: int, part: int, speed: float, members: Bools
) -> None:
    """Adds a common phase before (part 0) or after (1) the timeout applies, at a speed that broadcasts do not need."""
    once = once_amount(work, plans, phase, members)
    if kind == BROADCAST:
        workload.common[part, 2] += once
        return
    workload.common[part, 0] += once / speed
    if plans.shape[0] == 1:
        workload.common[part, 1] += work.per_participant[plans[0], phase] / speed
        return
    for i in range(members.shape[0]):
        workload.common_s[part, i] += work.per_participant[plans[i], phase] / speed


@kernel(NO_REFCOUNT)
def common_seconds(workload: SegmentWorkload, part: int, served: Ints, slowest_band: float) -> float:
    """Seconds of the common phases before (part 0) or after (1) the timeout applies, for some clients ([n] indices)."""
    of_all = workload.common[part, 1] * served.shape[0]
    if workload.differs[0]:
        for i in served:
            of_all += workload.common_s[part, i]
    return workload.common[part, 0] + of_all + duration(workload.common[part, 2], slowest_band)


@kernel(NO_REFCOUNT)
def uplinks(workload: SegmentWorkload) -> int:
    """How many segments have an uplink."""
    count = 0
    for s in range(workload.segments[0]):
        bits = 0.0
        for i in range(workload.uplink_bits.shape[1]):
            bits += workload.uplink_bits[s, i]
        count += bits > 0.0
    return count


def own_workload(state: RoundState, plan: Plan) -> SegmentWorkload:
    """The workload under a plan; `state` is of one world.

    Raises:
        InputError: the plan does not fit the state; the message names what does not.
    """
    check_plan(state, plan)
    of, everybody = round_of(state.system), np.ones(len(state.client_hz), np.bool_)
    workload, plans = no_workload(of.route.shape[1], len(state.client_hz)), plan.indices(state)
    fill_workload(
        workload,
        of,
        plans,
        everybody,
        state.client_hz,
        float(state.server_hz),
        state.client_cut_layer,
        int(state.second_cut),
        state.client_second_cut,
        state.unit_node,
        attached_of(state),
        0,
    )
    return workload


def own_seconds(state: RoundState, plan: Plan, sharing: Any) -> Floats:
    """[C] or [N, C] seconds for all that a client does by itself, if `sharing` clients share band and power evenly.

    Args:
        state: Of one world or N, as the scheduler believes it; a client's link is its mean gain.
        plan: Of one world or N.
        sharing: Number of clients, or [N].
    """
    gain, total_hz = np.atleast_2d(state.mean_gain), np.atleast_1d(state.subchannel_hz.sum(-1))
    of, seconds = round_of(state.system), np.empty(gain.shape)
    _own_seconds(
        of,
        radio_of(state.system),
        with_axis(plan.indices(state), not state.batched),
        np.atleast_2d(state.client_hz),
        np.atleast_1d(state.server_hz),
        np.atleast_2d(state.client_cut_layer),
        np.atleast_1d(state.second_cut),
        np.atleast_2d(state.client_second_cut),
        np.atleast_2d(state.unit_node),
        attached_of(state),
        gain,
        total_hz,
        np.array(np.broadcast_to(np.asarray(sharing, np.int64), total_hz.shape)),
        no_workload(of.route.shape[1], gain.shape[1]),
        np.ones(gain.shape[1], np.bool_),
        seconds,
    )
    return seconds if state.batched else seconds[0]


@kernel(NO_REFCOUNT)
def _own_seconds(
    of: Round,
    radio: Radio,
    plans: Ints,
    client_hz: Floats,
    server_hz: Floats,
    client_cut_layer: Ints,
    second_cut: Ints,
    client_second_cut: Ints,
    unit_node: Ints,
    attached: Attached,
    gain: Floats,
    total_hz: Floats,
    sharing: Ints,
    workload: SegmentWorkload,
    everybody: Bools,
    seconds: Floats,
) -> None:
    """Fills in `seconds` [N, C]; `gain` is [N, C], `total_hz` and `sharing` are [N]; `workload` is workspace."""
    for n in range(gain.shape[0]):
        fill_workload(
            workload,
            of,
            plans[n],
            everybody,
            client_hz[n],
            server_hz[n],
            client_cut_layer[n],
            second_cut[n],
            client_second_cut[n],
            unit_node[n],
            attached,
            n,
        )
        for i in range(gain.shape[1]):
            seconds[n, i] = seconds_alone(workload, radio, i, gain[n, i], total_hz[n], sharing[n])


@kernel(INLINED)
def seconds_alone(workload: SegmentWorkload, radio: Radio, i: int, gain: float, total_hz: float, sharing: int) -> float:
    """Seconds for all that client i does by itself, if so many clients share band and power evenly."""
    hz, noise = total_hz / sharing, radio.noise_psd_w_per_hz
    psd = even_power(radio.client_power_max_w, radio.total_power_max_w, sharing) / hz
    seconds = up = down = 0.0
    for s in range(workload.segments[0]):
        seconds += workload.compute_s[s, i]
        up += workload.uplink_bits[s, i]
        down += workload.downlink_bits[s, i]
    uplink_s = duration(up, subchannel_rate(hz, psd, gain, noise))
    return seconds + (uplink_s + duration(down, subchannel_rate(hz, radio.downlink_psd_w_per_hz, gain, noise)))
