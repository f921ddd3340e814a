"""The comparison of on-demand with static shares: its rounds, its table from numbers by hand, its files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import main
from experiments.cells import random_states
from experiments.on_demand import Cases, frameworks, idle_share, measure, table
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision


def test_rounds_are_never_longer_on_demand_and_lending_is_a_part_of_it() -> None:
    rows = [row for case in Cases()(quick=False)[:2] for row in measure(case, 0)]
    assert [row["framework"] for row in rows] == 2 * [framework.name for framework in frameworks()]
    for row in rows:
        assert row["on_demand_s"] <= row["static_s"] * (1 + 1e-9)
        assert row["lending_only_s"] <= row["static_s"] * (1 + 1e-9)
        assert 0 <= row["idle"] <= 1
    assert min(row["on_demand_s"] / row["static_s"] for row in rows) < 0.95


@pytest.mark.parametrize(
    ("framework", "in_use_s"), [("psl", 2 * 0.008192), ("sfl-v1", 0.03328 + 2 * 0.008192 + 0.06656)]
)
def test_idle_share_by_hand(framework: str, in_use_s: float) -> None:
    """Both clients of `toy` send and receive at the same time, 8192 bits each at 1 Mbit/s; 66560 bits of weights."""
    scenario = build("toy")
    (state,) = random_states(scenario, get(framework), [0])
    decision = Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.ones(2, bool), 0.0)
    cost = round_cost(state, decision)
    assert idle_share(state, decision, cost) == pytest.approx(1 - in_use_s / cost.latency_s, rel=1e-9)


def test_table_has_means_and_extremes_of_ratios() -> None:
    rounds = pd.DataFrame(
        {
            "preset": "iot",
            "framework": ["psl", "psl", "sl"],
            "static_s": [2.0, 4.0, 3.0],
            "on_demand_s": [1.0, 3.0, 3.0],
            "lending_only_s": [2.0, 3.0, 3.0],
            "idle": [0.2, 0.4, 0.5],
        }
    )
    lines = table(rounds).splitlines()
    assert lines[2] == "| iot | psl | 3 | 0.625 | 0.500 | 0.750 | 0.875 | 30 |"
    assert lines[3] == "| iot | sl | 3 | 1.000 | 1.000 | 1.000 | 1.000 | 50 |"


@pytest.mark.usefixtures("in_this_process")
def test_results_are_saved(tmp_path: Path) -> None:
    assert main(["on_demand", "--quick", "--out", str(tmp_path / "new")]) == 0
    rounds = pd.read_csv(tmp_path / "new" / "on_demand.csv")
    assert len(rounds) == 4 * 3 * len(frameworks())
    assert "| edge6g | sfl-v2 |" in (tmp_path / "new" / "on_demand.md").read_text(encoding="utf-8")
    assert (tmp_path / "new" / "on_demand.png").stat().st_size > 10_000


def test_settings_that_are_not_allowed_are_named() -> None:
    with pytest.raises(ValueError, match=r"--aggregation-ratio 1\.5, allowed: 0\.\.1"):
        Cases(aggregation_ratio=1.5)(quick=False)
