"""What leaks of each class of HAM10000: scores by hand, and what the report makes of a table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from experiments.label_leak.ham10000 import EXPERIMENT, METHODS, cases, direction_by_class, plot, report


def test_direction_by_hand() -> None:
    """Two rows of class 0 point one way; of class 1 one does so, too, and one to the other side; one of class 2."""
    gradients = np.array([[1.0, 0.0], [2.0, 0.1], [1.0, -0.2], [-1.0, 0.0], [0.0, 1.0]])
    labels = np.array([0, 0, 1, 1, 2])
    areas = direction_by_class(gradients, labels, 4)
    # Beside the one row of class 0 the other is the nearest of all. Beside the first of class 1 all others are nearer
    # than the second; beside the second those of class 0 are farther than the first, and that of class 2 is nearer.
    np.testing.assert_allclose(areas, [1.0, (0 + 2 / 3) / 2, np.nan, np.nan])


def test_direction_is_the_area_of_scikit_learn_and_a_guess_for_shuffled_labels() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 400, p=[0.67, 0.3, 0.03])
    gradients = np.eye(6)[labels] + 0.7 * rng.normal(size=(400, 6))
    areas = direction_by_class(gradients, labels, 3)
    known = np.flatnonzero(labels == 2)[:10]
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    expected = []
    for row in known:
        rest = np.arange(400) != row
        expected.append(roc_auc_score(labels[rest] == 2, unit[rest] @ unit[row]))
    assert areas[2] == pytest.approx(np.mean(expected))
    assert areas.min() > 0.6
    shuffled = [direction_by_class(gradients, rng.permutation(labels), 3) for _ in range(20)]
    np.testing.assert_allclose(np.mean(shuffled, axis=0), 0.5, atol=0.04)


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two classes, two seeds; the tail hides the rare class."""
    return pd.DataFrame(
        [
            {
                **{"tail": tail, "defence": defence, "rounds": 100, "seed": seed, "class": name, "share": share},
                **{"accuracy": 0.7, "balanced": 0.4 + 0.1 * seed, "clusters_early": 0.2, "clusters_late": 0.3},
                **{
                    "direction_early": 1.0,
                    "direction_late": (0.9 if name == "nv" else 0.8 - 0.2 * seed) + 0.05 * (defence != "none"),
                },
            }
            for tail, defence in METHODS
            for seed in (0, 1)
            for name, share in (("mel", 0.33), ("nv", 0.67))
        ]
    )


def test_report_by_hand(rows: pd.DataFrame) -> None:
    text = report(rows)
    assert "gives 0.90 for nv and 0.70 for the mean of the rarer classes in the last rounds" in text
    assert "with max-norm noise 0.95 and 0.75." in text
    assert "| loss, 1 layer, max-norm | 70.0 ± 0.0 | 45.0 ± 63.5 | 0.85 ± 0.64 | 0.30 ± 0.00 |" in text
    assert text.index("| nv | 67.0 |") < text.index("| mel | 33.0 |")
    assert "| mel | 33.0 | 1.00 / 0.70 |" in text
    figure = Figure()
    plot(rows, figure)
    assert len(figure.axes[0].patches) == 2 * len(METHODS)


def test_full_form_has_every_method() -> None:
    assert [(case["tail"], case["defence"]) for case in cases(False)] == list(METHODS)
    assert len(cases(True)) == 1
    assert EXPERIMENT.seeds == 3
