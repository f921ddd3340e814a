"""Aggregated gradients by layer: what one client and no aggregation keep, and the covariance of a plain program."""

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from experiments.aggregated_gradients import EXPERIMENT, kept, measure, product_of_means
from splitgym.frameworks.round_batch import RoundBatch

CASE = {"task": "digits", "statistics": "none", "rounds": 12, "batch": 8}


def test_projections_by_hand() -> None:
    assert kept(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0])) == 0.5


def test_of_rows_that_are_all_alike_the_product_of_means_is_the_whole_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    row, layer = torch.randn(1, 6, generator=generator), torch.nn.Linear(6, 3)
    inputs = row.expand(4, 6).clone()
    labels = torch.full((2, 2), 1)
    loss = torch.nn.functional.cross_entropy(layer(inputs), labels.flatten())
    (gradient,) = torch.autograd.grad(loss, layer.weight)
    batch = RoundBatch((0, 1), torch.full((2,), 0.5), inputs, labels, 0, torch.zeros(2))
    torch.testing.assert_close(product_of_means(inputs, layer(inputs).detach(), batch), gradient)
    # With another class in half of the rows it is the gradient still, as activations do not vary.
    labels[1] = 2
    loss = torch.nn.functional.cross_entropy(layer(inputs), labels.flatten())
    (gradient,) = torch.autograd.grad(loss, layer.weight)
    torch.testing.assert_close(product_of_means(inputs, layer(inputs).detach(), batch), gradient)


def test_the_share_of_the_covariance_falls_with_the_clients_as_expected() -> None:
    rows = pd.DataFrame(
        {"clients": n, "seed": 0, **CASE, **row} for n in (2, 10) for row in measure({**CASE, "clients": n}, 0)
    )
    last = rows[rows["unit"] == 4].groupby(["clients", "phi", "reading"])["covariance_kept"].mean()
    for (n, phi, _), found in last.items():
        # Expected of independent rows; a mini-batch's rows are so few that it varies.
        assert found == pytest.approx(1 - phi + phi / n, abs=0.15)
    assert set(rows["unit"]) == {2, 3, 4}
    assert "| 2 | 0.5 | mean field | 0.75 |" in EXPERIMENT.report(rows)
    for plot in EXPERIMENT.plots.values():
        plot(rows, Figure(layout="constrained"))
