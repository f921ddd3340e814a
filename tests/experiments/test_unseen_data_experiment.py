"""Schedulers on data that they were not made for: what is played, and what the report says of known rows."""

from typing import Any

import pandas as pd
import pytest

from experiments import unseen_data
from experiments.unseen_data import AGENTS, LEARNED, POLICY, measure, report


def test_gains_are_those_of_the_policy_of_iot_over_the_same_episodes() -> None:
    seconds = dict.fromkeys(AGENTS, 400.0) | {POLICY: 300.0, "greedy": 1200.0}
    rows = pd.DataFrame(
        {"kind": AGENTS[agent], "method": agent, "episode": episode, "reached": True, "target_s": s, "rounds": 10}
        for agent, s in seconds.items()
        for episode in range(3)
    )
    text = report(rows)
    assert f"| `{POLICY}` | {LEARNED} | 300 | 3 of 3 | 10 |" in text
    assert "- greedy: 75 % [75, 75]" in text
    assert "- untrained:seed=1: 25 % [25, 25]" in text


@pytest.mark.parametrize("agent", ["greedy", POLICY])
def test_an_episode_that_misses_the_target_counts_with_the_budget(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Digits come with the installation, MNIST has to be brought.
    monkeypatch.setitem(unseen_data.TASK, "dataset", "digits")
    case: dict[str, Any] = {"kind": AGENTS[agent], "method": agent, "rounds": 2}
    (row,) = measure(case, 0)
    assert (row["reached"], row["target_s"], row["rounds"]) == (False, 3000.0, 2)
