"""What decisions gain that presets open: who plays, with what, and what the tables make of it."""

from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import agents
import splitgym  # noqa: F401 - registers the environment
from experiments.headroom import cuts, factors
from experiments.headroom.factor_methods import ALGORITHM, FIXED, KINDS, PRESETS, RULE, TUNED, Method
from experiments.headroom.factors import Cases, gain, measure, summary

SHORT = {"steps": 0, "plays": "train", "quick": True}


def case_of(preset: str, method: Method) -> dict[str, Any]:
    return {"preset": preset, "kind": method.kind, "method": method.name, **SHORT}


@pytest.mark.parametrize(
    ("preset", "kinds"),
    [("stragglers", (FIXED, KINDS[4])), ("wearables", (RULE, KINDS[3], TUNED)), ("narrowband", (KINDS[2],))],
)
def test_everybody_of_a_kind_plays_the_same_held_out_episodes(preset: str, kinds: tuple[str, ...]) -> None:
    of_kind = {method.kind: method for method in PRESETS[preset].methods()}
    for kind in kinds:
        rows = measure(case_of(preset, of_kind[kind]), 1)
        assert [row["episode"] for row in rows] == [*range(1_000_010, 1_000_020)]
        assert all(row["rounds"] <= 12 for row in rows)
        assert all(row["reached"] or row["target_s"] == 300.0 for row in rows)


def test_methods_differ_in_the_decision_that_their_kind_names() -> None:
    made = list(PRESETS["stragglers"].methods())
    assert {method.kind for method in made} == set(KINDS) - {RULE}
    for method in made:
        assert ("quorum" in method.sections.get("plan", {})) == (method.kind in (KINDS[2], KINDS[4]))
        assert ("quorum" in method.sections.get("training", {})) == (method.kind in (FIXED, KINDS[3], TUNED))
    for preset in PRESETS:
        names = [(method.kind, method.name) for method in PRESETS[preset].methods()]
        assert len(names) == len(set(names))
    steps = {(case["preset"], case["kind"]): case["steps"] for case in Cases(tuple(PRESETS))(quick=False)}
    assert steps["wearables", KINDS[2]] == 0
    assert steps["narrowband", KINDS[4]] < steps["wearables", KINDS[4]]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_rule_can_be_made(preset: str) -> None:
    setting = PRESETS[preset]
    for method in setting.methods():
        if method.agent != ALGORITHM:
            name, options = agents.parse(method.agent)
            sections = {"framework": setting.framework, "learner": setting.learner, **method.sections}
            agents.make(name, gym.make("SplitLearning-v0", scenario=preset, **sections), **options)


def table(**seconds: list[float]) -> pd.DataFrame:
    """Two seeds of five episodes each; who needs 300 s has missed the target."""
    return pd.DataFrame(
        {
            "preset": "wearables",
            "kind": FIXED if name == "slow" else KINDS[4],
            "method": name if name == "slow" else ALGORITHM,
            "seed": k // 5,
            "episode": k,
            "target_s": one,
            "reached": one < 300,
            "rounds": 10,
            "accuracy": 0.8,
            "plays": "train",
        }
        for name, values in seconds.items()
        for k, one in enumerate(values)
    )


def test_methods_of_a_seed_share_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the sections that the preset names for it, whatever a method itself opens."""
    searches = []

    class Once:
        def __init__(self, scenario: Any, *rest: Any) -> None:
            searches.append((scenario.training.quorum, *rest))

        def best(self) -> dict[str, Any]:
            return {"offset": 0.5}

    monkeypatch.setattr(factors, "Search", Once)
    opened = {"plan": {"quorum": "decided"}}
    env = gym.make("SplitLearning-v0", scenario="stragglers", framework="async-psl", learner="surrogate", **opened)
    for seed in (0, 0, 1):
        assert factors._tuned(env.unwrapped, "stragglers", seed, 3) == {"offset": 0.5}
    factors._searched.cache_clear()
    assert searches == [(1, 3, 0, "async-psl"), (1, 3, 1, "async-psl")]


def test_gains_by_hand() -> None:
    rows = table(slow=[100.0] * 8 + [300.0] * 2, learned=[70.0] * 10)
    found = gain(rows, (KINDS[4], ALGORITHM), (FIXED, "slow"))
    assert found.value == pytest.approx(1 - 70 / 140)
    assert 0.3 - 1e-9 <= found.low < found.value < found.high < 1 - 70 / 300
    means = summary(rows)
    assert means["method"].tolist() == [ALGORITHM, "slow"]
    assert means["reached"].tolist() == [10, 8]
    text = factors.report(rows)
    assert "| fixed value | slow | 140.0 | 8 of 10 | 10 |" in text
    assert "- learned, decided (ppo-equivariant) against fixed value (slow): 50 % [" in text
    factors.plot(rows, Figure())


def test_the_fixed_pair_of_cuts_is_the_best_on_average_and_the_decided_one_the_best_of_each_cell() -> None:
    seconds = {"1, 2": [1.0, 5.0, 3.0, 3.0], "2, 3": [4.0, 1.0, 2.0, 2.0]}
    rows = pd.DataFrame(
        {"width": 1.0, "seed": k // 2, "cell": k % 2, "cuts": pair, "latency_s": one}
        for pair, values in seconds.items()
        for k, one in enumerate(values)
    )
    found = cuts.summary(rows)
    assert found["fixed"].tolist() == ["2, 3", "2, 3"]
    np.testing.assert_allclose(found["fixed_s"], [2.5, 2.0])
    np.testing.assert_allclose(found["decided_s"], [1.0, 2.0])
    np.testing.assert_allclose(found["gain"], [60.0, 0.0])
    assert found["pairs"].tolist() == [2, 1]
    assert "| 1 | 2, 3 |" in cuts.report(rows)
    cuts.plot(rows, Figure())


def test_cuts_are_those_of_u_shaped_split_learning() -> None:
    """Ten units: the second cut lies behind the first, and leaves a unit to the clients."""
    rows = pd.DataFrame(cuts.measure({"width": 0.1}, 0))
    assert rows["cell"].nunique() == cuts.CELLS
    assert rows["cuts"].nunique() == 8 * 9 / 2
    assert (rows["latency_s"] > 0).all()
