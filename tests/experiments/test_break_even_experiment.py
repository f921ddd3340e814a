"""Break-even of FL and split learning: formulas against bits that real training hands over, crossings by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.break_even import EXPERIMENT, METHODS, Sizes, formula, measure, meets, scenario_of, sizes_of
from experiments.everybody import everybody
from splitgym.learning import Learner

CASE = {"network": "MLP, 8 x 8", "rows": 16}


@pytest.mark.parametrize("method", METHODS)
def test_formulas_are_the_bits_that_real_training_hands_over(method: str) -> None:
    scenario = scenario_of(CASE)
    framework, phi = METHODS[method]
    sent = []
    for cut_layer in (1, 2):
        learner = Learner(scenario, framework, 0)
        learner.round(everybody(scenario, cut_layer, phi))
        sent.append(sum(learner.traffic_bits.values()))
    assert formula(method, sizes_of(scenario), CASE["rows"]) == min(sent)


def test_measured_bits_are_those_of_the_formulas() -> None:
    rows = measure(CASE, 0)
    assert [row["bits"] for row in rows] == pytest.approx([row["formula_bits"] for row in rows])


def test_where_fl_and_psl_meet_they_send_as_much() -> None:
    sizes = Sizes(5, 9000.0, np.array([100.0, 4000.0]), np.array([30.0, 10.0]))
    assert meets(sizes) == 540
    assert formula("FL", sizes, 540) == formula("PSL", sizes, 540) == 32 * 9000 * 6


def test_crossings_by_hand() -> None:
    """FL takes 100 whatever the data; SL and SFL are ahead everywhere, EPSL(1) nowhere, PSL until 20 rows."""
    seconds = {"FL": lambda d: 100, "PSL": lambda d: 5 * d, "EPSL(1)": lambda d: 200 + d}
    rows = pd.DataFrame(
        {"network": "MLP, 8 x 8", "rows": d, "method": method, "seed": 0, "meets_rows": 20.0}
        | {name: float(seconds.get(method, lambda d: 1)(d)) for name in ("bits", "formula_bits", "seconds")}
        for d in (10, 40)
        for method in METHODS
    )
    text = EXPERIMENT.report(rows)
    assert "| MLP, 8 x 8 | more than 40 | more than 40 | 20 | more than 40 | fewer than 10 |" in text
    for plot in EXPERIMENT.plots.values():
        plot(rows, Figure(layout="constrained"))
