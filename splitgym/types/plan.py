"""How clients train in a round."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.phases import rows_of_ratio
from splitgym.frameworks.plans import plan_index
from splitgym.kernels import NO_REFCOUNT, kernel
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
        worlds = len(state.channel_gain) if state.batched else 1
        cuts = _of_worlds(self.cut_layer, worlds, np.int64)
        plans = np.empty(cuts.shape, np.int64)
        _fill_indices(
            state.system.program.plans.shape,
            state.system.batch_size,
            cuts,
            _of_worlds(self.aggregation_ratio, worlds, np.float64),
            _of_worlds(self.second_cut, worlds, np.int64),
            plans,
        )
        return plans if state.batched else plans[0]

    def world(self, index: int) -> "Plan":
        """One world of a batch; a number without an axis is that of all worlds."""
        factors = (self.cut_layer, self.aggregation_ratio, self.second_cut)
        return Plan(*(factor if np.ndim(factor) == 0 else factor[index] for factor in factors))


def _of_worlds(factor: Any, worlds: int, dtype: type[np.number]) -> NDArray[Any]:
    """[N, 1] a factor's value in each world, or [N, C] those of the clients."""
    values = np.ascontiguousarray(factor, dtype)
    return (np.repeat(values, worlds) if values.size == 1 else values).reshape(worlds, -1)


@kernel(NO_REFCOUNT)
def _fill_indices(
    shape: tuple[int, int, int],
    batch_size: int,
    cut_layer: Ints,
    aggregation_ratio: Floats,
    second_cut: Ints,
    plans: Ints,
) -> None:
    """[N, 1] or [N, C] indices in a grid of that shape, as the cut layers are; phi and second cuts are [N, 1]."""
    for n in range(plans.shape[0]):
        rows = int(rows_of_ratio(aggregation_ratio[n, 0], batch_size))
        for c in range(plans.shape[1]):
            plans[n, c] = plan_index(shape, cut_layer[n, c], rows, second_cut[n, 0])
