"""Asynchronous updates against rounds: a small run, savings by hand, and what report and plot say of them."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.asynchronous import BESIDE, EXPERIMENT, QUORUMS, SYNCHRONOUS, WEIGHTS, _saving, measure, plot, report


def case(**settings: object) -> dict:
    return {
        "spread": 100,
        "selection": "everybody",
        "quorum": 2,
        "framework": "async-psl",
        "balancing": "none",
        "weights": "none",
        "seconds": 0.0,
        "steps": 4,
        **settings,
    }


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    cases = [
        case(),
        case(quorum=SYNCHRONOUS, framework="psl"),
        case(quorum=SYNCHRONOUS, framework="psl", selection="fastest-k"),
        *(case(weights=w, seconds=1.0) for w in ("none", "stale-up")),
        *(case(framework=f, balancing="generated", seconds=1.0) for f in ("async-psl", "async-sfl")),
    ]
    return pd.DataFrame([{**each, "seed": 0, **row} for each in cases for row in measure(each, 0)])


def test_waiting_for_all_takes_longer_for_as_many_updates(rows: pd.DataFrame) -> None:
    some, everybody, fastest = rows.iloc[0], rows.iloc[1], rows.iloc[2]
    assert fastest["slow_share"] == 0.0
    assert fastest["target_s"] < everybody["target_s"]
    assert some["updates"] == everybody["updates"] == 4
    assert everybody["target_s"] > 10 * some["target_s"]
    # Three of ten, as all take part; and the slowest have not delivered yet.
    assert everybody["slow_share"] == pytest.approx(0.3)
    assert some["slow_share"] == 0.0


def test_report_and_plot_show_them(rows: pd.DataFrame) -> None:
    text = report(rows)
    assert "| PSL | " in text
    assert "| PSL, 2 fastest | " in text
    assert "| K = 2 | " in text
    assert "| async-psl | " in text
    assert "| async-psl, stale-up | " in text
    assert "| async-sfl, labels balanced | " in text
    figure = Figure(layout="constrained")
    plot(rows, figure)
    assert len(figure.axes) == 2


def test_savings_by_hand() -> None:
    seconds = {SYNCHRONOUS: (100.0, 200.0), 1: (60.0, 100.0), 5: (50.0, 100.0)}
    rows = pd.DataFrame(
        [
            {"spread": 10, "selection": "everybody", "quorum": quorum, "seed": seed, "target_s": value}
            for quorum, values in seconds.items()
            for seed, value in enumerate(values)
        ]
    )
    assert "speeds 1:10: 50.0 ± 0.0 % less time than PSL with K = 5" in _saving(rows)


def test_full_form_has_every_quorum_and_weight() -> None:
    cases = EXPERIMENT.cases(False)
    assert {each["quorum"] for each in cases} == {SYNCHRONOUS, *QUORUMS}
    fixed = [each for each in cases if each["seconds"] > 0]
    assert {each["weights"] for each in fixed} == set(WEIGHTS)
    assert {(each["framework"], each["balancing"]) for each in fixed} == {("async-psl", "none"), *BESIDE}
    assert len(EXPERIMENT.cases(True)) < len(cases)
