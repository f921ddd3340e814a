"""What schedulers decide: ranks by hand, and rules of which it is known whom they take."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.decisions import EXPERIMENT, _by_rank, _parts, measure, plot, report
from splitgym.types import Decision


def test_ranks_by_hand():
    decision = Decision(1, np.full(3, -1), np.zeros(3), np.array([True, False, True]), 0.0)
    assert _by_rank("fast", np.array([3.0, 1.0, 2.0]), decision) == {"fast_1": 0, "fast_2": 1, "fast_3": 1}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    cases = [{"agent": agent, "rounds": 2} for agent in ("greedy", "fastest-k:k=3")]
    return pd.DataFrame([{**case, "seed": 0, **row} for case in cases for row in measure(case, 0)])


def test_greedy_takes_everybody_and_fastest_k_the_fastest(rows):
    """Shares of the band differ between the rule and the ranks, which may swap neighbours."""
    ranks = [f"fast_{rank}" for rank in range(1, 9)]
    greedy, fastest = (rows[rows["agent"] == agent] for agent in ("greedy", "fastest-k:k=3"))
    assert (greedy[ranks] == 1).all(axis=None)
    assert (greedy["clients"] == 8).all()
    assert (fastest[ranks].sum(axis=1) == 3).all()
    assert (fastest["fast_1"] == 1).all()
    assert (fastest[["fast_6", "fast_7", "fast_8"]] == 0).all(axis=None)
    assert (fastest["latency_s"].to_numpy() < greedy["latency_s"].to_numpy()).all()


def test_report_and_plot_show_both(rows):
    text = report(rows)
    assert "| greedy | 100 | 100 | 100 |" in text
    figure = Figure(layout="constrained")
    plot(rows, figure)
    first = figure.axes[0].lines[0]
    assert list(first.get_ydata()) == [100.0] * 8


def test_parts_of_the_way():
    parts = _parts(pd.DataFrame({"progress": [0.0, 0.2, 0.21, 1.0]}))
    assert list(parts) == ["0-20", "0-20", "20-40", "80-100"]


def test_short_form_has_three_rounds_of_every_agent():
    assert {case["rounds"] for case in EXPERIMENT.cases(True)} == {3}
