"""Convergence without synchronisation: drift by hand, frameworks that have none, tables from curves by hand."""

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from experiments.convergence import EXPERIMENT, METHODS, drift, last_rounds, measure, with_percent
from splitgym.learning import Learner
from splitgym.scenario import build

CASE = {"partition": "Dirichlet 0.3", "cut_layer": 2, "rounds": 4, "every": 2}


def test_drift_by_hand() -> None:
    """Two clients' weights 1 apart in each of n entries lie sqrt(n) / 2 from their mean."""
    nodes = Learner(build("iot", {"clients": {"count": 2}}), "psl").nodes
    nodes.move_cut(1, [0, 1], [0.5, 0.5])
    assert drift(nodes) == 0
    with torch.no_grad():
        for value, client in zip((1.0, 2.0), nodes.clients, strict=True):
            for parameter in client.parameters:
                parameter.fill_(value)
    assert drift(nodes) == pytest.approx(0.5 / 1.5)


def test_only_clients_that_are_never_averaged_drift() -> None:
    ends = {name: measure({**CASE, "method": name}, 0)[-1] for name in METHODS}
    assert all((ends[name]["drift"] == 0) == (name in ("FL", "SFL-V1", "SFL-V2")) for name in METHODS)
    assert all(end["round"] == 4 for end in ends.values())
    # The slowest client is slower than the mean, and everybody waits for it.
    assert all(end["mixed_s"] > end["equal_s"] for end in ends.values())
    assert ends["FL"]["mixed_s"] > ends["PSL"]["mixed_s"]


def test_a_run_depends_on_its_seed_alone() -> None:
    case = {**CASE, "method": "EPSL(0.5)"}
    assert measure(case, 1) == measure(case, 1) != measure(case, 2)


def curves() -> pd.DataFrame:
    """PSL ends at 90 and 70 %, all others at 80 %; rounds take 2 s with equal and 3 s with mixed clients."""
    rows = [
        {"partition": "IID", "cut_layer": 1, "method": method, "seed": seed, "round": number, "accuracy": accuracy}
        for method in METHODS
        for seed, end in ((0, 0.9), (1, 0.7))
        for number, accuracy in ((10, 0.5), (20, end if method == "PSL" else 0.8))
    ]
    return pd.DataFrame(rows).assign(worst_accuracy=0.4, drift=0.1, equal_s=2.0, mixed_s=3.0)


def test_points_are_against_psl_of_the_same_seed() -> None:
    end = last_rounds(with_percent(curves()))
    assert list(end.query("method == 'FL'")["points"]) == pytest.approx([-10, 10])


def test_time_to_the_target_is_that_of_runs_that_reach_it() -> None:
    text = EXPERIMENT.report(curves())
    assert "| 2.00 | 3.00 | 40 (1 of 2) | 60 (1 of 2) |" in text
    assert "| 2.00 | 3.00 | 40 | 60 |" in text
    for plot in EXPERIMENT.plots.values():
        plot(curves(), Figure(layout="constrained"))
