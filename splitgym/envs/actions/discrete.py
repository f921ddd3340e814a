"""The full encoding in discrete steps: every subchannel's owner and power level are chosen."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.arrays import Bools
from splitgym.envs.actions.codec import ActionCodec, in_or_out_masks, nearest
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, Plan, RoundState, SystemParameters


class DiscreteCodec(ActionCodec):
    """MultiDiscrete: cut layer - 1; owner of each subchannel; its power level; each client out or in; phi level.

    Where clients have cut layers of their own there is one for each; where the second cut is decided, it follows.
    Owner C means unused. A power level is a share of the client's whole power budget, put on that one subchannel.
    """

    decides_subchannels = True

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self._power_levels = np.array(scenario.actions.power_levels)
        owners = [self._clients + 1] * self._subchannels
        powers = [len(self._power_levels)] * self._subchannels
        self.space = spaces.MultiDiscrete(
            [
                *[self._cuts.cut_layers] * self._cuts.entries,
                *owners,
                *powers,
                *[2] * self._clients,
                len(self.aggregation_levels),
            ]
        )

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """Reads every part as it stands; clusters are formed where the framework has them."""
        first, m = self._cuts.entries, self._subchannels
        owner, level = actions[:, first : first + m], actions[:, first + m : first + 2 * m]
        cuts, selected = self._cuts.from_levels(actions[:, :first]), actions[:, first + 2 * m : -1].astype(bool)
        ratio = cuts.allowed(state.ratio(self.aggregation_levels[actions[:, -1]]), selected)
        return Decision(
            cut_layer=cuts.cut_layer,
            assignment=np.where(owner == self._clients, -1, owner),
            power_w_per_hz=self._power_levels[level] * self._client_power_max_w / state.subchannel_hz,
            selected=selected,
            aggregation_ratio=ratio,
            cluster=clusters_for_unchecked(state, Plan(cuts.cut_layer, ratio), selected),
            second_cut=cuts.second_cut,
        )

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Powers and phi go to their nearest levels; of several bands the first to use a subchannel counts for it."""
        assignment, power_w_per_hz = decision.assignment, decision.power_w_per_hz
        if decision.by_slot:
            used = decision.used(state.system.program.access)
            first = used.argmax(0), np.arange(self._subchannels)
            assignment, power_w_per_hz = np.where(used.any(0), assignment[first], -1), power_w_per_hz[first]
        owner = np.where(assignment < 0, self._clients, assignment)
        share = power_w_per_hz * state.subchannel_hz / self._client_power_max_w
        level = nearest(self._power_levels, share)
        phi = nearest(self.aggregation_levels, decision.aggregation_ratio)
        parts: list[Any] = [self._cuts.to_levels(decision), owner, level, decision.selected, [phi]]
        return np.concatenate(parts).astype(np.int64)

    def masks(self, available: Bools) -> Bools:
        """Who is away owns no subchannel and cannot come in."""
        m, worlds = self._subchannels, len(available)
        owner = np.concatenate([available, np.ones((worlds, 1), bool)], axis=1)
        free = np.ones((worlds, m * len(self._power_levels)), bool)
        cuts, phi = np.ones((worlds, self._cuts.values), bool), np.ones((worlds, len(self.aggregation_levels)), bool)
        return np.concatenate([cuts, np.tile(owner, m), free, in_or_out_masks(available), phi], axis=1)
