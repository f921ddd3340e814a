"""The head-room experiments: rows of episodes and rounds, tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import headroom
from experiments.__main__ import main
from experiments.headroom import episodes, rounds
from experiments.headroom.methods import PRESETS, Method, methods
from experiments.headroom.report import episode_report, summary


@pytest.mark.parametrize("preset", PRESETS)
def test_methods_of_a_preset_have_names_of_their_own(preset):
    own = methods(preset)
    assert len({method.name for method in own}) == len(own)
    assert any(method.is_oracle for method in own)


def test_no_allocation_is_better_than_the_best_known():
    rows = pd.DataFrame(rounds.measure({"preset": "iot", "steps": 2}, 0))
    assert (rows["latency_s"] >= rows["best_s"]).all()
    assert rows["best_s"].nunique() == 1
    by_name = rows.set_index("allocation")["latency_s"]
    assert by_name["descent"] <= by_name["paper-greedy"] < by_name["ablation-a"]


def test_search_serves_everybody(monkeypatch):
    """Two equal clients, two equal subchannels: each has one in the best round, though one client would be faster."""
    monkeypatch.setattr(rounds, "ALLOCATIONS", {"fixed": rounds.ALLOCATIONS["fixed"]})
    rows = rounds.measure({"preset": "toy", "steps": 2}, 0)
    assert rows[0]["best_s"] == pytest.approx(rows[0]["latency_s"])


def test_an_episode_ends_lastingly_at_the_target():
    (row,) = episodes.measure({"preset": "toy", "method": "greedy phi=0", "oracle": False, "quick": True}, 1)
    assert row["reached"]
    assert row["target_s"] < row["lasting_s"] < 20.0
    assert episodes.LASTING <= row["rounds"] <= 12
    assert row["lasting_s"] == row["elapsed_s"]


def played(**columns):
    """Episodes of three methods on two seeds; the rule's second one misses the target."""
    table = pd.DataFrame(
        {
            "preset": "toy",
            "method": np.repeat(["rule", "other", "look-ahead:horizon=1"], 2),
            "seed": [0, 1] * 3,
            "oracle": np.repeat([False, False, True], 2),
            "reached": [True, False, True, True, True, True],
            "target_s": [10.0, 20.0, 8.0, 12.0, 4.0, 8.0],
            "lasting_s": [12.0, 20.0, 9.0, 15.0, 8.0, 10.0],
            "accuracy": 0.8,
            "rounds": 10,
        }
    )
    return table.assign(**columns)


def test_head_room_is_what_the_best_oracle_needs_less():
    table = summary(played())
    assert table.index.tolist() == ["look-ahead:horizon=1", "other", "rule"]
    assert table["target_s"].tolist() == [6.0, 10.0, 15.0]
    assert table["headroom"].tolist() == pytest.approx([0.0, 40.0, 60.0])
    assert table["lasting_headroom"].tolist() == pytest.approx([0.0, 25.0, 43.75])
    text = episode_report(played())
    # 8 s of the other on the first seed and 12 s on the second; lastingly 9 s and 15 s.
    assert "The best rule of each seed: 10.0 s to the target, 12.0 s lastingly." in text
    assert "| rule | ≥ 15.0 | 1 of 2 | 60 |" in text
    assert "| **look-ahead:horizon=1** | 6.0 | 2 of 2 | 0 |" in text


def test_seeds_on_which_a_method_is_missing_do_not_count():
    table = summary(played().drop(index=1))
    assert table["target_s"].to_dict() == {"rule": 10.0, "other": 8.0, "look-ahead:horizon=1": 4.0}


def test_excess_is_in_percent_of_the_best_known():
    rows = pd.DataFrame(
        {
            "preset": "toy",
            "allocation": ["a", "a", "b"],
            "seed": 0,
            "latency_s": [1.0, 1.5, 2.0],
            "best_s": [1.0, 1.0, 1.0],
        }
    )
    text = rounds.report(rows)
    assert "| a | 25.0 (50.0) |" in text
    assert "| b | 100.0 (100.0) |" in text


@pytest.mark.usefixtures("in_this_process")
def test_the_short_form_saves_table_and_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = (Method("greedy"), Method("look-ahead:horizon=1", 0.0))
    for module in (headroom, episodes):
        monkeypatch.setattr(module, "methods", lambda preset: few)
    assert main(["headroom", "--quick", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "headroom.md").read_text(encoding="utf-8")
    assert "`python -m experiments headroom --quick`" in text
    assert "| **look-ahead:horizon=1** |" in text
    assert "| greedy |" in text
    assert (tmp_path / "headroom.png").stat().st_size > 10_000
