"""The experiment on learned schedulers, in a short form on the surrogate."""

import pandas as pd
import pytest

from experiments.schedulers import CELLS, Cases, measure, report


def test_every_agent_plays_in_cells_that_it_was_not_made_for():
    """Twice the bandwidth in a round that transfers: nobody needs more time for the same set of clients."""
    who = ("greedy", "best-fixed", "tuned:rule=unified", "ppo-equivariant")
    cases = Cases(cells=("iot", "twice the bandwidth"), agents=who, learner="surrogate")(quick=False)
    rows = pd.DataFrame([{**case, "seed": 1, **row} for case in cases for row in measure(case, 1)])
    assert set(zip(rows["scenario"], rows["agent"], strict=True)) == {
        (cell, agent) for cell in ("iot", "twice the bandwidth") for agent in who
    }
    greedy = rows[rows["agent"] == "greedy"].set_index("scenario")["round_latency_s"]
    assert greedy["twice the bandwidth"] < greedy["iot"]
    text = report(rows)
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## iot", "## twice the bandwidth"]


def test_short_form_is_on_the_surrogate_of_the_first_cell():
    cases = Cases()(quick=True)
    assert {(case["scenario"], case["learner"]) for case in cases} == {(next(iter(CELLS)), "surrogate")}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"cells": ("the moon",)}, "--cells 'the moon' is unknown"), ({"agents": ("greed",)}, "agent 'greed' is unknown")],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Cases(**wrong)(quick=False)
