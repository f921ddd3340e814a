"""The compact encoding: who takes part, cut layer, phi; subchannels and power by the paper's greedy inside."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation import allocate
from splitgym.envs.actions.codec import ActionCodec, in_or_out_masks, nearest
from splitgym.frameworks import Framework
from splitgym.rounds import Decision, RoundState, System
from splitgym.scenario import Scenario


class ScheduleCodec(ActionCodec):
    """MultiDiscrete: cut layer - 1; each client out (0) or in (1); index of the phi level."""

    def __init__(self, scenario: Scenario, system: System, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self.space = spaces.MultiDiscrete([self._cuts, *[2] * self._clients, len(self.aggregation_levels)])

    def decode(self, action: NDArray[Any], state: RoundState) -> Decision:
        """Greedy subchannels and exact power control for what the action says."""
        selected = action[1:-1].astype(bool)
        ratio = state.ratio(float(self.aggregation_levels[action[-1]]))
        return allocate(state, int(action[0]) + 1, selected, ratio)

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Subchannels and powers of the decision are lost: decoding allocates anew."""
        phi = nearest(self.aggregation_levels, decision.aggregation_ratio)
        return np.concatenate([[decision.cut_layer - 1], decision.selected, [phi]]).astype(np.int64)

    def masks(self, state: RoundState) -> NDArray[np.bool_]:
        """Flat mask: who is away cannot come in."""
        phi = np.ones(len(self.aggregation_levels), bool)
        return np.concatenate([np.ones(self._cuts, bool), in_or_out_masks(state), phi])
