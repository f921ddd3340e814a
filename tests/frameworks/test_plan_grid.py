"""All plans, against a plain enumeration of the product of their factors."""

from itertools import product

import numpy as np
import pytest

from splitgym.frameworks import PlanGrid


@pytest.mark.parametrize(
    ("cuts", "rows", "seconds"), [(1, 1, 1), (3, 1, 1), (2, 2, 1), (3, 5, 1), (3, 1, 3), (4, 2, 4)]
)
def test_plans_are_counted_in_row_major_order(cuts: int, rows: int, seconds: int) -> None:
    """A mini-batch of one sample has two numbers of aggregated rows."""
    grid = PlanGrid(cuts, rows, seconds)
    plans = list(product(range(1, cuts + 1), range(rows), range(1, seconds + 1)))
    assert [int(grid.index(*plan)) for plan in plans] == list(range(len(plans)))
    assert grid.cut_layer.tolist() == [cut for cut, _, _ in plans]
    assert grid.second_cut.tolist() == [max(cut, second) if seconds > 1 else 0 for cut, _, second in plans]


@pytest.mark.parametrize(("cuts", "rows", "seconds"), [(3, 1, 1), (2, 2, 1), (3, 4, 3)])
def test_candidates_are_all_that_differ(cuts: int, rows: int, seconds: int) -> None:
    grid = PlanGrid(cuts, rows, seconds)
    for m in range(rows):
        found = grid.candidates(m).tolist()
        different = {(cut, max(cut, second)) for cut in range(1, cuts + 1) for second in range(1, seconds + 1)}
        assert sorted(found) == sorted(int(grid.index(cut, m, second)) for cut, second in different)
    np.testing.assert_array_equal(grid.candidates(np.array([0, rows - 1]))[1], grid.candidates(rows - 1))
