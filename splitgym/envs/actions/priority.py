"""What every client is worth: the set that is worth most for its time, and what it gets, are worked out exactly."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.descent.descent import allocate_unchecked
from splitgym.allocation.selection.utility import best_utility_unchecked
from splitgym.envs.actions.codec import ActionCodec
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.types import Decision, Plan, RoundState, SystemParameters

HIGHEST_WORTH = 8.0
"""Of a client; an ordinary one is worth 1, the least 1 / 8."""


class PriorityCodec(ActionCodec):
    """Box(-1, 1): cut layer; worth of each client; patience; phi.

    Where clients have cut layers of their own there is one for each; where the second cut is decided, it follows.

    A client at a is worth 8^a, at -1 nothing. Patience p is 1 + its component: the clients in are those of the largest
    sum of worth over T^p, T the expected latency of their round (see `best_utility`); subchannels and power are the
    descent's. Phi is 0 up to 0, from there to 1 what the framework allows; its component is absent with a framework
    that does not aggregate.
    """

    def __init__(self, scenario: Scenario, system: SystemParameters, framework: Framework) -> None:
        super().__init__(scenario, system, framework)
        self._aggregates = framework.aggregates
        self.space = spaces.Box(
            -1.0, 1.0, (self._cuts.entries + self._clients + 1 + int(self._aggregates),), np.float32
        )

    def decode(self, actions: NDArray[Any], state: RoundState) -> Decision:
        """Searches the set of clients, then allocates."""
        cuts = self._cuts.from_shares(actions[:, : self._cuts.entries])
        values, c = actions[:, self._cuts.entries :].astype(np.float64), self._clients
        worth = np.where(values[:, :c] > -1, HIGHEST_WORTH ** values[:, :c], 0.0)
        phi = np.maximum(values[:, -1], 0.0) * self._highest_ratio if self._aggregates else np.zeros(len(values))
        ratio = cuts.allowed(state.ratio(phi), worth > 0)
        selected = best_utility_unchecked(state, worth, 1 + values[:, c], Plan(cuts.cut_layer, ratio))
        return allocate_unchecked(state, Plan(cuts.cut_layer, ratio, cuts.second_cut), selected)

    def encode(self, decision: Decision, state: RoundState) -> NDArray[Any]:
        """Worth for those who are in, none for the others, no patience needed; subchannels and powers are lost."""
        ratio = decision.aggregation_ratio / self._highest_ratio if self._highest_ratio > 0 else 0.0
        parts: list[Any] = [
            self._cuts.to_shares(decision),
            np.where(decision.selected, 0.0, -1.0),
            [-1.0],
            [min(ratio, 1.0)] if self._aggregates else [],
        ]
        return np.concatenate(parts).astype(np.float32)
