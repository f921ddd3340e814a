"""The slots of a round, of N worlds: which clients have which part of the band in each, one after the other."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel
from splitgym.timing.amounts import Work, bits_between, move_bits, plan_of
from splitgym.timing.barrier import BROADCAST, CLIENT, SERVER, UNICAST, UPLINK, Rows, rows_of
from splitgym.timing.cell import Cell, Constants, Spectrum
from splitgym.timing.rates import fill_band_rates
from splitgym.timing.slot import Slot, empty_slot, walk_as_needed, walk_statically
from splitgym.timing.slot_bandwidth import band_of_slot

CLUSTERED, SEQUENTIAL = int(Access.CLUSTERED), int(Access.SEQUENTIAL)
BEFORE, BEHIND = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""Slots that come before and after all."""


class Rules(NamedTuple):
    """What a framework and a scenario say about the slots of a round."""

    resource: Ints
    """[P] what is busy in each phase."""
    work: Floats
    """[G, P] cycles or bits under each plan."""
    per_participant: Floats
    """[G, P] cycles or bits more for each client that takes part in the slot."""
    cut_layer: Ints
    """[G] of each plan."""
    second_cut: Ints
    """[G] of each plan, 0: nobody decides it."""
    prefix_bits: Floats
    """[L] model bits of units 1..j."""
    access: int
    """Which clients work at the same time: a number of `Access`."""
    moving_link: int
    """The resource over which units move with the second cut, -1: none."""
    uses_own_subchannels: bool
    """Whether a client without a subchannel cannot take part."""
    timeout_s: float
    """Counted from the start of each slot."""


class Worlds(NamedTuple):
    """The states of N worlds."""

    hz: Floats
    """[N, M] bandwidths B_k, Hz."""
    gain: Floats
    """[N, C, M] linear, antenna gains included."""
    client_hz: Floats
    """[N, C] cycles/s."""
    server_hz: Floats
    """[N] cycles/s."""
    client_cut: Ints
    """[N, C] cut layer that each client holds, 0: none yet."""
    second_cut: Ints
    """[N] last unit in front of the second cut, 0: none yet."""
    available: Bools
    """[N, C] clients that are there."""


class Decided(NamedTuple):
    """The decisions in N worlds."""

    plan: Ints
    """[N, 1] the common plan, or [N, C] that of each client."""
    selected: Bools
    """[N, C] clients that shall participate."""
    cluster: Ints
    """[N, C] lower: earlier."""
    owner: Ints
    """[N, T, M] -1: unused; T = 1: one band for all slots."""
    psd: Floats
    """[N, T, M] W/Hz."""
    by_slot: bool
    """Whether there is a band for each slot, at the slot's index."""


class Walked(NamedTuple):
    """What happens in N worlds: the arrays of `splitgym.timing.cost.RoundCost`, zeros before it is filled."""

    latency_s: Floats
    participants: Bools
    without_subchannel: Bools
    unavailable: Bools
    timed_out: Bools
    start_s: Floats
    stop_s: Floats
    stage_s: Floats
    client_energy_j: Floats
    server_energy_j: Floats
    traffic_bits: Floats
    migration_bits: Floats


class Workspace(NamedTuple):
    """Arrays that a walk overwrites."""

    slot: Slot
    order: Ints
    """[C] the slot that each client is in."""
    members: Bools
    """[C] clients that shall participate and is there."""
    band: Floats
    """[C] as in `Cell`, like the next two."""
    down: Floats
    up: Floats


@kernel(INLINED)
def slot_of_client(access: int, cluster: int, client: int) -> int:
    """`splitgym.frameworks.phases.Access.slot_of_clients`, of one client."""
    return cluster if access == CLUSTERED else client if access == SEQUENTIAL else 0


def _worlds_walked_by(walk: Callable[..., tuple[float, float]]) -> Callable[..., None]:
    """The loop over worlds and slots around a kernel that walks one slot."""

    def _walk_worlds(
        rows: Rows,
        constants: Constants,
        rules: Rules,
        barrier: Ints | None,
        worlds: Worlds,
        decided: Decided,
        walked: Walked,
        workspace: Workspace,
    ) -> None:
        """As `walk_slots`."""
        work = Work(rules.work, rules.per_participant)
        slot, order, members, band = workspace.slot, workspace.order, workspace.members, workspace.band
        down, up, began, prefix_bits = workspace.down, workspace.up, slot.began, rules.prefix_bits
        selected, available, client_cut, cluster = (
            decided.selected,
            worlds.available,
            worlds.client_cut,
            decided.cluster,
        )
        without_subchannel, unavailable, latency_s = walked.without_subchannel, walked.unavailable, walked.latency_s
        count, clients, _ = worlds.gain.shape
        for n in range(count):
            spectrum = Spectrum(
                worlds.hz[n], constants.noise, constants.downlink_psd, constants.client_max_w, constants.total_max_w
            )
            plans = decided.plan[n]
            for i in range(clients):
                down[i], up[i] = move_bits(client_cut[n, i], rules.cut_layer[plan_of(plans, i)], prefix_bits)
                order[i] = slot_of_client(rules.access, cluster[n, i], i)
                members[i] = without_subchannel[n, i] = selected[n, i] and available[n, i]
                unavailable[n, i] = selected[n, i] and not available[n, i]
            fill_band_rates(spectrum, worlds.gain[n], members, band)
            between = bits_between(worlds.second_cut[n], rules.second_cut[plans[0]], prefix_bits)
            cell = Cell(
                worlds.client_hz[n], worlds.server_hz[n], constants.backbone, worlds.gain[n], band, down, up, between
            )
            current = _next_slot(order, members, BEFORE)
            following = _next_slot(order, members, current)
            again = not decided.by_slot and current < BEHIND and (following < BEHIND or rules.access == SEQUENTIAL)
            while True:
                row = current if decided.by_slot and current < BEHIND else 0
                for i in range(clients):
                    began[i] = members[i] and order[i] == current
                band_of_slot(
                    decided.owner[n, row], decided.psd[n, row], began, again, spectrum, slot.now, slot.owner, slot.psd
                )
                _find_who_begins(slot, rules.uses_own_subchannels)
                seconds, broadcast_bits = walk(rows, barrier, spectrum, cell, work, plans, slot)
                _note_slot(walked, n, constants, rows.kind, spectrum, cell, slot, broadcast_bits)
                latency_s[n] += seconds
                if following == BEHIND:
                    break
                current, following = following, _next_slot(order, members, following)

    return _walk_worlds


# Sharing on demand needs arrays of changing sizes; with static shares nothing is made.
_with_static_shares = kernel(NO_REFCOUNT)(_worlds_walked_by(walk_statically))
_on_demand = kernel(COMPILED)(_worlds_walked_by(walk_as_needed))


@kernel(COMPILED)
def walk_slots(
    constants: Constants,
    rules: Rules,
    barrier: Ints | None,
    worlds: Worlds,
    decided: Decided,
    walked: Walked,
) -> None:
    """Walks the phases with the members of each slot, one slot after the other.

    If the decision has a band for each slot, it counts as it is. One band for all slots is assigned again in every slot
    if the clients go one by one or if there are several slots, and counts as it is in a single slot. Slots without
    members take no time; without any member there is one slot of nobody.

    Args:
        constants: Of all worlds.
        rules: Of framework and scenario.
        barrier: [P] on demand: what each phase waits for. None: with static shares.
        worlds: Where.
        decided: What.
        walked: Filled.
    """
    _, clients, subchannels = worlds.gain.shape
    rows = rows_of(rules.resource, rules.moving_link, rules.timeout_s)
    slot = empty_slot(rows.kind.shape[0] - 1, clients, subchannels)
    workspace = Workspace(
        slot,
        np.zeros(clients, np.int64),
        np.zeros(clients, np.bool_),
        np.zeros(clients),
        np.zeros(clients),
        np.zeros(clients),
    )
    if barrier is None:
        _with_static_shares(rows, constants, rules, None, worlds, decided, walked, workspace)
    else:
        _on_demand(rows, constants, rules, barrier, worlds, decided, walked, workspace)


@kernel(INLINED)
def _next_slot(order: Ints, members: Bools, after: int) -> int:
    """The first slot of a member after another one; BEHIND: there is none."""
    following = BEHIND
    for i in range(order.shape[0]):
        if members[i] and after < order[i] < following:
            following = order[i]
    return following


@kernel(INLINED)
def _find_who_begins(slot: Slot, uses_own_subchannels: bool) -> None:
    """Of the members, marked as clients that began, only owners can begin if clients need subchannels."""
    began, takes_part, owner = slot.began, slot.takes_part, slot.owner
    for i in range(began.shape[0]):
        takes_part[i] = began[i] and not uses_own_subchannels
    if uses_own_subchannels:
        for i in owner:
            if i >= 0:
                takes_part[i] = True
    for i in range(began.shape[0]):
        began[i] = takes_part[i]


@kernel(INLINED)
def _note_slot(
    walked: Walked,
    n: int,
    constants: Constants,
    kinds: Ints,
    spectrum: Spectrum,
    cell: Cell,
    slot: Slot,
    broadcast_bits: float,
) -> None:
    """Notes what happened in a slot of world n: which clients were in it, when, and what it cost."""
    began, takes_part, links = slot.began, slot.takes_part, slot.links
    start, stop, common_s = slot.timeline.start, slot.timeline.stop, slot.timeline.common_s
    own_hz, power_w, uplink, downlink = links.hz, links.power_w, links.uplink, links.downlink
    client_hz, move_down, move_up = cell.client_hz, cell.move_down, cell.move_up
    participants, timed_out, without_subchannel = walked.participants, walked.timed_out, walked.without_subchannel
    all_start, all_stop, clients_j = walked.start_s, walked.stop_s, walked.client_energy_j
    stage_s, all_stage_s, server_j, bits = slot.timeline.stage_s, walked.stage_s, 0.0, broadcast_bits
    begin, moved_bits, backbone = walked.latency_s[n], 0.0, cell.backbone
    for i in range(began.shape[0]):
        if not began[i]:
            continue
        participants[n, i], timed_out[n, i] = takes_part[i], not takes_part[i]
        without_subchannel[n, i] = False
        computing = sending = receiving = 0.0
        for row in range(start.shape[0]):
            all_start[n, row, i], all_stop[n, row, i] = begin + start[row, i], begin + stop[row, i]
            seconds = stop[row, i] - start[row, i]
            computing += seconds if kinds[row] == CLIENT else 0.0
            sending += seconds if kinds[row] == UPLINK else 0.0
            receiving += seconds if kinds[row] == UNICAST else 0.0
        clients_j[n, i] = constants.client_capacitance * client_hz[i] ** 3 * computing + power_w[i] * sending
        server_j += constants.downlink_psd * own_hz[i] * receiving
        bits += uplink[i] * sending + downlink[i] * receiving
        moved_bits += move_down[i] + move_up[i] if takes_part[i] else 0.0
    for row in range(common_s.shape[0]):
        all_stage_s[n, row] += stage_s[row]
        if kinds[row] == SERVER:
            server_j += constants.server_capacitance * cell.server_hz**3 * common_s[row]
        elif kinds[row] == BROADCAST:
            server_j += constants.downlink_psd * np.sum(spectrum.subchannel_hz) * common_s[row]
        elif kinds[row] > BROADCAST and backbone.is_link[kinds[row]]:
            bits += backbone.speed[kinds[row]] * common_s[row]
        elif kinds[row] > BROADCAST:
            server_j += backbone.capacitance[kinds[row]] * backbone.speed[kinds[row]] ** 3 * common_s[row]
    walked.migration_bits[n] += moved_bits + cell.move_between
    walked.server_energy_j[n] += server_j
    walked.traffic_bits[n] += bits
