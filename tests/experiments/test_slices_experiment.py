"""Sharing a cell among slices: the constraint by hand, controls that do what they say, table and figure."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.slices import EXPERIMENT
from experiments.slices.methods import CONTROLLERS, LEARNED, Constrained, DualAscent, episodes, made, trained
from experiments.slices.report import interval, plot, report
from splitgym.inputs import InputError
from splitgym.slices import Shares


def test_late_rounds_beyond_the_allowed_share_lower_what_is_learnt_from():
    plain, penalised = made(), Constrained(made(), weight=2.0)
    little = Shares(np.array([5, 15]), np.array([0.25, 0.75]))
    for env in (plain, penalised):
        env.reset(seed=3)
    for _ in range(4):
        action = plain.encode(little)
        _, reward, _, _, info = plain.step(action)
        _, learnt, _, _, _ = penalised.step(action)
        excess = info["cost"] - 0.1 * len(info["slices"]["machines"]["latencies_s"])
        assert learnt == pytest.approx(reward - 2.0 * excess)
        assert penalised.excess[-1] == pytest.approx(excess)
    assert max(penalised.excess) > 0


@pytest.mark.parametrize(
    ("excess", "weight"), [([1.0, 0.0], 1.25), ([-0.5, -0.1], 0.85), ([-9.0], 0.0), ([99.0], 10.0)]
)
def test_weight_rises_while_too_many_rounds_are_late(excess, weight):
    envs = [Constrained(made(), 1.0) for _ in range(2)]
    envs[0].excess = list(excess)
    DualAscent(envs)._on_rollout_end()
    assert [env.weight for env in envs] == [pytest.approx(weight)] * 2
    assert envs[0].excess == []


def test_untrained_policy_is_the_learned_one_before_its_first_update():
    rows = episodes("untrained", 0, 5, 1)
    policy = trained(0, 5, constrained=True)
    env = made()
    observation, _ = env.reset(seed=rows[0]["episode"])
    over = False
    while not over:
        observation, _, terminated, truncated, info = env.step(policy.predict(observation, deterministic=True)[0])
        over = terminated or truncated
    assert info["slices"]["machines"]["rounds"] == rows[0]["rounds"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    cases = [{"method": method, "training_periods": 0} for method in ("static:critical=0.4", "random")]
    return pd.DataFrame([{**case, "seed": 0, **row} for case in cases for row in episodes(case["method"], 0, 0, 2)])


def test_methods_are_played_on_the_same_episodes(rows):
    (static, random) = (own for _, own in rows.groupby("method"))
    assert static["episode"].tolist() == random["episode"].tolist() == [1_000_000, 1_000_001]
    assert static["time_s"].tolist() != random["time_s"].tolist()
    assert ((rows["time_s"] > 0) & (rows["time_s"] <= 600)).all()
    assert (rows["late_share"] == rows["late"] / rows["rounds"]).all()


def test_interval_holds_the_mean_and_is_a_point_for_equal_values():
    mean, low, high = interval([1.0, 2.0, 3.0, 4.0])
    assert low < mean == 2.5 < high
    assert interval([2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_report_and_plot_show_all(rows):
    text = report(rows)
    assert "| static:critical=0.4 |" in text
    assert "2 held-out episodes" in text
    figure = Figure(layout="constrained")
    plot(rows, figure)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["static", "random"]


def test_cases():
    methods = {case["method"]: case["training_periods"] for case in EXPERIMENT.cases(True)}
    assert {method for method, periods in methods.items() if not periods} == {*CONTROLLERS, "untrained"}
    assert set(LEARNED) <= set(methods)
    with pytest.raises(InputError, match="--training-periods 1, allowed: 128 or more"):
        type(EXPERIMENT.cases)(training_periods=1)(False)
