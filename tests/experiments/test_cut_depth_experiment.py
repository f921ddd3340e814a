"""Depth of the cut: what must not depend on it, and points by hand."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.cut_depth import EXPERIMENT, METHODS, measure, with_points

CASE = {"partition": "Dirichlet 0.1", "clients": 10, "rounds": 10}


@pytest.mark.parametrize("method", ["SFL-V1", "SFL-V1, averaged every 10"])
def test_whole_copies_that_are_averaged_learn_the_same_at_every_cut(method: str) -> None:
    """Each client's composed network trains alone between means, wherever it is cut."""
    (first,), (last,) = (measure({**CASE, "method": method, "cut_layer": cut}, 0) for cut in (1, 3))
    assert first["accuracy"] == last["accuracy"]
    assert first["loss"] == pytest.approx(last["loss"], rel=1e-4)


def test_clients_of_psl_that_hold_more_units_learn_something_else() -> None:
    (first,), (last,) = (measure({**CASE, "method": "PSL", "cut_layer": cut}, 0) for cut in (1, 3))
    assert first["loss"] != pytest.approx(last["loss"], rel=1e-3)


def test_points_are_against_the_shallowest_cut_of_the_same_seed() -> None:
    rows = pd.DataFrame(
        {"clients": 10, "partition": "IID", "method": method, "rounds": 5, "cut_layer": cut, "seed": seed}
        | {"accuracy": 0.9 - 0.1 * (cut - 1) * (1 + seed), "worst_accuracy": 0.1, "loss": 1.0}
        for method in METHODS
        for seed in (0, 1)
        for cut in (1, 2, 3)
    )
    points = with_points(rows).query("method == 'PSL' and cut_layer == 3")["points"]
    assert list(points) == pytest.approx([-20, -40])
    assert "| PSL | 90.0 ± 0.0 |" in EXPERIMENT.report(rows)
    for plot in EXPERIMENT.plots.values():
        plot(rows, Figure(layout="constrained"))
