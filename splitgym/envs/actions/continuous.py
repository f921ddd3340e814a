"""The full encoding in real numbers: demands for spectrum and power, decoded to a valid decision."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.allocation.even_split import spread_power
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.actions.codec import ActionCodec
from splitgym.frameworks import Framework
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.scenario import Scenario
from splitgym.types import Decision, Plan, RoundState, SystemParameters


class ContinuousCodec(ActionCodec):
    """Box(-1, 1): cut layer; each client's selection (in: above 0); its demand for spectrum; its power; phi.

    Phi spans what the framework allows; the last component is absent with a framework that does not aggregate.
    """

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self._aggregates = framework.aggregates
        entries = self._cuts.entries + 3 * self._clients + int(self._aggregates)
        self.space = spaces.Box(-1.0, 1.0, (entries,), np.float32)

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """Access demands into numbers of subchannels (at least one each), and takes the best for each.

        Clients that are in and available choose in the order of their demand, one subchannel a slot, always the one
        with the highest gain that is left. A client's power, as a share of its budget, is spread evenly.
        """
        worlds, clients, subchannels = state.channel_gain.shape
        cuts = self._cuts.from_shares(actions[:, : self._cuts.entries])
        ratio, selected = np.empty(worlds), np.empty((worlds, clients), np.bool_)
        assignment, psd = np.full((worlds, subchannels), -1), np.empty((worlds, subchannels))
        _decide(
            (selected, assignment, psd, ratio),
            (np.empty((2, clients), np.int64), np.empty((2, clients))),
            np.ascontiguousarray(actions[:, self._cuts.entries :]),
            state.available,
            state.channel_gain,
            state.subchannel_hz,
            self._client_power_max_w,
            self._highest_ratio,
        )
        ratio = cuts.allowed(state.ratio(ratio), selected)
        return Decision(
            cut_layer=cuts.cut_layer,
            assignment=assignment,
            power_w_per_hz=psd,
            selected=selected,
            aggregation_ratio=ratio,
            cluster=clusters_for_unchecked(state, Plan(cuts.cut_layer, ratio), selected),
            second_cut=cuts.second_cut,
        )

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Numbers of subchannels and powers per client stay (in its own slot); which subchannels they are is lost."""
        c = self._clients
        owned = decision.used(state.system.program.access)
        owner = decision.assignment[owned]
        counts = np.bincount(owner, minlength=c)
        ratio = decision.aggregation_ratio / self._highest_ratio if self._highest_ratio > 0 else 0.0
        spent_w = np.bincount(owner, (decision.power_w_per_hz * state.subchannel_hz)[owned], minlength=c)
        parts: list[Any] = [
            decision.selected.astype(float),
            counts / max(int(counts.max(initial=0)), 1),
            np.minimum(spent_w / self._client_power_max_w, 1.0),
            [min(ratio, 1.0)] if self._aggregates else [],
        ]
        shares = 2 * np.concatenate(parts) - 1
        return np.concatenate([self._cuts.to_shares(decision), shares]).astype(np.float32)


@kernel(INLINED)
def _share(component: float) -> float:
    """A component of an action, -1..1, as a share, 0..1."""
    return (np.float64(component) + 1) / 2


@kernel(NO_REFCOUNT)
def _decide(
    decision: tuple[Bools, Ints, Floats, Floats],
    room: tuple[Ints, Floats],
    actions: NDArray[np.float32],
    available: Bools,
    gain: Floats,
    subchannel_hz: Floats,
    power_max_w: float,
    highest_ratio: float,
) -> None:
    """Of N worlds, what the actions [N, ...] say with these gains [N, C, M].

    Fills in the decision: [N, C] who is selected, [N, M] owners (so far -1), [N, M] W/Hz, and [N] phi;
    with room for [2, C] indices and [2, C] numbers.
    """
    (worlds, clients, subchannels), (selected, assignment, psd, ratio) = gain.shape, decision
    (order, counts), (demand, power_w) = room
    for n in range(worlds):
        ratio[n] = _share(actions[n, -1]) * highest_ratio if highest_ratio > 0 else 0.0
        for i in range(clients):
            selected[n, i] = actions[n, i] > 0
            demand[i] = _share(actions[n, clients + i])
            power_w[i] = _share(actions[n, 2 * clients + i]) * power_max_w
        served = _by_demand(selected[n], available[n], demand, order)
        _deal_counts(order[: min(served, subchannels)], demand, subchannels, counts)
        _choose(order[: min(served, subchannels)], gain[n], counts, assignment[n])
        spread_power(power_w, assignment[n], subchannel_hz[n], demand, psd[n])


@kernel(INLINED)
def _by_demand(selected: Bools, available: Bools, demand: Floats, order: Ints) -> int:
    """Fills `order` with those who take part, highest demand first (of equal ones the first); returns how many."""
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
def _deal_counts(order: Ints, demand: Floats, subchannels: int, counts: Ints) -> None:
    """Fills [C] numbers of subchannels in proportion to the demands: at least one each, all of them dealt out.

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
    """In turns, highest demand first, each client takes its best free subchannel until it has its count."""
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
