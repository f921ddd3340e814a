"""The full encoding in real numbers: demands for spectrum and power, decoded to a valid decision."""

from collections.abc import Sequence

import numpy as np

from splitgym.allocation.even_split import spread_power
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.codec import BoxCodec
from splitgym.envs.actions.components import (
    ClientPower,
    Continuous,
    CutParts,
    PhiFraction,
    Said,
    SelectionSigns,
    SpectrumDemand,
)
from splitgym.frameworks import Framework
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundState, SystemParameters


class ContinuousCodec(BoxCodec):
    """Cut layer; each client's selection (in: above 0); its demand for spectrum; its power; phi."""

    def parts(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> Sequence[Continuous]:
        """Cuts, selection, demand, power, phi."""
        clients = scenario.clients.count
        return (
            CutParts(system, clients),
            SelectionSigns(clients),
            SpectrumDemand(clients),
            ClientPower(clients, system.client_power_max_w),
            PhiFraction(framework, system.highest_ratio),
        )

    def decide(self, said: Said, state: RoundState) -> Decision:
        """Demands into numbers of subchannels (at least one each), and the best of them for each client.

        Clients that are selected and available choose in the order of their demand, one subchannel in each round of
        choices, always the one with the highest gain that is left. A client's power is spread evenly.
        """
        worlds, clients, subchannels = state.channel_gain.shape
        assignment, psd = np.full((worlds, subchannels), -1), np.empty((worlds, subchannels))
        _assign(
            (assignment, psd),
            np.empty((2, clients), np.int64),
            (said["selected"], said["spectrum_demand"], said["client_power_w"]),
            state.available,
            state.channel_gain,
            state.subchannel_hz,
        )
        return Decision(
            cut_layer=said["cut_layer"],
            assignment=assignment,
            power_w_per_hz=psd,
            selected=said["selected"],
            aggregation_ratio=said["aggregation_ratio"],
            second_cut=said["second_cut"],
        )


@kernel(NO_REFCOUNT)
def _assign(
    assigned: tuple[Ints, Floats],
    workspace: Ints,
    said: tuple[Bools, Floats, Floats],
    available: Bools,
    gain: Floats,
    subchannel_hz: Floats,
) -> None:
    """Subchannels and powers of N worlds.

    Args:
        assigned: [N, M] owners, so far -1, and [N, M] W/Hz; filled.
        workspace: [2, C].
        said: [N, C] which clients are selected, demands, which are overwritten, and powers, W.
        available: [N, C].
        gain: [N, C, M].
        subchannel_hz: [N, M].
    """
    (worlds, _, subchannels), (assignment, psd) = gain.shape, assigned
    (order, counts), (selected, demand, power_w) = workspace, said
    for n in range(worlds):
        served = _by_demand(selected[n], available[n], demand[n], order)
        _share_out(order[: min(served, subchannels)], demand[n], subchannels, counts)
        _choose(order[: min(served, subchannels)], gain[n], counts, assignment[n])
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

    With fewer subchannels than clients those with the highest demands get one each.
    """
    counts[:] = 0
    total = 0.0
    for i in order:
        counts[i] = 1
        total += demand[i]
    for _ in range(subchannels - order.shape[0] if order.shape[0] > 0 else 0):
        neediest, most = -1, -np.inf
        for i in order:
            weight = demand[i] / total if total > 0 else 1 / order.shape[0]
            missing = weight * subchannels - counts[i]
            if missing > most:
                neediest, most = i, missing
        counts[neediest] += 1


@kernel(INLINED)
def _choose(order: Ints, gain: Floats, counts: Ints, assignment: Ints) -> None:
    """In rounds, highest demand first, each client takes its best free subchannel until it has its count."""
    left = np.sum(counts)
    while left > 0:
        for i in order:
            if counts[i] > 0:
                best = -1
                for k in range(assignment.shape[0]):
                    if assignment[k] < 0 and (best < 0 or gain[i, k] > gain[i, best]):
                        best = k
                assignment[best] = i
                counts[i] -= 1
                left -= 1
