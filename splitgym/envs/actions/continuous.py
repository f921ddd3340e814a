"""The full encoding in real numbers: demands for spectrum and power, decoded to a valid decision."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation import clusters_for, spread_power
from splitgym.envs.actions.codec import ActionCodec
from splitgym.frameworks import Framework
from splitgym.rounds import Decision, RoundState, System
from splitgym.scenario import Scenario

Floats = NDArray[np.float64]


class ContinuousCodec(ActionCodec):
    """Box(-1, 1): cut layer; each client's selection (in: above 0); its demand for spectrum; its power; phi.

    Phi spans what the framework allows; the last component is absent with a framework that does not aggregate.
    """

    def __init__(self, scenario: Scenario, system: System, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self._aggregates = framework.aggregates
        self.space = spaces.Box(-1.0, 1.0, (1 + 3 * self._clients + int(self._aggregates),), np.float32)

    def decode(self, action: NDArray[Any], state: RoundState) -> Decision:
        """Turns demands into numbers of subchannels (at least one each), and takes the best for each.

        Clients that are in and available choose in the order of their demand, one subchannel a turn, always the one
        with the highest gain that is left. A client's power, as a share of its budget, is spread evenly.
        """
        share = (action.astype(np.float64) + 1) / 2
        c = self._clients
        selected = action[1 : 1 + c] > 0
        demand, power = share[1 + c : 1 + 2 * c], share[1 + 2 * c : 1 + 3 * c]
        counts = _counts(demand, selected & state.available, self._subchannels)
        assignment = _choose(state.channel_gain, counts, demand)
        cut_layer = 1 + min(int(share[0] * self._cuts), self._cuts - 1)
        ratio = state.ratio(float(share[-1]) * self._highest_ratio if self._aggregates else 0.0)
        return Decision(
            cut_layer=cut_layer,
            assignment=assignment,
            power_w_per_hz=spread_power(power * self._client_power_max_w, assignment, self._subchannel_hz),
            selected=selected,
            aggregation_ratio=ratio,
            cluster=clusters_for(state, cut_layer, selected, ratio),
        )

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Numbers of subchannels and powers per client stay (in its own turn); which subchannels they are is lost."""
        c = self._clients
        owned = decision.used(state.system.program.turns)
        owner = decision.assignment[owned]
        counts = np.bincount(owner, minlength=c)
        ratio = decision.aggregation_ratio / self._highest_ratio if self._highest_ratio > 0 else 0.0
        spent_w = np.bincount(owner, (decision.power_w_per_hz * self._subchannel_hz)[owned], minlength=c)
        parts: list[Any] = [
            [(decision.cut_layer - 0.5) / self._cuts],
            decision.selected.astype(float),
            counts / max(int(counts.max(initial=0)), 1),
            np.minimum(spent_w / self._client_power_max_w, 1.0),
            [min(ratio, 1.0)] if self._aggregates else [],
        ]
        return (2 * np.concatenate(parts) - 1).astype(np.float32)


def _counts(demand: Floats, takes_part: NDArray[np.bool_], subchannels: int) -> NDArray[np.int64]:
    """[C] numbers of subchannels in proportion to the demands: at least one each, all of them dealt out.

    With fewer subchannels than clients those with the highest demands get one each.
    """
    counts = np.zeros(len(demand), np.int64)
    clients = np.flatnonzero(takes_part)
    clients = clients[np.argsort(-demand[clients], kind="stable")][:subchannels]
    if len(clients) == 0:
        return counts
    counts[clients] = 1
    weights = demand[clients]
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(clients), 1 / len(clients))
    while counts.sum() < subchannels:
        missing = weights * subchannels - counts[clients]
        counts[clients[missing.argmax()]] += 1
    return counts


def _choose(gain: Floats, counts: NDArray[np.int64], demand: Floats) -> NDArray[np.int64]:
    """[M] owners: in turns, highest demand first, each client takes its best free subchannel until it has its count."""
    assignment = np.full(gain.shape[1], -1)
    free = np.ones(gain.shape[1], bool)
    left = counts.copy()
    order = np.argsort(-demand, kind="stable")
    while left.any():
        for client in order[left[order] > 0]:
            best = int(np.where(free, gain[client], -np.inf).argmax())
            assignment[best], free[best] = client, False
            left[client] -= 1
    return assignment
