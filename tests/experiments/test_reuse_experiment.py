"""What reuse brings: the closed form, the cells, and a report of numbers made up by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.reuse import cases, measure, plot, report
from experiments.reuse.two_cells import (
    CIRCLE_M,
    COORDINATED,
    EVERYWHERE,
    break_even_m,
    downlink_gains_by_reuse,
    two_cells,
    uplink_gains_by_reuse,
)


def test_the_closed_form_says_which_rate_is_higher() -> None:
    rng = np.random.default_rng(0)
    snr, inr = 10 ** rng.uniform(-2, 5, 500), 10 ** rng.uniform(-3, 4, 500)
    reused = np.log2(1 + snr / (1 + inr))
    np.testing.assert_array_equal(uplink_gains_by_reuse(snr, inr), reused > np.log2(1 + 2 * snr) / 2)
    np.testing.assert_array_equal(downlink_gains_by_reuse(snr, inr), reused > np.log2(1 + snr) / 2)
    assert 0 < uplink_gains_by_reuse(snr, inr).mean() < 1


def test_clients_are_on_circles_and_hear_the_other_station_less_when_it_is_farther() -> None:
    near, far = two_cells(300.0, 5), two_cells(1200.0, 5)
    clients = np.arange(8)
    own = near.station_gain[clients, near.station]
    np.testing.assert_allclose(own, own[0], rtol=1e-9)
    np.testing.assert_allclose(far.station_gain[clients, far.station], own[0], rtol=1e-9)
    other = 1 - near.station
    assert (far.station_gain[clients, other] < near.station_gain[clients, other]).all()
    assert near.mean_gain == pytest.approx(own, rel=1e-9)


@pytest.mark.parametrize("distance_m", [CIRCLE_M * 2, 1500.0])
def test_rounds_are_shorter_with_reuse_on_the_side_that_the_closed_form_says(distance_m: float) -> None:
    """The stations are near each other, or far apart."""
    rows = pd.DataFrame(measure({"place": "two cells", "distance_m": distance_m}, 0))
    mean = rows.groupby("reuse")["round_s"].mean()
    assert (mean[EVERYWHERE] < mean[COORDINATED]) == (distance_m > max(break_even_m()))
    assert mean["universal"] <= mean[COORDINATED] * (1 + 1e-9)


def test_episodes_differ_in_reuse_alone() -> None:
    of_places = [case for case in cases(quick=True) if "rule" in case]
    assert {case["reuse"] for case in of_places} == {"coordinated", "universal"}
    (row,) = measure({**of_places[-1], "most_rounds": 2}, 1)
    assert row["rounds"] <= 2
    assert row["episode"] == 1_000_001
    assert 1.0 <= row["uses"] <= 4.0


def table() -> pd.DataFrame:
    rounds = {"coordinated": 4.0, "everywhere": 3.0, "universal": 2.0}
    cells = [
        {"place": "two cells", "distance_m": d, "reuse": way, "episode": k, "seed": 0, "round_s": s + k}
        for d in (200.0, 400.0)
        for way, s in rounds.items()
        for k in range(2)
    ]
    episodes = [
        {
            "place": "campus",
            "rule": "greedy",
            "reuse": way,
            "episode": k,
            "seed": 0,
            "round_s": rounds[way],
            "target_s": 100.0 * rounds[way],
            "energy_j": 10.0,
            "uses": 1.0,
        }
        for way in ("coordinated", "universal")
        for k in range(2)
    ]
    return pd.DataFrame([*cells, *episodes])


def test_report_by_hand() -> None:
    text = report(table())
    assert (
        "| 200 m | 4.50 [4.00, 5.00] | 3.50 [3.00, 4.00] | 2.50 [2.00, 3.00] | 22 % [20, 25] | 44 % [40, 50] |" in text
    )
    assert "| `greedy` | 50 % [50, 50] | 50 % [50, 50] | 0 % [0, 0] |" in text
    figure = Figure()
    plot(table(), figure)
    (axes,) = figure.axes
    assert [np.asarray(c.lines[0].get_ydata()).tolist() for c in axes.containers] == [[4.5] * 2, [3.5] * 2, [2.5] * 2]
    assert len(axes.lines) == len(axes.containers) * 3 + 2
