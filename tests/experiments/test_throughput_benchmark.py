"""The throughput benchmark measures what it says, and its costless environment costs nothing but looks the same."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import PPO

from experiments.benchmarks import throughput
from experiments.benchmarks.costless import Costless, Ends
from experiments.benchmarks.throughput import Options, main, measure
from splitgym.envs import SB3VecEnv

SMALL = {
    "actions": ("continuous",),
    "environments": (1, 3),
    "seconds": 0.02,
    "ppo_environments": (8,),
    "ppo_steps": 16384,
    "passes": 1,
    "sizes": ((4, 5),),
}


def test_costless_environments_have_the_same_spaces_and_end_their_episodes() -> None:
    ours = SB3VecEnv(6, scenario="iot", action="schedule", learner="surrogate")
    costless = Costless(ours, truncated=0.2, terminated=0.1)
    assert (costless.observation_space, costless.action_space) == (ours.observation_space, ours.action_space)
    assert costless.reset().shape == ours.reset().shape
    ended, cut_off, rounds = 0, 0, 400
    actions = np.zeros((6, 10), int)
    for _ in range(rounds):
        (observation, reward, done, infos), (one, another, yet_another, _) = costless.step(actions), ours.step(actions)
        for a, b in ((observation, one), (reward, another), (done, yet_another)):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert [bool(info) for info in infos] == done.tolist()
        ended += int(done.sum())
        cut_off += sum(info["TimeLimit.truncated"] for info in infos if info)
    assert ended / (6 * rounds) == pytest.approx(0.3, abs=0.04)
    assert cut_off / (6 * rounds) == pytest.approx(0.2, abs=0.04)


def test_ends_of_episodes_are_counted() -> None:
    budget = {"episode": {"max_rounds": 4, "target_accuracy": 1.0, "time_budget_s": 1e9, "round_timeout_s": 1e8}}
    envs, ends = SB3VecEnv(3, scenario="iot", action="schedule", learner="surrogate", **budget), Ends()
    PPO("MlpPolicy", envs, n_steps=8, batch_size=24, device="cpu").learn(24, callback=ends)
    assert (ends.truncated, ends.terminated) == (0.25, 0.0)


def test_every_number_is_measured_once_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "ROLLOUT", 256)
    rows = list(measure(Options(**(SMALL | {"ppo_steps": 256}))))
    whats = [row["what"] for row in rows]
    assert {what: whats.count(what) for what in whats} == {
        "single": 1, "vector": 2, "ppo": 1, "part": 5, "memory": 2, "size": 1,
    }  # fmt: skip
    assert all(row["value"] > 0 for row in rows)
    monkeypatch.setattr(throughput, "measure", lambda options: iter(rows))
    monkeypatch.setattr(sys, "argv", ["throughput", "--out", str(tmp_path / "new")])
    main()
    assert len(pd.read_csv(tmp_path / "new" / "throughput.csv")) == len(rows)
    text = (tmp_path / "new" / "throughput.md").read_text(encoding="utf-8")
    assert "| PPO with environments |" in text
    assert "| 4 | 5 |" in text
    assert (tmp_path / "new" / "throughput.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seconds": 0.0}, "--seconds 0.0, allowed: more than 0"),
        ({"ppo_steps": 1}, "--ppo-steps 1, allowed: 16384"),
        ({"passes": 0}, "--passes 0, allowed: 1"),
        ({"environments": (0,)}, "--environments 0, allowed: 1"),
    ],
)
def test_settings_that_are_not_allowed_are_named(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**setting).check()
