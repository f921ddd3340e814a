"""The worlds of a descent, what is found in them, and the workspace of one world, for kernels."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from splitgym.allocation.assignment import AssignmentState, no_assignment
from splitgym.allocation.descent.slot import Workspace, workspace_for
from splitgym.allocation.link_budget import Links, Radio, empty_links, radio_of
from splitgym.allocation.workload import Round, SegmentWorkload, fill_workload, no_workload, round_of
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, Handle, kernel
from splitgym.timing.wires import Attached
from splitgym.types import SystemParameters

BLOCKS = ("subchannels", "power", "cut", "exchange")
"""The steps of a descent: the first two at the most promising cut layer, then at all that may be better, then swaps
of subchannels at all that may be better still."""


class Worlds(NamedTuple):
    """N worlds to descend in, for the kernel."""

    hz: Floats
    """[N, M] bandwidths, Hz."""
    gain: Floats
    """[N, C, M]."""
    uplink_interference: Floats
    """[N, M] W/Hz; [N, 0]: there is none."""
    downlink_interference: Floats
    """[N, C, M] likewise."""
    client_hz: Floats
    """[N, C] cycles/s."""
    server_hz: Floats
    """[N] cycles/s."""
    client_cut_layer: Ints
    """[N, C]."""
    second_cut: Ints
    """[N]."""
    client_second_cut: Ints
    """[N, C]."""
    unit_node: Ints
    """[N, L], or [N, 0]."""
    members: Bools
    """[N, C] clients that are selected and there, and have the memory for the plan if that is held."""
    memory_bytes: Floats
    """[N, C] of the clients."""
    slot: Ints
    """[N, C] slot of each client."""
    given: Ints
    """[N, M] owners to hold, or [N, 0]: choose."""
    plans: Ints
    """[N, K] plans to choose from; or to hold, [N, 1] the common one, [N, C] that of each client."""
    hold: bool
    """Whether plans are held."""
    attached: Attached


class Found(NamedTuple):
    """What the kernel found in N worlds, with T slots."""

    plan: Ints
    """[N] the plan that was chosen; where plans are held, the first of them."""
    owner: Ints
    """[N, T, M] -1: unused."""
    psd: Floats
    """[N, T, M] W/Hz."""
    participants: Ints
    """[N] expected."""
    latency_s: Floats
    """[N] expected."""
    steps_s: Floats
    """[N, 4] expected latency after each of `BLOCKS`."""
    uplinks: Ints
    """[1] the most segments with an uplink in any world and under any plan."""


class Utility(NamedTuple):
    """How a set of clients is to be chosen in N worlds; of 0 sizes: not at all, as the members are given."""

    weight: Floats
    """[N, C] of clients, 0: is not selected."""
    latency_exponent: Floats
    """[N]."""
    sizes: Ints
    """[Z] numbers of clients to look at, increasing, besides that of all."""


MEMBERS_GIVEN = Utility(np.zeros((0, 0)), np.zeros(0), np.zeros(0, np.int64))


class Sets(NamedTuple):
    """Workspace for Z sizes of sets, and the set of all."""

    order: Ints
    """[C] clients with a weight, the first to be selected first."""
    per_second: Floats
    """[C] weight of each per own second to the latency exponent."""
    size: Ints
    """[Z + 1] how many clients each has."""
    worth: Floats
    """[Z + 1] sum of their weights."""
    highest: Floats
    """[Z + 1] bound on the utility; -1: is done with."""


class UnderPlan(NamedTuple):
    """Workspace of one world with T slots and K plans to choose from."""

    links: Links
    held: AssignmentState
    workload: SegmentWorkload
    members: Bools
    """[C] of the slot."""
    workspace: Workspace
    owner: Ints
    """[T, M]."""
    psd: Floats
    """[T, M]."""
    serves: Ints
    """[2, K] how many clients can take part under each plan at most, and as far as is known."""
    least_s: Floats
    """[2, K] the latency likewise: no less than this."""
    order: Ints
    """[K] plans, the best first."""
    sets: Sets


def nothing_found(worlds: int, slots: int, subchannels: int) -> Found:
    """Arrays to be filled."""
    return Found(
        np.empty(worlds, np.int64),
        np.empty((worlds, slots, subchannels), np.int64),
        np.empty((worlds, slots, subchannels)),
        np.empty(worlds, np.int64),
        np.empty(worlds),
        np.empty((worlds, len(BLOCKS))),
        np.zeros(1, np.int64),
    )


class Descender(NamedTuple):
    """What is the same in all worlds, and workspace."""

    radio: Radio
    rules: Round
    at: UnderPlan


@lru_cache(maxsize=128)  # Every number of subchannels that a round may have is another system.
def descender(system: SystemParameters, thread: int, clients: int, slots: int, plans: int, sets: int) -> Any:
    """A handle of a `Descender` of a thread's own (by its identifier)."""
    radio, rules, subchannels = radio_of(system), round_of(system), system.subchannels
    phases = rules.route.shape[1]
    at = UnderPlan(
        empty_links(clients, subchannels, radio),
        no_assignment(clients, subchannels),
        no_workload(phases, clients),
        np.zeros(clients, np.bool_),
        workspace_for(phases + 1, clients, subchannels),
        np.zeros((slots, subchannels), np.int64),
        np.zeros((slots, subchannels)),
        np.zeros((2, plans), np.int64),
        np.zeros((2, plans)),
        np.zeros(plans, np.int64),
        Sets(
            np.zeros(clients, np.int64),
            np.zeros(clients),
            np.zeros(sets + 1, np.int64),
            np.zeros(sets + 1),
            np.zeros(sets + 1),
        ),
    )
    return Handle().of(Descender(radio, rules, at))


@kernel(INLINED)
def has_memory(rules: Round, of: Worlds, n: int, choice: int, i: int) -> bool:
    """Whether a client of world n has the memory for one of its plans."""
    return of.hold or rules.client_bytes[of.plans[n, choice]] <= of.memory_bytes[n, i]


@kernel(INLINED)
def most_clients(rules: Round, of: Worlds, n: int, choice: int) -> int:
    """How many clients of world n, in a slot, nodes have the memory for under one of its plans.

    Members with plans of their own are never too many.
    """
    if of.hold and of.plans.shape[1] > 1:
        return of.members.shape[1]
    return rules.most_clients[of.plans[n, choice]]


@kernel(NO_REFCOUNT)
def fill_load(workload: SegmentWorkload, rules: Round, of: Worlds, n: int, choice: int) -> None:
    """The workload of world n under one of its plans."""
    plans = of.plans[n] if of.hold else of.plans[n, choice : choice + 1]
    fill_workload(
        workload,
        rules,
        plans,
        of.members[n],
        of.client_hz[n],
        of.server_hz[n],
        of.client_cut_layer[n],
        of.second_cut[n],
        of.client_second_cut[n],
        of.unit_node[n],
        of.attached,
        n,
    )
