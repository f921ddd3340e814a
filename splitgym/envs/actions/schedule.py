"""The compact encoding: who takes part, cut layer, phi; subchannels and power by the paper's greedy inside."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.descent.descent import allocate_unchecked
from splitgym.arrays import Bools
from splitgym.envs.actions.codec import ActionCodec, in_or_out_masks, nearest
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, Plan, RoundState, SystemParameters


class ScheduleCodec(ActionCodec):
    """MultiDiscrete: cut layer - 1; each client out (0) or in (1); index of the phi level.

    Where clients have cut layers of their own there is one for each; where the second cut is decided, it follows.
    """

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        cuts, in_or_out = [self._cuts.cut_layers] * self._cuts.entries, [2] * self._clients
        self.space = spaces.MultiDiscrete([*cuts, *in_or_out, len(self.aggregation_levels)])

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """Greedy subchannels and exact power control for what the actions say."""
        first, selected = self._cuts.entries, actions[:, self._cuts.entries : -1].astype(bool)
        cuts = self._cuts.from_levels(actions[:, :first])
        ratio = cuts.allowed(state.ratio(self.aggregation_levels[actions[:, -1]]), selected)
        return allocate_unchecked(state, Plan(cuts.cut_layer, ratio, cuts.second_cut), selected)

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Subchannels and powers of the decision are lost: decoding allocates anew."""
        phi = nearest(self.aggregation_levels, decision.aggregation_ratio)
        return np.concatenate([self._cuts.to_levels(decision), decision.selected, [phi]]).astype(np.int64)

    def masks(self, available: Bools) -> Bools:
        """Who is away cannot come in."""
        worlds = len(available)
        cuts, phi = np.ones((worlds, self._cuts.values), bool), np.ones((worlds, len(self.aggregation_levels)), bool)
        return np.concatenate([cuts, in_or_out_masks(available), phi], axis=1)
