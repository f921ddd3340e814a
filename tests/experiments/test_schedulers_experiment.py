"""The experiment on learned schedulers, in a short form on the surrogate."""

import sys

import pandas as pd
import pytest

from experiments import schedulers

SHORT = ["--learner", "surrogate", "--episodes", "1", "--workers", "1"]


def test_every_agent_that_is_made_for_a_cell_plays_it(tmp_path, monkeypatch):
    """The best fixed decision is tuned for presets only."""
    cells, who = ["iot", "twice the bandwidth"], ["greedy", "best-fixed", "ppo-equivariant"]
    monkeypatch.setattr(sys, "argv", ["x", *SHORT, "--out", str(tmp_path), "--cells", *cells, "--agents", *who])
    schedulers.main()
    episodes = pd.read_csv(tmp_path / "surrogate.csv")
    played = {cell: set(rows["agent"]) for cell, rows in episodes.groupby("scenario")}
    assert played == {"iot": set(who), "twice the bandwidth": {"greedy", "ppo-equivariant"}}
    report = (tmp_path / "surrogate.md").read_text(encoding="utf-8")
    assert [line for line in report.splitlines() if line.startswith("## ")] == [f"## {cell}" for cell in cells]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "the moon"], "--cells 'the moon' is unknown"),
        (["--episodes", "0"], "--episodes 0, allowed: 1 or more"),
        (["--agents", "greed"], "agent 'greed' is unknown"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments, message, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", *arguments])
    with pytest.raises(ValueError, match=message):
        schedulers.main()
