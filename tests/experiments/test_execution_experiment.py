"""What is said of executed rounds, of rows made by hand and of a round on real processes."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.execution import EXPERIMENT, PLAYED, ROUNDS, plot, report


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    case = {"played": "toy", "scenario": "toy", "framework": "psl", "sharing": "static", "rounds": 1, "scale": 5.0}
    return pd.DataFrame([{**case, "seed": 0, **row} for row in EXPERIMENT.measure(case, 0)])


def test_all_play_twenty_rounds():
    assert [case["played"] for case in EXPERIMENT.cases(False)] == list(PLAYED)
    assert {case["rounds"] for case in EXPERIMENT.cases(False)} == {ROUNDS} == {20}


def test_a_round_on_processes_is_the_simulators(rows):
    assert rows["weights_equal"].all()
    assert rows["bytes_equal"].all()
    assert (rows["stage"] == "round").sum() == 1
    assert len(rows) == 2 * 6 + 1


def test_errors_are_those_of_the_rows(rows):
    made = rows.assign(
        measured_start_s=0.0, measured_stop_s=1.25 * (rows["simulated_stop_s"] - rows["simulated_start_s"])
    )
    text = report(made)
    cells = [line.split("|")[6:9] for line in text.splitlines() if line.startswith("| toy")]
    assert len(cells) == 6 + 2
    assert all(float(cell) == pytest.approx(25.0) for line in cells for cell in line)
    assert "to the bit in 100% of rounds" in text


def test_points_lie_on_the_line_if_times_are_equal(rows):
    figure = Figure()
    made = rows.assign(measured_start_s=rows["simulated_start_s"], measured_stop_s=rows["simulated_stop_s"])
    plot(made, figure)
    (axes,) = figure.axes
    assert all((line.get_xdata() == line.get_ydata()).all() for line in axes.lines)
