"""The plan of a round: how a client trains in it, and all plans that a framework and a scenario allow."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitgym.arrays import Ints
from splitgym.kernels import INLINED, kernel

Shape = tuple[int, int, int, int, int]
"""Numbers of values of the factors of a plan: cut layer, aggregated rows, second cut, codec, precision."""


@dataclass(frozen=True)
class PlanGrid:
    """All plans, the product of the values of their factors; a plan is known by its index 0..G-1.

    A factor that nobody decides has one value.
    """

    cut_layers: int
    """Cut layers 1..L-1."""
    row_counts: int = 1
    """Numbers of aggregated rows 0..b, or 1: always 0."""
    second_cuts: int = 1
    """Second cuts 1..L-1, or 1: that of the scenario, if there is one."""
    codecs: int = 1
    """Codecs of the scenario's list."""
    precisions: int = 1
    """Numbers of bits of the scenario's list."""
    cut_by_client: bool = False
    """Whether clients may have different cut layers, with phi = 0."""
    codec_by_client: bool = False
    """Whether clients may have different codecs, with phi = 0."""
    precision_by_client: bool = False
    """Whether clients may have different precisions, with phi = 0."""
    codecs_without_broadcast: tuple[int, ...] = ()
    """Codecs whose gradients differ from client to client and cannot be sent to all at once, so that phi is 0."""

    @property
    def shape(self) -> Shape:
        """Values of each factor; index order is row-major."""
        return self.cut_layers, self.row_counts, self.second_cuts, self.codecs, self.precisions

    def index(
        self, cut_layer: Any, aggregated_rows: Any, second_cut: Any = 0, codec: Any = 0, precision: Any = 0
    ) -> Ints:
        """Index of a plan, or of many.

        Args:
            cut_layer: 1..L-1.
            aggregated_rows: m = ceil(phi b); this and the next do not matter where nobody decides them.
            second_cut: 1..L-1; 0: as one at the cut layer.
            codec: Its index in the scenario's list.
            precision: Likewise.
        """
        given = (cut_layer, aggregated_rows, second_cut, codec, precision)
        factors = (np.asarray(factor, np.int64) for factor in given)
        return np.asarray(_index(self.shape, *factors), np.int64)

    @cached_property
    def cut_layer(self) -> Ints:
        """[G] cut layer of each plan."""
        return self._values[0] + 1

    @cached_property
    def second_cut(self) -> Ints:
        """[G] second cut of each plan, no unit before its cut layer; 0: nobody decides it."""
        if self.second_cuts == 1:
            return np.zeros_like(self.cut_layer)
        return np.maximum(self._values[2] + 1, self.cut_layer)

    @cached_property
    def codec(self) -> Ints:
        """[G] codec of each plan, its index in the scenario's list."""
        return self._values[3]

    @cached_property
    def precision(self) -> Ints:
        """[G] precision of each plan, its index in the scenario's list."""
        return self._values[4]

    @cached_property
    def _values(self) -> Ints:
        """[F, G] which value of each factor a plan has."""
        return np.indices(self.shape).reshape(len(self.shape), -1)

    def candidates(self, aggregated_rows: Any, codec: Any = 0, precision: Any = 0) -> Ints:
        """[..., K] the plans with so many aggregated rows, that codec and precision that differ in what they do.

        A second cut in front of the cut layer is the same as one at it.

        Args:
            aggregated_rows: Of one world, or of each.
            codec: Likewise.
            precision: Likewise.
        """
        found: Ints = self._candidates[aggregated_rows * (self.row_counts > 1), codec, precision]
        return found

    @cached_property
    def _candidates(self) -> Ints:
        """[R, codecs, precisions, K] `candidates` with each number of aggregated rows, codec and precision."""
        cuts, seconds = np.meshgrid(
            np.arange(1, self.cut_layers + 1), np.arange(1, self.second_cuts + 1), indexing="ij"
        )
        different = (seconds >= cuts) | (self.second_cuts == 1)
        rows, codecs, precisions = np.ogrid[: self.row_counts, : self.codecs, : self.precisions]
        found = self.index(
            cuts[different], rows[..., None], seconds[different], codecs[..., None], precisions[..., None]
        )
        return np.array(np.broadcast_to(found, (self.row_counts, self.codecs, self.precisions, found.shape[-1])))


def _index(shape: Shape, cut_layer: Any, aggregated_rows: Any, second_cut: Any, codec: Any, precision: Any) -> Any:
    index = cut_layer - 1
    if shape[1] > 1:
        index = index * shape[1] + aggregated_rows
    if shape[2] > 1:
        # 0 stands for the first.
        index = index * shape[2] + second_cut - (second_cut > 0)
    if shape[3] > 1:
        index = index * shape[3] + codec
    if shape[4] > 1:
        index = index * shape[4] + precision
    return index


plan_index = kernel(INLINED)(_index)
"""`PlanGrid.index` in a grid of that `shape`, for kernels: of whole numbers."""
