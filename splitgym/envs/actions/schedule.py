"""The compact encoding: who takes part, cut layer, phi; subchannels and power by the paper's greedy inside."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.descent import allocate_unchecked
from splitgym.envs.actions.codec import ActionCodec, in_or_out_masks, nearest
from splitgym.frameworks import Framework
from splitgym.rounds import Decision, RoundState, System
from splitgym.scenario import Scenario


class ScheduleCodec(ActionCodec):
    """MultiDiscrete: cut layer - 1; each client out (0) or in (1); index of the phi level."""

    def __init__(self, scenario: Scenario, system: System, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self.space = spaces.MultiDiscrete([self._cuts, *[2] * self._clients, len(self.aggregation_levels)])

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """Greedy subchannels and exact power control for what the actions say."""
        ratio = state.ratio(self.aggregation_levels[actions[:, -1]])
        return allocate_unchecked(state, actions[:, 0] + 1, actions[:, 1:-1].astype(bool), ratio)

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Subchannels and powers of the decision are lost: decoding allocates anew."""
        phi = nearest(self.aggregation_levels, decision.aggregation_ratio)
        return np.concatenate([[decision.cut_layer - 1], decision.selected, [phi]]).astype(np.int64)

    def masks(self, available: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Who is away cannot come in."""
        worlds = len(available)
        cuts, phi = np.ones((worlds, self._cuts), bool), np.ones((worlds, len(self.aggregation_levels)), bool)
        return np.concatenate([cuts, in_or_out_masks(available), phi], axis=1)
