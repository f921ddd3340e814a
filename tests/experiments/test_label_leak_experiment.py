"""Leak of labels: scores by hand and in limits, defences by their law, and a short run from cases to plots."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from experiments.label_leak import EXPERIMENT, cases, measure, scores_of
from experiments.label_leak.defences import marvell, max_norm, variances
from experiments.label_leak.scores import (
    auc,
    cluster_directions,
    direction_score,
    leak,
    most_negative,
    norm_score,
    recall_by_class,
    spectral_score,
)
from experiments.label_leak.task import cnn_and_loss, one_against_all


def softmax_gradients(rng: np.random.Generator, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """softmax - one-hot, with labels that are as likely as the network says of a rare class 1."""
    logits = rng.normal(size=(rows, classes)) - 2 * (np.arange(classes) == 1)
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in odds])
    return odds - np.eye(classes)[labels], labels


def test_area_under_the_curve_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        score, positive = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.3
        assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert auc(np.array([1.0, 2.0, 3.0, 2.0]), np.array([False, True, True, False])) == pytest.approx(3.5 / 4)
    with pytest.raises(ValueError, match="positive = 4 of 4 rows"):
        auc(np.arange(4.0), np.ones(4, bool))


@pytest.mark.parametrize("classes", [2, 7])
def test_the_loss_alone_gives_all_labels_away(classes: int) -> None:
    """The only negative entry of softmax - one-hot is the label."""
    gradients, labels = softmax_gradients(np.random.default_rng(1), 400, classes)
    np.testing.assert_array_equal(most_negative(gradients), labels)
    if classes == 2:
        known = gradients[labels == 1][0]
        assert leak(direction_score(gradients, known), labels == 1) == 1.0


def test_shuffled_labels_are_a_guess() -> None:
    rng = np.random.default_rng(2)
    gradients, labels = softmax_gradients(rng, 4000, 2)
    shuffled = rng.permutation(labels) == 1
    known = gradients[shuffled][0]
    for score in (norm_score(gradients), direction_score(gradients, known), spectral_score(gradients)):
        assert auc(score, shuffled) == pytest.approx(0.5, abs=0.03)
    assert auc(norm_score(gradients), labels == 1) > 0.8


def test_scores_by_hand() -> None:
    np.testing.assert_allclose(norm_score(np.array([[3.0, 4.0], [0.0, 0.0]])), [5, 0])
    np.testing.assert_allclose(
        direction_score(np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]]), np.array([5.0, 0.0])),
        [1, 0, -1, 0],
    )
    # All but one lie on a line; that of the greatest variance is the first axis.
    found = spectral_score(np.array([[3.0, 0.0], [-1.0, 0.1], [-1.0, -0.1], [-1.0, 0.0]]))
    np.testing.assert_allclose(found, [9, 1, 1, 1], rtol=0.02)


def test_clusters_of_directions_are_the_classes_where_these_have_directions_of_their_own() -> None:
    """Whatever the lengths and the numbers of rows: one class has two thirds of them."""
    rng = np.random.default_rng(3)
    labels = rng.choice(4, 300, p=[0.67, 0.13, 0.1, 0.1])
    centres = np.linalg.qr(rng.normal(size=(12, 4)))[0].T
    gradients = (centres[labels] + 0.1 * rng.normal(size=(300, 12))) * rng.lognormal(size=(300, 1))
    member = cluster_directions(gradients, 4, rng)
    np.testing.assert_array_equal(recall_by_class(member, labels, 4), np.ones(4))


def test_recall_by_class_by_hand() -> None:
    """Cluster 1 is matched to class 0 and the other way round; class 2 has no rows."""
    member, labels = np.array([1, 1, 0, 0, 0, 2]), np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(recall_by_class(member, labels, 3), [2 / 3, 2 / 3, np.nan])


def test_max_norm_noise_hides_lengths_and_keeps_the_mean() -> None:
    chance = torch.Generator().manual_seed(0)
    gradients = torch.tensor([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0]], dtype=torch.float64)
    sent = torch.stack([max_norm(gradients, chance) for _ in range(20_000)])
    torch.testing.assert_close(sent.mean(0), gradients, rtol=0, atol=0.1)
    torch.testing.assert_close(sent.square().sum(2).mean(0)[:2], torch.tensor([25.0, 25.0]).double(), rtol=0.05, atol=0)
    assert torch.equal(sent[0, 0], gradients[0])  # The longest has no noise.
    assert not sent[:, 2].any()
    # Nor is a square too small for a number.
    assert torch.isfinite(max_norm(torch.tensor([[1.0, 0.0], [1e-25, 0.0]]), chance)).all()


def divergence(noise: np.ndarray, spread: list[float], length: float, dimensions: int) -> float:
    """Sum of both Kullback-Leibler divergences of two normal distributions, by their matrices."""
    means = np.zeros((2, dimensions))
    means[1, 0] = length
    covariances = [
        np.diag([s + own[0]] + [s + own[1]] * (dimensions - 1)) for s, own in zip(spread, noise, strict=True)
    ]
    total = 0.0
    for one, other in ((0, 1), (1, 0)):
        inverse, difference = np.linalg.inv(covariances[other]), means[other] - means[one]
        logs = np.linalg.slogdet(covariances[other])[1] - np.linalg.slogdet(covariances[one])[1]
        total += (np.trace(inverse @ covariances[one]) + difference @ inverse @ difference - dimensions + logs) / 2
    return total


@pytest.mark.parametrize(("spread", "fraction"), [([0.2, 0.5], 0.1), ([0.01, 0.01], 0.5), ([1.0, 0.3], 0.3)])
def test_the_noise_of_marvell_is_the_best_of_its_power(spread: list[float], fraction: float) -> None:
    length, dimensions, power = 1.3, 6, 2.0
    found = variances(spread, length, fraction, dimensions, power)
    weights = np.outer([1 - fraction, fraction], [1.0, dimensions - 1.0])
    assert (found >= 0).all()
    assert (found * weights).sum() == pytest.approx(power)
    best = min(
        minimize(
            lambda x: divergence(x.reshape(2, 2), spread, length, dimensions),
            start,
            method="SLSQP",
            bounds=[(0, None)] * 4,
            constraints={"type": "ineq", "fun": lambda x: power - (x.reshape(2, 2) * weights).sum()},
        ).fun
        for start in np.random.default_rng(0).uniform(0.05, 0.4, (5, 4))
    )
    assert divergence(found, spread, length, dimensions) <= best * (1 + 1e-3)


def test_marvell_takes_from_the_scores_what_gradients_say() -> None:
    rng, chance = np.random.default_rng(4), torch.Generator().manual_seed(1)
    positive = rng.random(2000) < 0.2
    gradients = 0.1 * rng.normal(size=(2000, 8)) + positive[:, None] * np.eye(8)[0]
    sent = marvell(torch.tensor(gradients), torch.tensor(positive), chance, 25.0).numpy()
    known = sent[positive][0]
    assert leak(direction_score(gradients, np.eye(8)[0]), positive) > 0.99
    assert leak(direction_score(sent, known), positive) < 0.65
    assert leak(norm_score(sent), positive) < 0.65
    one_class = torch.tensor(gradients[positive])
    assert marvell(one_class, torch.ones(len(one_class), dtype=torch.bool), chance, 1.0) is one_class


def test_the_task_has_a_rare_class_and_a_network_that_ends_in_nothing() -> None:
    source = one_against_all()
    assert set(source.labels) == {0, 1}
    assert 0.05 < source.labels.mean() < 0.15
    x = torch.randn(3, 1, 8, 8)
    network = cnn_and_loss((1, 8, 8), 10).eval()
    assert torch.equal(network(x), network(x, 0, 4))


def test_a_short_run_is_reported_and_drawn() -> None:
    """The loss alone: every label; and both frameworks have a time."""
    short = [{**case, "rounds": 24} if case["part"] == "leak" else case for case in cases(quick=True)]
    wanted = [case for case in short if case["part"] == "bandwidth" or case["tail"] <= 0][:5] + short[-1:]
    rows = [{**case, "seed": 0, **row} for case in wanted for row in measure(case, 0)]
    assert rows[0]["most_negative_early"] == rows[0]["most_negative_late"] == 1
    assert rows[0]["direction_early"] == 1
    table = pd.DataFrame(rows)
    text = EXPERIMENT.report(table)
    assert "| loss alone | none |" in text
    assert "subchannel (MHz)" in text
    for plot in EXPERIMENT.plots.values():
        plot(table, Figure(layout="constrained"))


def test_scores_of_a_client_leave_out_the_row_that_is_known() -> None:
    gradients, labels = softmax_gradients(np.random.default_rng(5), 60, 2)
    found = scores_of(gradients, gradients, labels, np.random.default_rng(0))
    assert found["direction"] == found["most_negative"] == 1
