"""How clients train in a round."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from splitgym.arrays import Ints
from splitgym.frameworks.phases import aggregated_rows
from splitgym.types.state import RoundState


@dataclass(frozen=True)
class Plan:
    """How clients train in a round. Shapes are those of one world; a batch has a leading axis N.

    Fields are as in `Decision`.
    """

    cut_layer: Any
    """1..L-1, or [C]."""
    aggregation_ratio: Any = 0.0
    """phi."""
    second_cut: Any = 0
    """1..L-1, or 0: that of the scenario; where it may be decided, the cut layer."""

    def indices(self, state: RoundState) -> Ints:
        """[1] index of the common plan in the system's grid, or [C] that of each client; of a batch [N, 1], [N, C]."""
        rows = np.asarray(aggregated_rows(self.aggregation_ratio, state.system.batch_size))
        grid = state.system.program.plans
        if state.batched and grid.second_cuts == 1 and type(self.cut_layer) is np.ndarray and self.cut_layer.ndim == 1:
            # As below, for the common case, in a fraction of the time.
            return grid.index(self.cut_layer, rows)[:, None]
        cuts, second = np.asarray(self.cut_layer), np.asarray(self.second_cut)
        if cuts.ndim <= state.batched:
            cuts = cuts[..., None]
        plans = grid.index(cuts, rows[..., None], second[..., None])
        if state.batched and plans.ndim == 1:
            return np.repeat(plans[None], len(state.channel_gain), axis=0)
        return plans

    def world(self, index: int) -> "Plan":
        """One world of a batch; a number without an axis is that of all worlds."""
        factors = (self.cut_layer, self.aggregation_ratio, self.second_cut)
        return Plan(*(factor if np.ndim(factor) == 0 else factor[index] for factor in factors))
