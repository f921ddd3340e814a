"""The oracle is the fastest in every episode; head-room is counted by hand."""

import numpy as np
import pandas as pd
import pytest

from splitgym.evaluation import ORACLE, Comparison, with_oracle

TIMES_S = {"rule": [10.0, 20.0, 30.0, 40.0], "ahead": [8.0, 22.0, 20.0, 30.0], "policy": [9.0, 15.0, 25.0, 35.0]}


def episodes():
    rows = [
        {"scenario": "cell", "agent": agent, "seed": seed, "time_to_target_s": time_s, "reached": True}
        for agent, times in TIMES_S.items()
        for seed, time_s in enumerate(times)
    ]
    return pd.DataFrame(rows)


def test_it_is_the_fastest_of_those_it_is_made_of_in_every_episode():
    table = with_oracle(episodes(), ["rule", "ahead"])
    own = table[table["agent"] == ORACLE].sort_values("seed")
    assert own["time_to_target_s"].tolist() == [8.0, 20.0, 20.0, 30.0]
    assert len(table) == 16


def test_head_room_closed_is_what_the_policy_saves_over_what_the_oracle_saves():
    """Interquartile means of four are those of the middle two: 25, 20 and 20."""
    summary = Comparison(with_oracle(episodes(), ["rule", "ahead"]), "rule", ORACLE).summary().set_index("agent")
    middle = {name: np.sort(times)[1:3].mean() for name, times in TIMES_S.items()}
    expected = (middle["rule"] - middle["policy"]) / (middle["rule"] - 20.0)
    assert summary.loc["policy", "headroom"] == pytest.approx(expected)
    assert summary.loc[ORACLE, "headroom"] == pytest.approx(1.0)


def test_it_is_made_of_agents_that_are_there():
    with pytest.raises(ValueError, match=r"of = \['nobody'\], allowed: agents of the episodes"):
        with_oracle(episodes(), ["nobody"])
