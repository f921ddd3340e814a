"""How clients train in a round."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.plans import Shape, plan_index
from splitgym.frameworks.rows import aggregated_rows, rows_of_ratio
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.types.state import RoundState
from splitgym.types.system import SystemParameters


class Plan(NamedTuple):
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
    batch_size: Any = 0
    """Samples of a client's mini-batch, or [C]; 0: as the state prescribes it, or else that of the scenario."""
    placement: Any = 0
    """Index among the placements."""

    def indices(self, state: RoundState) -> Ints:
        """[1] index of the common plan in the system's grid, or [C] that of each client; of a batch [N, 1], [N, C]."""
        worlds, grid = len(state.channel_gain) if state.batched else 1, state.system.program.plans
        cut_layer, codec = of_worlds(self.cut_layer, worlds), of_worlds(self.codec, worlds)
        precision, batch_size = of_worlds(self.precision, worlds), of_worlds(self.sizes(state), worlds)
        clients = max(cut_layer.shape[1], codec.shape[1], precision.shape[1], batch_size.shape[1])
        plans = np.empty((worlds, clients), np.int64)
        _fill_indices(
            grid.shape,
            grid.smallest_batch,
            cut_layer,
            of_worlds(self.aggregation_ratio, worlds, np.float64),
            of_worlds(grid.place_of(self.second_cut), worlds),
            codec,
            precision,
            batch_size,
            plans,
        )
        if grid.ways > 1:
            plans += grid.first_in_way(state.way(self.averaging))
        if grid.placements > 1:
            plans += grid.first_under(self.placement)
        return plans if state.batched else plans[0]

    def sizes(self, state: RoundState) -> Any:
        """Batch sizes of the plan: one for all, of each client ([C]), or of a batch [N] or [N, C]."""
        system, said = state.system, self.batch_size
        if not system.program.plans.smallest_batch:
            return system.batch_size
        prescribed = state.prescribed_batch_size
        if np.any(prescribed):
            own = np.asarray(said)
            own = own if own.ndim == prescribed.ndim else own[..., None]
            said = np.where(own > 0, own, prescribed)
        return np.where(np.asarray(said) > 0, said, system.batch_size)

    def world(self, index: int) -> "Plan":
        """One world of a batch; a number without an axis is that of all worlds."""
        return Plan(*(factor if np.ndim(factor) == 0 else factor[index] for factor in self))


def common_plans(system: SystemParameters, aggregation_ratio: float) -> list[Plan]:
    """All plans with this phi, the first codec and the usual batch size for all clients that differ in what they do."""
    grid = system.program.plans
    found = grid.candidates(aggregated_rows(aggregation_ratio, system.batch_size), batch_size=system.batch_size)
    cuts = zip(grid.cut_layer[found].tolist(), grid.second_cut[found].tolist(), strict=True)
    return [Plan(cut, aggregation_ratio, second) for cut, second in cuts]


FACTORS = Plan._fields
"""Names of the factors of a plan."""


def of_worlds(factor: Any, worlds: int, dtype: Any = np.int64) -> NDArray[Any]:
    """[N, 1] what was decided in each world, or [N, C] for each client; [1, 1] for all, and then not to be changed."""
    if type(factor) is int or type(factor) is float:
        return _of_all(factor, dtype)
    values = np.ascontiguousarray(factor, dtype)
    return values.reshape(1 if values.size == 1 else worlds, -1)


@cache
def _of_all(factor: float, dtype: Any) -> NDArray[Any]:
    """[1, 1] of one for all."""
    return np.full((1, 1), factor, dtype)


@kernel(INLINED)
def _at(factor: NDArray[Any], n: int, c: int) -> Any:
    """What `of_worlds` has of a client in a world."""
    return factor[min(n, factor.shape[0] - 1), min(c, factor.shape[1] - 1)]


@kernel(NO_REFCOUNT)
def _fill_indices(
    shape: Shape,
    smallest_batch: int,
    cut_layer: Ints,
    aggregation_ratio: Floats,
    second_cut: Ints,
    codec: Ints,
    precision: Ints,
    batch_size: Ints,
    plans: Ints,
) -> None:
    """[N, 1] or [N, C] indices in a grid of that shape; factors as `of_worlds` gives them, second cuts by place."""
    for n in range(plans.shape[0]):
        ratio, second = _at(aggregation_ratio, n, 0), _at(second_cut, n, 0)
        for c in range(plans.shape[1]):
            size, coded, bits = _at(batch_size, n, c), _at(codec, n, c), _at(precision, n, c)
            rows = int(rows_of_ratio(ratio, size))
            plans[n, c] = plan_index(shape, size - smallest_batch, _at(cut_layer, n, c), rows, second, coded, bits)
