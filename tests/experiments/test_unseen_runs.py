"""The surrogate beside real runs that no calibration has seen: what is measured of a run, what the report says."""

import numpy as np
import pandas as pd
import pytest

from experiments.calibrate.logs import Job, finished, run
from experiments.calibrate.unseen import EXPERIMENT, FIRST, measure, report
from splitgym.learning.surrogate import calibration_for
from splitgym.scenario import build


def test_errors_are_those_of_the_logs_of_the_same_run(tmp_path):
    first, _ = measure({"calibration": "toy", "pattern": "random_k", "steady": True, "rounds": 12}, 0)
    known = calibration_for(build("toy"), "epsl")
    # The second of the patterns, steady.
    run(Job(FIRST + 3, "toy", "epsl", "random_k", known.clients, (0.5, 0.5), 12, 4, None, True, True), tmp_path)
    (log,), (again,) = finished(tmp_path), finished(tmp_path, again=True)
    assert first["clients"] == len(log.class_counts)
    assert first["participants"] == log.selected.sum(1).mean()
    assert first["second_error"] == pytest.approx(np.mean(np.abs(log.accuracy - again.accuracy)))
    assert first["second_bias"] == pytest.approx(np.mean(again.accuracy - log.accuracy))


def test_no_calibration_is_fitted_to_these_runs():
    seeds = [calibration_for(build(name), "epsl").provenance["seeds"] for name in ("toy", "iot", "iot-wide")]
    assert max(last for _, last in seeds) < FIRST


def rows_of(error: float, second_error: float, surrogate_rounds: float, steady: bool) -> pd.DataFrame:
    """Four runs that need 10, 20, 30 and 40 rounds; second trainings need a tenth more."""
    real = np.array([10.0, 20.0, 30.0, 40.0])
    return pd.DataFrame(
        {
            "calibration": "toy",
            "pattern": ["random_k", "random_k", "unified", "unified"],
            "steady": steady,
            "rounds": 100,
            "target": 0.8,
            "clients": 4,
            "dirichlet_alpha": 0.5,
            "participants": 2.0,
            "cut_layer": "1",
            "aggregation_ratio": 0.0,
            "error": error,
            "bias": -error,
            "real_rounds": real,
            "surrogate_rounds": surrogate_rounds * real,
            "second_error": second_error,
            "second_bias": 0.0,
            "second_rounds": 1.1 * real,
        }
    )


def test_the_report_says_how_many_times_a_second_run_the_surrogate_is_off():
    text = report(pd.concat([rows_of(0.06, 0.05, 1.25, False), rows_of(0.04, 0.05, 0.5, True)]))
    # Mean of 0.06 and 0.04 beside 0.05; four runs are 25 % too slow, four 50 % too fast: 37.5 % in the middle.
    assert "| `toy` | 0.8 | 8, all | 0.050 | 0.050 | 1.00 [" in text
    assert "| 38 % | 10 % | 100 % |" in text
    steady = "| `toy` | 0.8 | 4, steady | 0.040 | 0.050 | 0.80 [0.80, 0.80] | 50 % | 10 % | 100 % | 1.00 | 1.00 |"
    assert steady in text
    assert "| `toy` | pattern | unified | 4 | 0.050 | -0.050 | 0.050 |" in text


def test_the_short_form_asks_every_kind_of_case():
    assert {(case["calibration"], case["steady"]) for case in EXPERIMENT.cases(True)} == {("toy", False), ("toy", True)}
