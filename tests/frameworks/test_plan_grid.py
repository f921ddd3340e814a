"""All plans, against a plain enumeration of the product of their factors."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from splitgym.envs.system import system_of
from splitgym.frameworks import PlanGrid, get
from splitgym.scenario import build


@pytest.mark.parametrize(
    ("cuts", "rows", "seconds", "codecs"),
    [(1, 1, 1, 1), (3, 1, 1, 1), (2, 2, 1, 1), (3, 5, 1, 2), (3, 1, 3, 1), (4, 2, 4, 3), (2, 1, 1, 3)],
)
def test_plans_are_counted_in_row_major_order(cuts: int, rows: int, seconds: int, codecs: int) -> None:
    """A mini-batch of one sample has two numbers of aggregated rows."""
    grid = PlanGrid(cuts, rows, seconds, codecs)
    plans = list(product(range(1, cuts + 1), range(rows), range(1, seconds + 1), range(codecs)))
    assert [int(grid.index(*plan)) for plan in plans] == list(range(len(plans)))
    assert grid.cut_layer.tolist() == [cut for cut, *_ in plans]
    assert grid.second_cut.tolist() == [max(cut, second) if seconds > 1 else 0 for cut, _, second, _ in plans]
    assert grid.codec.tolist() == [codec for *_, codec in plans]


@pytest.mark.parametrize(
    ("cuts", "rows", "seconds", "codecs"), [(3, 1, 1, 1), (2, 2, 1, 2), (3, 4, 3, 1), (3, 2, 3, 2)]
)
def test_candidates_are_all_that_differ(cuts: int, rows: int, seconds: int, codecs: int) -> None:
    grid = PlanGrid(cuts, rows, seconds, codecs)
    for m, codec in product(range(rows), range(codecs)):
        found = grid.candidates(m, codec).tolist()
        different = {(cut, max(cut, second)) for cut in range(1, cuts + 1) for second in range(1, seconds + 1)}
        assert sorted(found) == sorted(int(grid.index(cut, m, second, codec)) for cut, second in different)
    each = np.array([0, rows - 1]), np.array([codecs - 1, 0])
    np.testing.assert_array_equal(grid.candidates(*each)[1], grid.candidates(rows - 1))


@pytest.mark.parametrize("framework", ["epsl", "psl-drop", "hierarchical", "cpsl"])
def test_a_table_of_many_plans_holds_those_of_single_codecs(framework: str) -> None:
    """What stands at a plan's index is what a scenario with that codec alone has there."""
    names = ("none", "uniform-4", "top-k:0.1", "c3:3")
    fields = {"training": {"batch_size": 5}, "task": {"model": "cnn"}}
    many = system_of(build("toy", {**fields, "plan": {"codecs": names, "second_cut": "decided"}}), get(framework))
    for codec, name in enumerate(names):
        scenario = build("toy", {**fields, "plan": {"codecs": (name,), "second_cut": "decided"}})
        one = system_of(scenario, get(framework)).program
        held = many.holding(codec, 0).program
        assert held.plans == replace(one.plans, codecs_without_broadcast=held.plans.codecs_without_broadcast)
        assert bool(held.plans.codecs_without_broadcast) == name.startswith("top-k")
        for tables in (many.program.work[many.program.plans.codec == codec], held.work):
            np.testing.assert_array_equal(tables, one.work)
        np.testing.assert_array_equal(held.per_participant, one.per_participant)
        grid = many.program.plans
        for cut, rows, second in product((1, 3), range(one.plans.row_counts), range(1, one.plans.second_cuts + 1)):
            np.testing.assert_array_equal(
                many.program.work[grid.index(cut, rows, second, codec)], one.work[one.plans.index(cut, rows, second)]
            )
    assert many.holding(1, 0) is many.holding(1, 0)
