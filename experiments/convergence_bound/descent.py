"""EPSL and PSL as steepest descent on F, and what the bound on it needs.

PSL with everybody and plain SGD is SGD on F(w_s, w_1, ..., w_n) with a step p_s = eta_s of the server and p_i = eta_c /
lambda_i of each client, as a client applies the gradient of its own loss. Aggregating rows changes the gradient that
is expected: products of two factors of a row (what goes into a layer, and what comes back) become products of their
means over clients, which keeps a share 1 / n of their covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.convergence_bound.problems import Problem, Weights, loss_of, pick, whole


@dataclass
class Gradients:
    """Of F with respect to all weights, in R runs."""

    server: Tensor
    """[R, ...]"""
    clients: Tensor
    """[R, n, ...]"""

    def weighted(self, of_server: float, of_client: float) -> Tensor:
        """[R] squared length, the squares of each part weighted: with the steps it is || . ||_P^2."""
        server, clients = (each.flatten(1).square().sum(1) for each in (self.server, self.clients))
        return of_server * server + of_client * clients

    def less(self, other: "Gradients") -> "Gradients":
        """The difference."""
        return Gradients(self.server - other.server, self.clients - other.clients)


def step_gradients(problem: Problem, weights: Weights, rows: Tensor, aggregated: int) -> Gradients:
    """The gradients with which a round of EPSL trains; of PSL if no rows are aggregated.

    Args:
        problem: What is learnt.
        weights: Before the round.
        rows: [R, n, b] numbers of the rows in the mini-batches.
        aggregated: m; the first m rows of each mini-batch go back by their mean over the clients.
    """
    n, b = rows.shape[1:]
    inputs = pick(problem.inputs, rows)
    smashed = problem.smashed(weights.clients, inputs)
    entered = problem.into_server(smashed, rows)
    z = problem.output_gradients(problem.outputs(weights.server, smashed, rows), rows)
    mean = z[:, :, :aggregated].mean(1)
    common = problem.to_cut(weights.server, mean)
    of_common = torch.einsum("rnji,rjo->rnio", inputs[:, :, :aggregated], common)
    own = problem.to_cut(weights.server, z[:, :, aggregated:])
    of_own = torch.einsum("rnji,rnjo->rnio", inputs[:, :, aggregated:], own)
    server = torch.einsum("rji,rjo->rio", entered[:, :, :aggregated].mean(1), mean)
    server = server + torch.einsum("rnji,rnjo->rio", entered[:, :, aggregated:], z[:, :, aggregated:]) / n
    return Gradients(server / b, (of_common + of_own) / (n * b))


def exact(problem: Problem, weights: Weights) -> Gradients:
    """The gradients of F."""
    return step_gradients(problem, weights, whole(problem, len(weights.server)), 0)


def expected(problem: Problem, weights: Weights, share: float) -> Gradients:
    """The mean of `step_gradients` over mini-batches of independent rows.

    Args:
        problem: What is learnt.
        weights: Before the round.
        share: m / b, of the rows that are aggregated.
    """
    n, right = len(problem.inputs), exact(problem, weights)
    rows = whole(problem, len(weights.server))
    smashed = problem.smashed(weights.clients, pick(problem.inputs, rows))
    entered = problem.into_server(smashed, rows)
    z = problem.output_gradients(problem.outputs(weights.server, smashed, rows), rows)
    z_mean, entered_mean, inputs_mean = z.mean(2), entered.mean(2), problem.inputs.mean(1)
    # E[mean_i(a_i) mean_k(z_k)]: of the same client the products' mean, of two clients the product of their means.
    of_two = torch.einsum("rni,rko->rio", entered_mean, z_mean) - torch.einsum("rni,rno->rio", entered_mean, z_mean)
    server = right.server / n + of_two / n**2
    others = problem.to_cut(weights.server, (z_mean.sum(1, keepdim=True) - z_mean) / n)
    clients = right.clients / n + torch.einsum("ni,rno->rnio", inputs_mean, others) / n
    return Gradients((1 - share) * right.server + share * server, (1 - share) * right.clients + share * clients)


def mini_batches(problem: Problem, runs: int, size: int, generator: torch.Generator) -> Tensor:
    """[R, n, b] numbers of rows, each drawn from all of a client's."""
    n, samples = problem.inputs.shape[:2]
    return torch.randint(samples, (runs, n, size), generator=generator)


def curvature(problem: Problem, weights: Weights) -> float:
    """The largest absolute eigenvalue of the Hessian of F at one run's weights."""
    parts = [each.clone().requires_grad_() for each in (weights.server, weights.clients)]
    return largest_curvature(loss_of(problem, Weights(*parts)).sum(), parts, steps=100)


def largest_curvature(loss: Tensor, weights: Sequence[Tensor], steps: int) -> float:
    """The largest absolute eigenvalue of a loss's Hessian, by power iteration."""
    slope = torch.cat([each.flatten() for each in torch.autograd.grad(loss, weights, create_graph=True)])
    vector = torch.ones_like(slope) + torch.arange(len(slope)) / len(slope)
    for _ in range(steps):
        found = torch.autograd.grad(slope @ (vector / vector.norm()).detach(), weights, retain_graph=True)
        vector = torch.cat([each.flatten() for each in found])
    return float(vector.norm())
