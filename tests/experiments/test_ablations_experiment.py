"""Ablations: what is hidden is hidden, and a variation differs in what its name says."""

import numpy as np
import pandas as pd
import torch
from gymnasium import spaces

from experiments.ablations import RECIPE, VARIATIONS, Blinded, _indices, cases, measure, report


def test_hidden_entries_are_zero_and_no_others():
    blinded = Blinded(spaces.Box(0.0, 1.0, (5,), np.float32), [1, 3])
    assert blinded(torch.ones(2, 5)).tolist() == [[1.0, 0.0, 1.0, 0.0, 1.0]] * 2


def test_entries_are_found_by_name():
    """Eleven entries of each of two clients, then those of the cell; losses are the third of a client's."""
    environment = {"scenario": "toy", "action": "priority"}
    assert _indices(["loss"], environment) == [4, 5]
    assert _indices([], environment) == []


def test_variations_differ_in_what_they_say():
    by_name = {case["variation"]: case for case in cases(quick=True)}
    assert list(by_name) == list(VARIATIONS)
    for name, differs in VARIATIONS.items():
        assert {key: by_name[name][key] for key in differs} == dict(differs)
        same = by_name[RECIPE].keys() - differs.keys() - {"variation"}
        assert all(by_name[name][key] == by_name[RECIPE][key] for key in same)


def test_a_training_is_repeated_by_its_seed_and_reported():
    case = {**cases(quick=True)[-3], "steps": 1}
    rows = measure(case, 3)
    assert rows == measure(case, 3)
    assert len(rows) == 100
    assert all(row["time_to_target_s"] <= 300 for row in rows)
    table = pd.DataFrame([{**case, "seed": 3, **row} for row in rows]).assign(variation=RECIPE)
    mean = np.mean([row["time_to_target_s"] for row in rows])
    assert f"| {RECIPE} | {mean:.1f} | {mean:.1f} .. {mean:.1f} | 1.00 |" in report(table)
