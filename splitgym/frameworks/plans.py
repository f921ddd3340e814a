"""The plan of a round: how a client trains in it, and all plans that a framework and a scenario allow."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitgym.arrays import Ints
from splitgym.kernels import INLINED, kernel


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
    by_client: bool = False
    """Whether clients may have different cut layers, with phi = 0."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Values of each factor: cut layer, aggregated rows, second cut; index order is row-major."""
        return self.cut_layers, self.row_counts, self.second_cuts

    def index(self, cut_layer: Any, aggregated_rows: Any, second_cut: Any = 0) -> Ints:
        """Index of a plan, or of many.

        Args:
            cut_layer: 1..L-1.
            aggregated_rows: m = ceil(phi b); this and the next do not matter where nobody decides them.
            second_cut: 1..L-1; 0: as one at the cut layer.
        """
        second_cuts = np.asarray(second_cut, np.int64)
        return np.asarray(_index(self.shape, np.asarray(cut_layer, np.int64), aggregated_rows, second_cuts), np.int64)

    @cached_property
    def cut_layer(self) -> Ints:
        """[G] cut layer of each plan."""
        return np.repeat(np.arange(1, self.cut_layers + 1), self.row_counts * self.second_cuts)

    @cached_property
    def second_cut(self) -> Ints:
        """[G] second cut of each plan, no unit before its cut layer; 0: nobody decides it."""
        if self.second_cuts == 1:
            return np.zeros(self.cut_layers * self.row_counts, np.int64)
        values = np.tile(np.arange(1, self.second_cuts + 1), self.cut_layers * self.row_counts)
        return np.maximum(values, self.cut_layer)

    def candidates(self, aggregated_rows: Any) -> Ints:
        """[..., K] the plans with so many aggregated rows (of each world, if an array) that differ in what they do.

        A second cut in front of the cut layer is the same as one at it.
        """
        found: Ints = self._candidates[aggregated_rows * (self.row_counts > 1)]
        return found

    @cached_property
    def _candidates(self) -> Ints:
        """[R, K] `candidates` with each number of aggregated rows."""
        cuts, seconds = np.meshgrid(
            np.arange(1, self.cut_layers + 1), np.arange(1, self.second_cuts + 1), indexing="ij"
        )
        different = (seconds >= cuts) | (self.second_cuts == 1)
        rows = np.arange(self.row_counts)[:, None]
        return self.index(cuts[different], rows, seconds[different]).reshape(self.row_counts, -1)


def _index(shape: tuple[int, int, int], cut_layer: Any, aggregated_rows: Any, second_cut: Any) -> Any:
    index = cut_layer - 1
    if shape[1] > 1:
        index = index * shape[1] + aggregated_rows
    if shape[2] > 1:
        # 0 stands for the first.
        index = index * shape[2] + second_cut - (second_cut > 0)
    return index


plan_index = kernel(INLINED)(_index)
"""`PlanGrid.index` in a grid of that `shape`, for kernels: of whole numbers."""
