"""The plan of a round: how a client trains in it, and all plans that a framework and a scenario allow."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Ints
from splitgym.kernels import INLINED, kernel

Shape = tuple[int, int, int, int, int, int]
"""Numbers of values of the factors of a plan: batch size, cut layer, aggregated rows, second cut, codec, precision."""
AXES_BEHIND = 1 + len(get_args(Shape))
"""Of tables over all plans, behind that of placements: ways, and the factors of `Shape`."""


@dataclass(frozen=True)
class PlanGrid:
    """All plans, the product of the values of their factors; a plan is known by its index 0..G-1.

    A factor that nobody decides has one value.
    """

    cut_layers: int
    """Cut layers 1..L-1; where clients hold tails, so many that a unit is left to the server."""
    row_counts: int = 1
    """Numbers of aggregated rows 0..b of the largest mini-batch, or 1: always 0."""
    second_cuts: int = 1
    """Second cuts, see `second_values`; or 1: that of the scenario, if there is one."""
    codecs: int = 1
    """Codecs of the scenario's list."""
    precisions: int = 1
    """Numbers of bits, with the part of the channels, of the scenario's list."""
    cut_by_client: bool = False
    """Whether clients may have different cut layers, with phi = 0."""
    codec_by_client: bool = False
    """Whether clients may have different codecs, with phi = 0."""
    precision_by_client: bool = False
    """Whether clients may have different precisions, with phi = 0."""
    codecs_without_broadcast: tuple[int, ...] = ()
    """Codecs whose gradients differ from client to client and cannot be sent to all at once, so that phi is 0."""
    ways: int = 1
    """Ways in which models go between clients and fed server, which the round says and no plan: see
    `splitgym.frameworks.exchange`; 1: in every round the same."""
    tails: bool = False
    """Whether clients train what is behind the second cut, so that a second cut lies behind the cut layer."""
    batches: int = 1
    """Batch sizes, one after the other; or 1: that of the scenario."""
    smallest_batch: int = 0
    """The first of them; 0: nobody decides it."""
    batch_by_client: bool = False
    """Whether clients may have different batch sizes, with phi = 0."""
    placements: int = 1
    """Placements of the units behind the cut to choose from, see `splitgym.frameworks.placements`; 1: nobody does."""

    @property
    def largest_batch(self) -> int:
        """The last batch size; 0: nobody decides it."""
        return self.smallest_batch + self.batches - 1 if self.smallest_batch else 0

    @property
    def second_values(self) -> Ints:
        """[S] second cuts to choose from: 1..L-1, behind which there is a server; 2..L-1 where clients hold tails."""
        return np.arange(1, self.second_cuts + 1) + self.tails

    def second_of(self, cut_layer: Any, second_cut: Any) -> Any:
        """Last unit in front of the second cut, whatever a plan says.

        Args:
            cut_layer: Of the plan.
            second_cut: Of the plan; 0, or in front of what is allowed: the first that is.
        """
        if self.tails and self.second_cuts == 1:
            return np.full_like(cut_layer, self.cut_layers + 1)[()]
        return np.maximum(second_cut, np.asarray(cut_layer) + self.tails)

    @cached_property
    def shape(self) -> Shape:
        """Values of each factor; index order is row-major."""
        return self.batches, self.cut_layers, self.row_counts, self.second_cuts, self.codecs, self.precisions

    @property
    def table_shape(self) -> tuple[int, ...]:
        """Of tables over all plans: under each placement, in rounds of each way, one after the other."""
        return (self.placements, self.ways, *self.shape)

    def first_in_way(self, way: Any) -> Ints:
        """Index of the first plan in rounds of that way, [N, 1] of N numbers; what `index` gives comes on top."""
        return np.reshape(way, (-1, 1)) * prod(self.shape)

    def first_under(self, placement: Any) -> Ints:
        """Index of the first plan under that placement, [N, 1] of N numbers, likewise."""
        return np.reshape(placement, (-1, 1)) * (self.ways * prod(self.shape))

    def index(
        self,
        cut_layer: Any,
        aggregated_rows: Any,
        second_cut: Any = 0,
        codec: Any = 0,
        precision: Any = 0,
        batch_size: Any = 0,
    ) -> Ints:
        """Index of a plan, or of many.

        Args:
            cut_layer: 1..L-1.
            aggregated_rows: m = ceil(phi b); this and the next do not matter where nobody decides them.
            second_cut: One of `second_values`; 0: the first that the cut layer allows.
            codec: Its index in the scenario's list.
            precision: Likewise.
            batch_size: One of those there are; it does not matter where nobody decides it.
        """
        batch = np.asarray(batch_size) - self.smallest_batch
        values = (batch, cut_layer, aggregated_rows, self.place_of(second_cut), codec, precision)
        return np.asarray(_index(self.shape, *(np.asarray(value, np.int64) for value in values)), np.int64)

    def place_of(self, second_cut: Any) -> Any:
        """Places of second cuts among `second_values`, counted from 1; 0 stays 0."""
        return np.maximum(np.asarray(second_cut) - 1, 0) if self.tails else second_cut

    @cached_property
    def cut_layer(self) -> Ints:
        """[G] cut layer of each plan."""
        return self._values[1] + 1

    @cached_property
    def second_cut(self) -> Ints:
        """[G] second cut of each plan, not in front of what its cut layer allows; 0: nobody decides it."""
        if self.second_cuts == 1:
            return np.zeros_like(self.cut_layer)
        second: Ints = self.second_of(self.cut_layer, self.second_values[self._values[3]])
        return second

    @cached_property
    def codec(self) -> Ints:
        """[G] codec of each plan, its index in the scenario's list."""
        return self._values[4]

    @cached_property
    def precision(self) -> Ints:
        """[G] precision of each plan, its index in the scenario's list."""
        return self._values[5]

    @cached_property
    def batch_size(self) -> Ints:
        """[G] batch size of each plan; 0: nobody decides it."""
        return self._values[0] + self.smallest_batch

    @cached_property
    def placement(self) -> Ints:
        """[G] placement of each plan, its index."""
        return np.repeat(np.arange(self.placements), self.ways * prod(self.shape))

    def holding(self, codec: int, batch_size: int | None) -> "PlanGrid":
        """The grid with this codec, one precision and placement, and where it is decided this batch size; None: any."""
        held = replace(
            self,
            codecs=1,
            precisions=1,
            placements=1,
            codec_by_client=False,
            precision_by_client=False,
            codecs_without_broadcast=(0,) if codec in self.codecs_without_broadcast else (),
        )
        if batch_size is None or not self.smallest_batch:
            return held
        return replace(held, batches=1, smallest_batch=batch_size, batch_by_client=False)

    def holds(self, codec: int, precision: int, batch_size: int | None, placement: int = 0) -> Bools:
        """[G] which plans have these choices and, where it is decided, this batch size; None: any."""
        chosen: Bools = (self.codec == codec) & (self.precision == precision) & (self.placement == placement)
        return chosen if batch_size is None or not self.smallest_batch else chosen & (self.batch_size == batch_size)

    def by_cut(self, values: NDArray[Any]) -> NDArray[Any]:
        """[L - 1, G / (L - 1)] what plans have, [G], by their cut layer."""
        return np.moveaxis(values.reshape(self.table_shape), 3, 0).reshape(self.cut_layers, -1)

    @cached_property
    def _values(self) -> Ints:
        """[F, G] which value of each factor a plan has."""
        return np.tile(np.indices(self.shape).reshape(len(self.shape), -1), self.placements * self.ways)

    def candidates(self, aggregated_rows: Any, codec: Any = 0, precision: Any = 0, batch_size: Any = 0) -> Ints:
        """[..., K] the plans with so many aggregated rows, and these choices, that differ in what they do.

        A second cut in front of what the cut layer allows is the same as the first that it allows.

        Args:
            aggregated_rows: Of one world, or of each.
            codec: Likewise.
            precision: Likewise.
            batch_size: Likewise, one of those there are; it does not matter where nobody decides it.
        """
        found: Ints = self._candidates[aggregated_rows * (self.row_counts > 1), codec, precision]
        if self.batches == 1:
            return found
        return found + (np.asarray(batch_size)[..., None] - self.smallest_batch) * prod(self.shape[1:])

    @cached_property
    def _candidates(self) -> Ints:
        """[R, codecs, precisions, K] `candidates` with each of these, and with the smallest batch size."""
        cuts, seconds = np.meshgrid(np.arange(1, self.cut_layers + 1), self.second_values, indexing="ij")
        different = (seconds >= cuts + self.tails) | (self.second_cuts == 1)
        rows, codecs, precisions = np.ogrid[: self.row_counts, : self.codecs, : self.precisions]
        found = self.index(
            cuts[different],
            rows[..., None],
            seconds[different],
            codecs[..., None],
            precisions[..., None],
            self.smallest_batch,
        )
        return np.array(np.broadcast_to(found, (self.row_counts, self.codecs, self.precisions, found.shape[-1])))


def _index(
    shape: Shape, batch: Any, cut_layer: Any, aggregated_rows: Any, second_cut: Any, codec: Any, precision: Any
) -> Any:
    """`batch`: place of the batch size among those there are, from 0; it does not matter where nobody decides it."""
    index = cut_layer - 1
    if shape[0] > 1:
        index = index + batch * shape[1]
    if shape[2] > 1:
        index = index * shape[2] + aggregated_rows
    if shape[3] > 1:
        # 0 stands for the first.
        index = index * shape[3] + second_cut - (second_cut > 0)
    if shape[4] > 1:
        index = index * shape[4] + codec
    if shape[5] > 1:
        index = index * shape[5] + precision
    return index


plan_index = kernel(INLINED)(_index)
"""`PlanGrid.index` in a grid of that `shape`, for kernels: of whole numbers."""
