"""The experiment on gaps: its cells, a run of a few, its table from latencies by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.gaps import (
    KINDS,
    LARGE,
    MOST_ASSIGNMENTS,
    RULES,
    SMALL,
    Cases,
    large_cells,
    measure,
    optimum,
    plot,
    programme_bound,
    references,
    report,
    small_cells,
    summary,
)

PAPER, EVEN = "paper's descent", "even power"


def test_small_cells_are_of_all_kinds_and_small_enough() -> None:
    cells = list(small_cells(200))
    assert {(cell.preset, cell.gains, cell.budget) for cell in cells} == set(KINDS)
    assert {cell.clients for cell in cells} == {2, 3, 4}
    assert {cell.subchannels for cell in cells} == {2, 3, 4, 5, 6, 7, 8}
    assert all(cell.clients <= cell.subchannels for cell in cells)
    assert all(cell.clients**cell.subchannels <= MOST_ASSIGNMENTS for cell in cells)


def test_large_cells_are_as_many_of_each_size() -> None:
    sizes = [cell.size for cell in large_cells(48)]
    assert {size: sizes.count(size) for size in LARGE} == dict.fromkeys(LARGE, 16)


def test_a_cell_has_the_budget_and_the_gains_that_it_says() -> None:
    cell = replace(next(small_cells(1)), clients=3, subchannels=5, gains="independent")
    for budget, share in (("client", 1.0), ("common", 0.25)):
        system = replace(cell, budget=budget).state(0).system
        assert system.total_power_max_w == pytest.approx(3 * share * system.client_power_max_w)
    gains = cell.state(0).channel_gain
    assert gains.shape == (3, 5)
    assert 1e-13 <= gains.min() < gains.max() <= 1e-11
    assert replace(cell, gains="cell").state(0).channel_gain.max() > 1e-11


def test_no_rule_is_better_than_the_optimum() -> None:
    for case in Cases()(quick=False)[:4]:
        (row,) = measure(case, 0)
        assert row["relaxation_s"] <= row["reference_s"]
        assert all(row[name] >= row["reference_s"] * (1 - 1e-9) for name in RULES)


def test_programmes_bound_from_below_and_above() -> None:
    cell = next(small_cells(1))
    state = cell.state(0)
    bounds, best = programme_bound(state, 0.5, seconds=60.0), optimum(state, 0.5)
    assert bounds["reference_s"] == pytest.approx(best["reference_s"], rel=3e-6)
    assert bounds["found_s"] == pytest.approx(best["reference_s"], rel=1e-6)


def latencies() -> pd.DataFrame:
    """The optimum takes 1 s and 2 s. The descent has it once and then 10 % more; with even power, 50 % more and 5 %."""
    rules = {name: [1.0, 2.0] for name in RULES} | {"descent": [1.0, 2.2], EVEN: [1.5, 2.1]}
    kinds = {"preset": ["iot", "epsl"], "gains": ["cell", "cell"]}
    return pd.DataFrame({"size": SMALL, **kinds, "reference_s": [1.0, 2.0], "relaxation_s": [0.8, 2.0], **rules})


def test_summary_by_hand() -> None:
    lines = dict(line.strip("| ").split(" | ", 1) for line in summary(latencies()).splitlines()[2:])
    assert lines["descent"] == "5.000 | 5.000 | 9.500 | 10.000 | 50.0 | 0"
    assert lines[EVEN] == "27.500 | 27.500 | 47.750 | 50.000 | 0.0 | 1"
    assert lines[PAPER] == "0.000 | 0.000 | 0.000 | 0.000 | 100.0 | 1"


def test_references_by_hand() -> None:
    assert references(latencies()) == ["The relaxation's bound is lower by 12.500 % (at most 25.000 %)."]
    solved = latencies().assign(relaxation_s=[1.0, 2.0], found_s=[1.0, 2.02])
    assert references(solved) == ["The programmes' own decisions have a gap of 0.500 % (at most 1.000 %)."]
    assert references(latencies().assign(relaxation_s=[1.0, 2.0])) == []


def test_report_groups_cells() -> None:
    text = report(latencies())
    assert "### small cells: 2 cells, gaps to the exhaustive optimum" in text
    assert "| iot | cell | 1 | 0.000 |" in text
    assert "| epsl | cell | 1 | 10.000 |" in text


def test_a_run_of_a_few_cells_can_be_reported_and_drawn() -> None:
    cases = Cases(cells=2, large=3, programme_s=0)(quick=False)
    table = pd.DataFrame([{**case, **row} for case in cases for row in measure(case, 0)])
    assert list(table["size"]) == [SMALL, SMALL, *LARGE]
    assert np.isfinite(table[list(RULES)].to_numpy()).all()
    assert f"### {LARGE[2]}: 1 cells, gaps to a lower bound" in report(table)
    figure = Figure()
    plot(table, figure)
    assert [len(axes.get_lines()) for axes in figure.axes] == [len(RULES), len(RULES)]


def test_other_seeds_are_other_cells() -> None:
    cell = next(small_cells(1))
    gains = [cell.state(seed).channel_gain for seed in (0, 0, 1)]
    np.testing.assert_array_equal(gains[0], gains[1])
    assert not (gains[0] == gains[2]).any()


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"cells": 0}, "--cells 0, allowed: 1 or more"),
        ({"large": 2}, "--large 2, allowed: 3 or more"),
        ({"programme_s": -1.0}, "--programme-s -1.0, allowed: 0 or more"),
    ],
)
def test_wrong_options_are_named(field: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(Cases(), **field)(quick=False)
