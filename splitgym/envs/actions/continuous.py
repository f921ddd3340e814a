"""The full encoding in real numbers: demands for spectrum and power, decoded to a valid decision."""

from collections.abc import Sequence

import numpy as np

from splitgym.allocation.even_split import spread_power
from splitgym.allocation.own_station import bands
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.codec import BoxCodec, plan_said
from splitgym.envs.actions.components import (
    ClientPower,
    ClockFractions,
    Continuous,
    CutParts,
    PhiFraction,
    QuorumParts,
    Said,
    SelectionSigns,
    SpectrumDemand,
    choice_parts,
)
from splitgym.frameworks import Framework
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters
from splitgym.types.memory import served_clients


class ContinuousCodec(BoxCodec):
    """Cut layer; each client's selection (in: above 0); its demand for spectrum; its power; phi."""

    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Continuous]:
        """Cuts, selection, demand, power, phi."""
        clients = scenario.clients.count
        return (
            CutParts(system, clients),
            *choice_parts(system, clients),
            ClockFractions(scenario),
            QuorumParts(system, clients),
            SelectionSigns(clients),
            SpectrumDemand(clients),
            ClientPower(clients, system.client_power_max_w),
            PhiFraction(framework, system.highest_ratio),
        )

    def decide(self, said: Said, state: RoundState) -> Decision:
        """Demands into numbers of subchannels (at least one each), and the best of them for each client.

        Clients that are selected and available choose in the order of their demand, one subchannel in each round of
        choices, always the one with the highest gain that is left. A client's power is spread evenly. Where every
        station uses all subchannels, the clients of each station share those of its band.
        """
        plan = plan_said(said)
        served = served_clients(state, plan, said["selected"])
        shared = [_shared(said, served & members, band, state) for band, members in bands(state)]
        one = len(shared) == 1
        assignment, psd = shared[0] if one else (np.concatenate(each, axis=1) for each in zip(*shared, strict=True))
        return Decision.under(plan, assignment, psd, said["selected"])


def _shared(said: Said, served: Bools, band: slice, state: RoundState) -> tuple[Ints, Floats]:
    """Owners and W/Hz of the subchannels of a band, among the clients that are served there, [N, C]."""
    gain = np.ascontiguousarray(state.channel_gain[..., band])
    worlds, clients, subchannels = gain.shape
    assignment, psd = np.empty((worlds, subchannels), np.int64), np.empty((worlds, subchannels))
    _assign(
        (assignment, psd),
        (np.empty(clients, np.int64), np.empty(clients, np.int64), np.empty(subchannels, np.int64)),
        (said["selected"], said["spectrum_demand"].copy(), said["client_power_w"]),
        served,
        gain,
        np.ascontiguousarray(state.subchannel_hz[:, band]),
    )
    return assignment, psd


@kernel(NO_REFCOUNT)
def _assign(
    assigned: tuple[Ints, Floats],
    workspace: tuple[Ints, Ints, Ints],
    said: tuple[Bools, Floats, Floats],
    available: Bools,
    gain: Floats,
    subchannel_hz: Floats,
) -> None:
    """Subchannels and powers of N worlds.

    Args:
        assigned: [N, M] owners and [N, M] W/Hz, filled.
        workspace: [C], [C] and [M].
        said: [N, C] which clients are selected, demands, which are overwritten, and powers, W.
        available: [N, C].
        gain: [N, C, M].
        subchannel_hz: [N, M].
    """
    (worlds, _, subchannels), (assignment, psd) = gain.shape, assigned
    (order, counts, free), (selected, demand, power_w) = workspace, said
    for n in range(worlds):
        assignment[n] = -1
        served = _by_demand(selected[n], available[n], demand[n], order)
        _share_out(order[: min(served, subchannels)], demand[n], subchannels, counts)
        _choose(order[: min(served, subchannels)], gain[n], counts, assignment[n], free)
        spread_power(power_w[n], assignment[n], subchannel_hz[n], demand[n], psd[n])


@kernel(INLINED)
def _by_demand(selected: Bools, available: Bools, demand: Floats, order: Ints) -> int:
    """Fills `order` with selected, available clients, highest demand first (of equals the first); returns how many."""
    count = 0
    for i in range(selected.shape[0]):
        if selected[i] and available[i]:
            at = count
            while at > 0 and demand[order[at - 1]] < demand[i]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = i
            count += 1
    return count


@kernel(INLINED)
def _share_out(order: Ints, demand: Floats, subchannels: int, counts: Ints) -> None:
    """Fills [C] numbers of subchannels in proportion to the demands: at least one each, all of them assigned.

    With fewer subchannels than clients those with the highest demands get one each. One after the other goes to the
    client whose share is the most above what it has. `demand` becomes the shares in subchannels.
    """
    for i in range(counts.shape[0]):
        counts[i] = 0
    total, whole = 0.0, 0
    for i in order:
        total += demand[i]
    for i in order:
        weight = demand[i] / total if total > 0 else 1 / order.shape[0]
        demand[i] = weight * subchannels
        counts[i] = max(int(demand[i]), 1)
        whole += counts[i]
    if whole > subchannels:  # Else those are the first to go, in whichever order.
        whole = order.shape[0]
        for i in order:
            counts[i] = 1
    for _ in range(subchannels - whole if order.shape[0] > 0 else 0):
        neediest, most = -1, -np.inf
        for i in order:
            missing = demand[i] - counts[i]
            more = missing > most
            neediest, most = (i if more else neediest), (missing if more else most)
        counts[neediest] += 1


@kernel(INLINED)
def _choose(order: Ints, gain: Floats, counts: Ints, assignment: Ints, free: Ints) -> None:
    """In rounds, highest demand first, each client takes its best free subchannel until it has its count.

    `free` is [M] workspace.
    """
    left = assignment.shape[0] if order.shape[0] > 0 else 0
    for k in range(left):
        free[k] = k
    while left > 0:
        for i in order:
            if counts[i] > 0:
                at = _best_of(free[:left], gain[i])
                assignment[free[at]] = i
                counts[i] -= 1
                left -= 1
                for later in range(at, left):
                    free[later] = free[later + 1]


@kernel(INLINED)
def _best_of(free: Ints, gain: Floats) -> int:
    """Where in a list of subchannels the one with the highest gain ([M]) stands, the first of several."""
    best, highest = 0, np.int64(-1)
    for at in range(free.shape[0]):
        # Bits of numbers that are not negative are in the order of the numbers, and are compared sooner.
        bits = np.float64(gain[free[at]]).view(np.int64)
        higher = bits > highest
        best, highest = (at if higher else best), (bits if higher else highest)
    return best
