"""What the walk over the slots of rounds reads and fills, of N worlds."""

from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.timing.amounts import Work
from splitgym.timing.barrier import Rows
from splitgym.timing.cell import Constants
from splitgym.timing.relocation import Relocation
from splitgym.timing.slot import Slot
from splitgym.timing.wires import Attached, Wires


class Memories(NamedTuple):
    """What plans need of memory, see `splitgym.frameworks.memory.MemoryNeeds`."""

    client: Floats
    """[G] bytes of a client."""
    once: Floats
    """[S, G] bytes of each node whose memory is limited."""
    per_participant: Floats
    """[S, G] bytes more for each client that takes part in the slot."""
    limit: Floats
    """[S] bytes that it has."""


class Rules(NamedTuple):
    """What a framework and a scenario say about the slots of a round."""

    resource: Ints
    """[P] what is busy in each phase."""
    work: Work
    """Of each phase under each plan."""
    cut_layer: Ints
    """[G] of each plan."""
    second_cut: Ints
    """[G] of each plan, 0: nobody decides it."""
    client_energy: Floats
    """[G] energy of a client's cycle under each plan, over that with full precision."""
    prefix_bits: Floats
    """[L] model bits of units 1..j, with full precision."""
    precision: Ints
    """[G] of each plan."""
    moved_bits: Floats
    """[Q, L] bits of units 1..j as they move between client and server, with each precision."""
    access: int
    """Which clients work at the same time: a number of `Access`."""
    uses_own_subchannels: bool
    """Whether a client without a subchannel cannot take part."""
    memory: Memories
    kinds: Ints
    """[K, R + 1] what is busy in each row of the timeline under each placement."""
    relocation: Relocation


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
    """[N] last unit in front of the second cut between two servers, 0: none yet."""
    client_second_cut: Ints
    """[N, C] second cut behind which each client holds a tail, 0: none."""
    available: Bools
    """[N, C] clients that are there."""
    memory_bytes: Floats
    """[N, C] memory of each client."""
    absence: Floats
    """[N, C] rounds since each took part."""
    unit_node: Ints
    """[N, L] row of the node that holds each unit, below 0: none does; without placements [N, 0]."""
    station_gain: Floats
    """[N, C, S] towards each station where all of them use all subchannels; else [N, C, 0]."""
    attached: Attached


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
    clock: Floats
    """[N, 1] or [N, C] fraction of its speed with which each client computes; [1, 1]: one for all worlds."""


class Walked(NamedTuple):
    """What happens in N worlds: the arrays of `splitgym.timing.cost.RoundCost`.

    Starts and stops are of no row if nobody asks for them.
    """

    latency_s: Floats
    participants: Bools
    without_subchannel: Bools
    unavailable: Bools
    timed_out: Bools
    without_memory: Bools
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
    """[C] clients that shall participate, are there, and have the memory."""
    band: Floats
    """[C] as in `Cell`, like the next two."""
    down: Floats
    up: Floats
    client_hz: Floats
    """[C] cycles/s with which each client computes."""
    wires: Wires

    @classmethod
    def empty(cls, rows: int, clients: int, subchannels: int) -> Self:
        """An empty one."""
        order, members = np.zeros(clients, np.int64), np.zeros(clients, bool)
        band, down, up, client_hz = np.zeros((4, clients))
        slot, wires = Slot.empty(rows, clients, subchannels), Wires.none(clients)
        return cls(slot, order, members, band, down, up, client_hz, wires)


class Walker(NamedTuple):
    """What is the same in all rounds, and workspace."""

    rows: Rows
    constants: Constants
    rules: Rules
    barrier: Ints
    """[P] what each phase waits for, if shares are lent on demand."""
    workspace: Workspace


class Rounds(NamedTuple):
    """What the kernel needs of rounds beside their decisions."""

    walker: Walker
    worlds: Worlds
    walked: Walked
