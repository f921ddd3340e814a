"""How clients train in a round."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.phases import aggregated_rows, rows_of_ratio
from splitgym.frameworks.plans import Shape, plan_index
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.types.state import RoundState, SystemParameters


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
    """1..L-1, or 0: that of the scenario; where it may be decided, the first that the cut layer allows."""
    codec: Any = 0
    """Index in the scenario's list, or [C]."""
    precision: Any = 0
    """Likewise."""
    averaging: Any = 0
    """Whether the round ends with the mean of clients' parts."""

    def indices(self, state: RoundState) -> Ints:
        """[1] index of the common plan in the system's grid, or [C] that of each client; of a batch [N, 1], [N, C]."""
        worlds, grid = len(state.channel_gain) if state.batched else 1, state.system.program.plans
        own = [_of_worlds(factor, worlds, np.int64) for factor in (self.cut_layer, self.codec, self.precision)]
        plans = np.empty((worlds, max(factor.shape[1] for factor in own)), np.int64)
        _fill_indices(
            grid.shape,
            state.system.batch_size,
            own[0],
            _of_worlds(self.aggregation_ratio, worlds, np.float64),
            _of_worlds(grid.place_of(self.second_cut), worlds, np.int64),
            own[1],
            own[2],
            plans,
        )
        if grid.ways > 1:
            plans += grid.first_in_way(state.way(self.averaging))
        return plans if state.batched else plans[0]

    def world(self, index: int) -> "Plan":
        """One world of a batch; a number without an axis is that of all worlds."""
        factors = (getattr(self, name) for name in FACTORS)
        return Plan(*(factor if np.ndim(factor) == 0 else factor[index] for factor in factors))


def common_plans(system: SystemParameters, aggregation_ratio: float) -> list[Plan]:
    """All plans with this phi and the first codec that are common to all clients and differ in what they do."""
    grid = system.program.plans
    found = grid.candidates(aggregated_rows(aggregation_ratio, system.batch_size))
    cuts = zip(grid.cut_layer[found].tolist(), grid.second_cut[found].tolist(), strict=True)
    return [Plan(cut, aggregation_ratio, second) for cut, second in cuts]


FACTORS = tuple(field.name for field in fields(Plan))
"""Names of the factors of a plan."""


def _of_worlds(factor: Any, worlds: int, dtype: type[np.number]) -> NDArray[Any]:
    """[N, 1] a factor's value in each world, or [N, C] those of the clients; [1, 1] one for all."""
    values = np.ascontiguousarray(factor, dtype)
    return values.reshape(1 if values.size == 1 else worlds, -1)


@kernel(INLINED)
def _at(factor: NDArray[Any], n: int, c: int) -> Any:
    """What `_of_worlds` has of a client in a world."""
    return factor[min(n, factor.shape[0] - 1), min(c, factor.shape[1] - 1)]


@kernel(NO_REFCOUNT)
def _fill_indices(
    shape: Shape,
    batch_size: int,
    cut_layer: Ints,
    aggregation_ratio: Floats,
    second_cut: Ints,
    codec: Ints,
    precision: Ints,
    plans: Ints,
) -> None:
    """[N, 1] or [N, C] indices in a grid of that shape; factors as `_of_worlds` gives them, second cuts by place."""
    for n in range(plans.shape[0]):
        rows = int(rows_of_ratio(_at(aggregation_ratio, n, 0), batch_size))
        for c in range(plans.shape[1]):
            coded, bits = _at(codec, n, c), _at(precision, n, c)
            plans[n, c] = plan_index(shape, _at(cut_layer, n, c), rows, _at(second_cut, n, 0), coded, bits)
