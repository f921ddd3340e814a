"""Aggregation over phi and clients: its runs against the framework alone, its numbers from rows by hand."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.aggregation import EXPERIMENT, PRESETS, cases, measure, with_psl
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS
from splitgym.learning import Learner
from splitgym.scenario import build

CASE = {"clients": 2, "method": "EPSL", "aggregation_ratio": 0.0, "rounds": 10}


def test_phi_0_is_psl() -> None:
    task = TASKS["digits"]
    scenario = build("edge6g", {"task": task["task"], "training": task["training"], "clients": {"count": 2}})
    learner = Learner(scenario, "psl", seed=4)
    for _ in range(10):
        outcome = learner.round(everybody(scenario, 1, 0.0))
    (row,) = measure(CASE, seed=4)
    assert row["accuracy"] == outcome.accuracy > 0.15


def test_aggregation_and_its_control_take_less_time_than_psl_and_the_control_least() -> None:
    (psl,), (epsl,), (control,) = (
        measure({**CASE, "method": method, "aggregation_ratio": phi}, seed=0)
        for method, phi in (("EPSL", 0.0), ("EPSL", 0.5), ("PSL-drop", 0.5))
    )
    for preset in ("epsl", "edge6g"):
        assert 0.4 * psl[f"{preset}_s"] < control[f"{preset}_s"] < epsl[f"{preset}_s"] < psl[f"{preset}_s"]


def rows() -> pd.DataFrame:
    """Two seeds of PSL, EPSL and the control with two clients; EPSL(1) reaches the target once."""
    runs = [
        ("EPSL", 0.0, 0, 0.98, 20.0, 2.0),
        ("EPSL", 0.0, 1, 0.96, 40.0, 4.0),
        ("EPSL", 1.0, 0, 0.90, 30.0, 1.0),
        ("EPSL", 1.0, 1, 0.80, float("nan"), 1.0),
        ("EPSL", 0.5, 0, 0.90, 30.0, 1.5),
        ("EPSL", 0.5, 1, 0.80, 40.0, 1.0),
        ("PSL-drop", 0.5, 0, 0.97, 20.0, 1.0),
        ("PSL-drop", 0.5, 1, 0.97, 20.0, 2.0),
        ("PSL-drop", 0.75, 0, 0.97, 20.0, 0.5),
        ("PSL-drop", 0.75, 1, 0.97, 20.0, 1.0),
    ]
    names = ("method", "aggregation_ratio", "seed", "accuracy", "rounds_to_target", "epsl_s")
    table = pd.DataFrame([dict(zip(names, run, strict=True)) for run in runs])
    return table.assign(clients=2, rounds=10, **{f"{preset}_s": table["epsl_s"] for preset in PRESETS})


def test_points_and_latencies_are_relative_to_psl_of_the_same_seed() -> None:
    epsl = with_psl(rows()).query("method == 'EPSL' and aggregation_ratio == 1")
    assert list(epsl["points"]) == pytest.approx([-8, -16])
    assert list(epsl["edge6g_relative"]) == [0.5, 0.25]


def test_report_counts_who_reaches_the_target_and_plots_are_drawn() -> None:
    text = EXPERIMENT.report(rows())
    assert "| EPSL, phi = 1 | 85.0 ± " in text
    # 30 rounds of 1 s instead of 20 of 2 s.
    assert "| 0.75 (1 of 2) |" in text
    assert "of PSL's time: PSL-drop, phi = 0.75 0.19, PSL-drop, phi = 0.5 0.38, EPSL, phi = 0.5 " in text
    for plot in EXPERIMENT.plots.values():
        plot(rows(), Figure(layout="constrained"))


def test_all_ratios_are_compared_with_psl_of_as_many_clients() -> None:
    table = pd.DataFrame(cases(quick=False))
    assert set(table.loc[table["aggregation_ratio"] == 0, "clients"]) == set(table["clients"])
    assert len(cases(quick=True)) < len(cases(quick=False))
