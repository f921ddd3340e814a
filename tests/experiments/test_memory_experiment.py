"""Which mini-batches fit, against the bytes of a single one, and episodes in their short form."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.memory import EXPERIMENT, MOMENTUM, MOST_ROWS, episode, feasible, plot, report
from splitgym import data, models


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    cases = [case for case in EXPERIMENT.cases(True) if case.get("network") != "resnet18"]
    cases = [case for case in cases if (case.get("framework", "psl"), case.get("rule", "greedy")) == ("psl", "greedy")]
    return pd.DataFrame([{**case, "seed": 0, **row} for case in cases for row in EXPERIMENT.measure(case, 0)])


def test_one_row_more_does_not_fit():
    memory = models.measure("cnn", *data.dimensions("digits"), "7x7").memory
    found = feasible("cnn")
    assert {row["batch"] > 0 for row in found} == {True, False}
    for row in found:

        def needed(batch: int, row: dict = row) -> float:
            return float(memory.client_bytes(row["cut_layer"], batch, MOMENTUM, recompute=bool(row["recompute"])))

        if row["batch"] > 0:
            assert needed(row["batch"]) <= row["memory_bytes"]
        if row["batch"] < MOST_ROWS:
            assert needed(row["batch"] + 1) > row["memory_bytes"]


def test_limits_leave_clients_out():
    free, limited = (
        episode({"framework": "psl", "limits": limits, "rule": "greedy", "rounds": 2}, 0)
        for limits in ("none", "memory")
    )
    assert free["clients"] == 10
    assert limited["clients"] < 10
    assert limited["mean_cut"] < free["mean_cut"]


def test_report_and_plot(rows):
    text = report(rows)
    assert "| psl | memory | greedy | 0 of 1 | - |" in text
    # 64 kB hold 14 rows in front of the first cut: 1.92 kB for the weights, 4352 bytes for each.
    assert "| 64 | 14 / 14 | - / - | - / - |" in text
    plot(rows, Figure(layout="constrained"))
