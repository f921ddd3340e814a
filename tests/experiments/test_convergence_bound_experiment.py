"""The convergence bound: gradients against the real framework, autograd and many draws; curvature and F* directly."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from experiments.convergence_bound import EXPERIMENT, measure
from experiments.convergence_bound.descent import curvature, exact, expected, mini_batches, step_gradients
from experiments.convergence_bound.problems import Logistic, Quadratic, Weights, loss_of
from experiments.convergence_bound.runs import PROBLEMS, Curve
from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.models import CuttableNetwork
from splitgym.scenario import Training

CLIENTS = 3


def some_weights(problem: Quadratic | Logistic, runs: int = 1, seed: int = 0) -> Weights:
    """Away from the start."""
    start, generator = problem.start(runs), torch.Generator().manual_seed(seed)
    drawn = (torch.randn(each[:1].shape, generator=generator).double() for each in (start.server, start.clients))
    server, clients = (each.expand(runs, *each.shape[1:]) for each in drawn)
    return Weights(server.clone(), clients.clone())


@pytest.mark.parametrize("kind", PROBLEMS.values())
def test_the_exact_gradient_is_autograds(kind: type[Quadratic] | type[Logistic]) -> None:
    problem = kind(CLIENTS, 0)
    weights = some_weights(problem)
    parts = [weights.server.requires_grad_(), weights.clients.requires_grad_()]
    server, clients = torch.autograd.grad(loss_of(problem, weights).sum(), parts)
    found = exact(problem, weights)
    torch.testing.assert_close(found.server, server)
    torch.testing.assert_close(found.clients, clients)


@pytest.mark.parametrize("m", [0, 2, 5])
def test_a_step_is_that_of_the_real_framework(m: int) -> None:
    """One learning rate: the server moves by it, a client by n times its share of the gradient of F."""
    problem, rate, b = Logistic(CLIENTS, 1), 0.1, 5
    weights = problem.start(1)
    rows = mini_batches(problem, 1, b, torch.Generator().manual_seed(2))
    d, k = weights.clients.shape[2:]
    network = CuttableNetwork(
        {"prefix": nn.Linear(d, k, bias=False), "head": nn.Linear(k, weights.server.shape[-1], bias=False)}
    ).double()
    with torch.no_grad():
        network.units[0].weight.copy_(weights.clients[0, 0].T)
        network.units[1].weight.copy_(weights.server[0].T)
    settings = Training(optimizer="sgd", client_learning_rate=rate, server_learning_rate=rate)
    nodes = Nodes(network, CLIENTS, settings, get("epsl").segments)
    nodes.move_cut(1, range(CLIENTS), np.full(CLIENTS, 1 / CLIENTS))
    images = torch.stack([problem.inputs[i, rows[0, i]] for i in range(CLIENTS)])
    labels = torch.stack([problem.labels[i, rows[0, i]] for i in range(CLIENTS)])
    share = torch.full((CLIENTS,), 1 / CLIENTS, dtype=torch.float64)
    losses = torch.zeros(CLIENTS, dtype=torch.float64)
    assert get("epsl").train(nodes, RoundBatch(tuple(range(CLIENTS)), share, images, labels, m, losses))
    found = step_gradients(problem, weights, rows, m)
    trained = torch.stack([client.units[0].weight.T for client in nodes.clients])
    torch.testing.assert_close(trained, weights.clients[0] - CLIENTS * rate * found.clients[0])
    torch.testing.assert_close(nodes.server.units[1].weight.T, weights.server[0] - rate * found.server[0])


@pytest.mark.parametrize("kind", PROBLEMS.values())
def test_the_expected_gradient_is_the_mean_of_many(kind: type[Quadratic] | type[Logistic]) -> None:
    problem, runs, b, m = kind(CLIENTS, 0), 20_000, 2, 1
    weights = some_weights(problem, runs)
    drawn = step_gradients(problem, weights, mini_batches(problem, runs, b, torch.Generator().manual_seed(1)), m)
    mean = expected(problem, some_weights(problem), m / b)
    for found, right in ((drawn.server, mean.server[0]), (drawn.clients, mean.clients[0])):
        z = (found.mean(0) - right) / (found.std(0) / runs**0.5)
        assert z.abs().max() < 5
    # It is not the exact gradient.
    right = exact(problem, some_weights(problem))
    assert ((drawn.server.mean(0) - right.server[0]) / (drawn.server.std(0) / runs**0.5)).abs().max() > 10


def test_of_independent_clients_alike_the_share_of_the_covariance_stays() -> None:
    """Where clients have the same data, aggregation keeps 1 - phi + phi / n of the covariance, all of the means."""
    problem = Quadratic(CLIENTS, 0)
    for of_client in (problem.inputs, problem.passed, problem.targets):
        of_client[:] = of_client[0].clone()
    weights = problem.start(1)
    z, entered = -problem.targets[0], problem.passed[0]
    means = torch.outer(entered.mean(0), z.mean(0))
    covariance = entered.T @ z / len(z) - means
    for share in (0.0, 0.5, 1.0):
        kept = 1 - share + share / CLIENTS
        torch.testing.assert_close(expected(problem, weights, share).server[0], means + kept * covariance)


@pytest.mark.parametrize("kind", PROBLEMS.values())
def test_the_curvature_is_the_largest_eigenvalue_of_the_hessian(kind: type[Quadratic] | type[Logistic]) -> None:
    problem = kind(2, 0)
    weights = some_weights(problem)
    size = weights.server.numel()

    def loss(flat: torch.Tensor) -> torch.Tensor:
        own = flat[:size].view_as(weights.server), flat[size:].view_as(weights.clients)
        return loss_of(problem, Weights(*own)).sum()

    flat = torch.cat([weights.server.flatten(), weights.clients.flatten()])
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))
    assert curvature(problem, weights) == pytest.approx(float(values.abs().max()), rel=1e-3)


@pytest.mark.parametrize("kind", PROBLEMS.values())
def test_training_comes_near_the_least_loss_and_not_below(kind: type[Quadratic] | type[Logistic]) -> None:
    problem = kind(2, 0)
    weights = problem.start(1)
    step = 0.5 / curvature(problem, weights)
    for _ in range(4000):
        found = exact(problem, weights)
        weights = Weights(weights.server - step * found.server, weights.clients - step * found.clients)
    gap, first = (float(loss_of(problem, each)[0]) - problem.least() for each in (weights, problem.start(1)))
    assert -1e-9 < gap < 0.02 * first


def test_the_bound_by_hand() -> None:
    curve = Curve([3.0, 1.0], [0.5, 0.3], [0.2, 0.0], beta=2.0, longest_step=0.25, first_gap=4.0)
    assert curve.measured(2) == pytest.approx(2.0)
    assert curve.bound(2) == pytest.approx(2 * 4 / (0.25 * 2) + (2 * 0.8 + 0.2) / 2)
    assert curve.applies


def test_a_row_for_each_number_of_rounds_and_a_page_of_them() -> None:
    case = {"clients": 2, "batch": 4, "ratio": 0.0, "step": 1.0, "same_rate": False}
    found = [
        {**case, "problem": name, "seed": 0, **row}
        for name in PROBLEMS
        for row in measure({**case, "problem": name}, 0)
    ]
    rows = pd.DataFrame(found)
    assert (rows["measured"] <= rows["bound"]).all()
    assert "| quadratic | 200 | 100% |" in EXPERIMENT.report(rows)
    for plot in EXPERIMENT.plots.values():
        plot(rows, Figure(layout="constrained"))
