"""Both readings of aggregated rows: runs against the framework alone, agreement where it is known, the table."""

from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.aggregation_reading import EXPERIMENT, METHODS, Cases, agreement, ends, measure
from experiments.everybody import everybody
from experiments.frameworks.methods import TASKS
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.learning import Learner
from splitgym.scenario import build

CASE = {"task": "digits", "clients": 2, "rounds": 4, "precision": "fp32"}


def test_looking_at_gradients_changes_no_training() -> None:
    task = TASKS["digits"]
    schedule = {"learning_rate_schedule": "one-cycle", "schedule_rounds": 4}
    every_round = {**task["task"], "evaluation_samples": None, "evaluate_every": 1}
    own = {"task": every_round, "training": {**task["training"], **schedule}, "clients": {"count": 2}}
    scenario = build("edge6g", own)
    learner = Learner(scenario, "epsl", seed=3)
    outcomes = [learner.round(everybody(scenario, 1, 1.0)) for _ in range(4)]
    rows = measure({**CASE, "method": "EPSL(1)"}, seed=3)
    assert [row["accuracy"] for row in rows] == [outcome.accuracy for outcome in outcomes]
    assert [row["loss"] for row in rows] == [outcome.loss for outcome in outcomes]
    assert all(0.5 < row["server_cosine"] < 1 for row in rows)


def seen(cut_layer: int) -> dict[str, float]:
    """Agreement in a first round of the small CNN, at a cut."""
    scenario = build("iot", {"clients": {"count": 3}, "training": {"batch_size": 8}})
    found: list[dict[str, float]] = []

    def look(nodes: Nodes, round_batch: RoundBatch) -> bool:
        found.append(agreement(nodes, round_batch))
        return True

    Learner(scenario, replace(get("epsl"), train=look), seed=1).round(everybody(scenario, cut_layer, 1.0))
    return found[0]


def test_readings_agree_where_the_server_is_linear_and_only_there() -> None:
    assert seen(cut_layer=3) == pytest.approx({"server_cosine": 1, "cut_cosine": 1}, abs=1e-5)
    assert max(seen(cut_layer=1).values()) < 0.9999


def test_points_are_against_the_same_seed_and_the_table_shows_them() -> None:
    accuracies = {"PSL": (0.9, 0.8), "PSL-drop(0.5)": (0.8, 0.8), "EPSL(1)": (0.7, 0.8)}
    table = pd.DataFrame(
        {**CASE, "method": method, "seed": seed, "round": number, "accuracy": accuracy * number / 4}
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
        for number in (2, 4)
    )
    nothing = float("nan")
    table = table.assign(balanced_accuracy=table["accuracy"], loss=1.0, server_cosine=nothing, cut_cosine=nothing)
    epsl = ends(table).query("method == 'EPSL(1)'")
    assert list(epsl["percent"] - epsl["psl"]) == pytest.approx([-20, 0])
    assert list(epsl["percent"] - epsl["drop"]) == pytest.approx([-10, 0])
    aggregates = table["method"] == "EPSL(1)"
    table.loc[aggregates, "server_cosine"] = table["round"] / 8
    lines = EXPERIMENT.report(table).splitlines()
    (line,) = (line for line in lines if line.startswith("| EPSL(1) "))
    assert line.endswith("| 1.00 ± 0.00 | 0.50 (0.25) |  |")
    assert " | -10.0 ± " in line
    EXPERIMENT.plots["accuracy"](table, Figure(layout="constrained"))


def test_quick_form_needs_no_data_and_unknown_methods_are_named() -> None:
    quick = EXPERIMENT.cases(True)
    assert {case["task"] for case in quick} == {"digits"}
    assert [case["method"] for case in quick] == list(METHODS)
    assert len(EXPERIMENT.cases(False)) == 2 * len(METHODS)
    with pytest.raises(ValueError, match=r"--methods 'EPSL\(2\)' is unknown"):
        Cases(methods=("EPSL(2)",))(False)
