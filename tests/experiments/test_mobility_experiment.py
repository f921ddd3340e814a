"""Following vehicles along the road: the cells, what an episode says, and a report of numbers made up by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.mobility import BEST, LEARNED, MIDDLE, PRESET, RULES, STAYS, Cases, measure, plot, report, road

SHORT = {"learner": "surrogate", "episodes": 1, "steps": 0, "quick": True}


def test_roads_differ_from_the_preset_in_speeds_links_and_placements() -> None:
    scenario = road(2e6, 40.0, 40.0)
    assert (scenario.road.speed_min_m_per_s, scenario.road.speed_max_m_per_s) == (40.0, 40.0)
    assert [link.bits_per_s for link in scenario.links] == [2e6] * 4
    assert scenario.placement.candidates[0].nodes == ("server",)
    assert {node for each in scenario.placement.candidates for node in each.nodes} == {s.node for s in PRESET.stations}
    assert scenario.episode == PRESET.episode
    assert scenario.clients == PRESET.clients


@pytest.mark.parametrize("method", [MIDDLE, BEST, LEARNED])
def test_methods_play_the_same_held_out_episodes_at_each_speed(method: str) -> None:
    rows = measure({"bits_per_s": 10e6, "method": method, "speeds": "0 40", **SHORT}, 3)
    assert [(row["speed"], row["episode"]) for row in rows] == [(0.0, 1_000_003), (40.0, 1_000_003)]
    for row in rows:
        assert row["rounds"] <= 8
        assert row["reached"] or row["target_s"] == 300.0
        assert (row["moves"] == 0) or (method != MIDDLE)
        assert row["moved_s"] == pytest.approx(0.0) or row["moves"] > 0


def test_a_move_takes_the_bits_over_the_links() -> None:
    """Of 2 Mbit/s each; whoever follows at 40 m/s does move."""
    case = {"bits_per_s": 2e6, "method": "threshold 10", "speeds": "40", **SHORT, "quick": False}
    (row,) = measure(case, 0)
    assert row["moves"] >= 1
    hops = row["moved_s"] * 2e6 / row["moved_bits"]
    assert 1 - 1e-9 <= hops <= 4 + 1e-9


def test_cases_are_all_methods_at_all_rates() -> None:
    cases = Cases()(quick=False)
    assert len(cases) == 2 * (len(RULES) + 1)
    assert {case["method"] for case in cases if case["steps"]} == {LEARNED}
    assert all(case["speeds"] == "0 10 20 30 40" for case in cases)
    assert Cases()(quick=True)[0]["speeds"] == "0 40"


def table() -> pd.DataFrame:
    seconds = {MIDDLE: 100.0, STAYS: 80.0, "threshold 3": 70.0, "threshold 10": 60.0, LEARNED: 40.0}
    return pd.DataFrame(
        {
            "bits_per_s": 2e6,
            "method": method,
            "learner": "surrogate",
            "speed": speed,
            "seed": episode % 2,
            "episode": episode,
            "target_s": value + offset,
            "reached": True,
            "moves": 2,
            "moved_s": 0.5,
            "moved_bits": 1e6,
        }
        for method, value in seconds.items()
        for speed in (0.0, 20.0)
        for episode, offset in enumerate((-10.0, 0.0, 10.0))
    )


def test_report_by_hand() -> None:
    text = report(table())
    assert "mean over 3 held-out episodes" in text
    assert "| middle | 100.0 [90.0, 110.0] | 100.0 [90.0, 110.0] |" in text
    assert "| stays | 2.0: 0.50 s, 1.0 Mbit |" in text
    assert "- threshold 10 against stays: 25 % [" in text
    assert "- learned against middle: 60 % [" in text
    assert "- threshold 3 against" not in text
    assert "- stays against middle: 20 % [" in text
    figure = Figure()
    plot(table(), figure)
    (axes,) = figure.axes
    assert [np.asarray(c.lines[0].get_ydata()).tolist() for c in axes.containers][-1] == [40.0, 40.0]
    assert [c.get_label() for c in axes.containers] == [MIDDLE, STAYS, "threshold", LEARNED]
    two = Figure()
    plot(pd.concat([table(), table().assign(bits_per_s=1e6, target_s=250.0)]), two)
    assert all(each.get_ylim()[0] == 0 and each.get_ylim()[1] > 250 for each in two.axes)
