"""A setting of clients, mini-batches, aggregation and steps, run: what is measured, beside what the bound says."""

from dataclasses import dataclass
from math import ceil

import torch

from experiments.convergence_bound.descent import (
    Gradients,
    curvature,
    exact,
    expected,
    mini_batches,
    step_gradients,
)
from experiments.convergence_bound.problems import Logistic, Problem, Quadratic, Weights, loss_of

PROBLEMS: dict[str, type[Quadratic] | type[Logistic]] = {"quadratic": Quadratic, "logistic": Logistic}
RUNS = 4
"""Independent runs of a seed, over whose mini-batches the bound's expectation is taken."""
BIAS_EVERY, VARIANCE_EVERY, CURVATURE_EVERY = 5, 20, 100
"""Rounds from one measurement to the next; until then the last one stands, which is larger as a rule."""
DRAWS = 8
"""Mini-batches of which a variance is taken."""


@dataclass(frozen=True)
class Setting:
    """What the bound ranks."""

    problem: str
    clients: int
    batch: int
    ratio: float
    """phi"""
    step: float
    """The longest step, p_s or p_c, times twice the curvature at the start."""
    same_rate: bool
    """Whether clients and server have one learning rate, so that p_c = n p_s; else their steps p are equal."""


@dataclass
class Curve:
    """What was measured by round; means over the runs."""

    gradient: list[float]
    """|| grad F ||_P^2 / p, where p is the longest step."""
    variance: list[float]
    """sum_k p_k^2 sigma_k^2 / p"""
    bias: list[float]
    """|| E[g] - grad F ||_P^2 / p"""
    beta: float
    """The largest curvature seen."""
    longest_step: float
    first_gap: float
    """F_0 - F*"""

    def measured(self, rounds: int) -> float:
        """Mean of the squared gradient over the first rounds."""
        return sum(self.gradient[:rounds]) / rounds

    def bound(self, rounds: int) -> float:
        """2 (F_0 - F*) / (p T), and variance and bias over the rounds."""
        noise = self.beta * sum(self.variance[:rounds]) + sum(self.bias[:rounds])
        return 2 * self.first_gap / (self.longest_step * rounds) + noise / rounds

    @property
    def applies(self) -> bool:
        """Whether no step is longer than the inverse of the curvature, as the bound asks."""
        return self.longest_step * self.beta <= 1


def run(setting: Setting, rounds: int, seed: int) -> Curve:
    """Trains with the setting, and looks on."""
    problem: Problem = PROBLEMS[setting.problem](setting.clients, seed)
    generator = torch.Generator().manual_seed(seed)
    weights, m = problem.start(RUNS), ceil(setting.ratio * setting.batch)
    beta = curvature(problem, weights.of_run(0))
    longest = setting.step / (2 * beta)
    p_s, p_c = (longest / setting.clients if setting.same_rate else longest), longest
    curve = Curve([], [], [], beta, longest, float(loss_of(problem, weights)[0]) - problem.least())
    for number in range(rounds):
        right = exact(problem, weights)
        if number % BIAS_EVERY == 0:
            bias = expected(problem, weights, m / setting.batch).less(right)
        if number % VARIANCE_EVERY == 0:
            deviation = _deviation(problem, weights, setting.batch, m, generator)
        if number % CURVATURE_EVERY == 0:
            curve.beta = max(curve.beta, curvature(problem, weights.of_run(0)))
        curve.gradient.append(float(right.weighted(p_s, p_c).mean() / longest))
        curve.bias.append(float(bias.weighted(p_s, p_c).mean() / longest))
        curve.variance.append(float(deviation.weighted(p_s**2, p_c**2).mean() / longest))
        found = step_gradients(problem, weights, mini_batches(problem, RUNS, setting.batch, generator), m)
        weights = Weights(weights.server - p_s * found.server, weights.clients - p_c * found.clients)
    return curve


def _deviation(
    problem: Problem, weights: Weights, batch: int, aggregated: int, generator: torch.Generator
) -> Gradients:
    """Standard deviations of all entries of the gradient, over mini-batches."""
    draws = [
        step_gradients(problem, weights, mini_batches(problem, RUNS, batch, generator), aggregated)
        for _ in range(DRAWS)
    ]
    return Gradients(
        torch.stack([each.server for each in draws]).std(0), torch.stack([each.clients for each in draws]).std(0)
    )
