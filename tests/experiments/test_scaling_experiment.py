"""Scaling over clients: a short run, and what stands beside PSL of the same seed."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.scaling import EXPERIMENT, METHODS, cases, measure, with_relatives


def test_up_to_200_clients_are_measured() -> None:
    assert {case["clients"] for case in cases(quick=False)} >= {5, 50, 200}


def test_more_clients_take_longer_and_hold_less() -> None:
    few, many = (measure({"clients": count, "method": "PSL", "rounds": 2}, 0)[0] for count in (5, 40))
    assert many["latency_s"] > few["latency_s"]
    assert few["samples_per_client"] == 8 * many["samples_per_client"]
    assert 0 <= many["worst_accuracy"] <= many["accuracy"] <= 1


def test_points_and_latency_against_psl_of_the_same_seed() -> None:
    table = pd.DataFrame(
        [
            {"clients": clients, "method": method, "seed": seed, "rounds": 5, "accuracy": 0.9 - 0.1 * (method != "PSL")}
            for clients in (5, 10)
            for method in METHODS
            for seed in (0, 1)
        ]
    )
    table["latency_s"] = table["clients"] * (1.0 + table["seed"]) / (1 + (table["method"] != "PSL"))
    found = with_relatives(table)
    assert list(found.query("method == 'EPSL(1)'")["points"]) == pytest.approx([-10] * 4)
    assert set(found.query("method == 'EPSL(1)'")["to_psl"]) == {0.5}
    assert "a round takes 2.0 times as long" in EXPERIMENT.report(table)
    for plot in EXPERIMENT.plots.values():
        plot(table, Figure(layout="constrained"))
