"""The last client of SL: a client's accuracy by hand, and its lead over the others."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.last_client import CLIENTS, EXPERIMENT, METHODS, accuracy_of_clients, findings, measure
from splitgym.learning import Learner
from splitgym.scenario import build


def test_a_clients_accuracy_is_that_on_its_own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = Learner(build("iot", {"clients": {"count": 2}}), "sl")
    learner.class_counts[:] = 0
    learner.class_counts[0, 3] = 7
    learner.class_counts[1, [3, 4]] = 1, 3
    correct = learner.evaluator.correct(learner.nodes)
    correct[:, 3], correct[:, 4] = learner.evaluator.class_counts[3], 0
    monkeypatch.setattr(learner.evaluator, "correct", lambda nodes: correct)
    assert list(accuracy_of_clients(learner)) == pytest.approx([1.0, 0.25])


def test_every_client_has_a_row_in_the_order_of_training() -> None:
    rows = measure({"partition": "IID", "method": "SL", "passes": 1}, 0)
    assert [row["place"] for row in rows] == list(range(CLIENTS))
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_the_lead_of_the_last_client_by_hand() -> None:
    rows = pd.DataFrame(
        {"partition": "IID", "method": method, "passes": 1, "seed": seed, "place": place}
        | {"accuracy": 0.5 + (0.1 + 0.2 * seed) * (place == CLIENTS - 1)}
        for method in METHODS
        for seed in (0, 1)
        for place in range(CLIENTS)
    )
    ((_, told),) = findings(rows.assign(percent=100 * rows["accuracy"]))
    # Leads of 10 and 30 points: half width 12.706 * 14.142 / sqrt(2).
    assert "SL 20.0 ± 127.1 points" in told
    assert "| 1 | 50.0 ± 0.0 |" in EXPERIMENT.report(rows)
    for plot in EXPERIMENT.plots.values():
        plot(rows, Figure(layout="constrained"))
