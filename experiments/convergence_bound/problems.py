"""Losses of which everything in the bound can be measured: a quadratic one, and a multinomial logistic one.

Both are cut behind a linear prefix. Client i has N samples; its part makes smashed data of a row, linear in the weights
w_i; the server's part, linear in w_s, makes outputs of that, and the loss is convex in these. Weights of R independent
runs stand in one array: the server's [R, ...], the clients' [R, n, ...]. All clients have as many samples, so that
lambda_i = 1 / n.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

SAMPLES = 64
"""Of each client."""


@dataclass
class Weights:
    """Of the server and of n clients, in R runs."""

    server: Tensor
    """[R, ...]"""
    clients: Tensor
    """[R, n, ...]"""

    def of_run(self, run: int) -> "Weights":
        """Of one run."""
        return Weights(self.server[run : run + 1], self.clients[run : run + 1])


class Problem(Protocol):
    """A loss F(w_s, w_1, ..., w_n) = sum_i lambda_i f_i(w_i, w_s), with as many rows of each client."""

    inputs: Tensor
    """[n, N, d] what clients see of their samples."""

    def start(self, runs: int) -> Weights:
        """The same weights for each run."""
        ...

    def smashed(self, clients: Tensor, inputs: Tensor) -> Tensor:
        """[R, n, b, k] what clients make of rows, [R, n, b, d]."""
        ...

    def into_server(self, smashed: Tensor, rows: Tensor) -> Tensor:
        """[R, n, b, ...] what the server multiplies its weights with, from smashed data and row numbers."""
        ...

    def outputs(self, server: Tensor, smashed: Tensor, rows: Tensor) -> Tensor:
        """[R, n, b, o]."""
        ...

    def output_gradients(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """[R, n, b, o] gradient of each row's loss with respect to its outputs."""
        ...

    def row_losses(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """[R, n, b]."""
        ...

    def to_cut(self, server: Tensor, z: Tensor) -> Tensor:
        """[..., k] gradients at the cut, from those of the outputs, [..., o]."""
        ...

    def least(self) -> float:
        """F*, the least loss."""
        ...


class Quadratic:
    """Half the squared error of x w_i + z w_s against targets that no weights meet; F is quadratic in all weights.

    Every client's targets come from weights of its own, `skew` apart from the common ones.
    """

    def __init__(self, clients: int, seed: int, skew: float = 1.0, of_client: int = 6, of_server: int = 8) -> None:
        draw = np.random.default_rng([seed, clients, 1])
        self.inputs = torch.from_numpy(draw.normal(size=(clients, SAMPLES, of_client)))
        self.passed = torch.from_numpy(draw.normal(size=(clients, SAMPLES, of_server)))
        own = torch.from_numpy(1.0 + skew * draw.normal(size=(clients, of_client, 1)))
        noise = torch.from_numpy(draw.normal(size=(clients, SAMPLES, 1)))
        self.targets = self.inputs @ own + self.passed.sum(-1, keepdim=True) + noise

    def start(self, runs: int) -> Weights:
        """All zero."""
        n, _, d = self.inputs.shape
        zeros = torch.zeros(1, dtype=torch.float64)
        return Weights(zeros.expand(runs, self.passed.shape[-1], 1).clone(), zeros.expand(runs, n, d, 1).clone())

    def smashed(self, clients: Tensor, inputs: Tensor) -> Tensor:
        """[R, n, b, 1]: the client's summand."""
        return inputs @ clients

    def into_server(self, smashed: Tensor, rows: Tensor) -> Tensor:
        """What clients pass on unchanged."""
        return pick(self.passed, rows)

    def outputs(self, server: Tensor, smashed: Tensor, rows: Tensor) -> Tensor:
        """[R, n, b, 1]."""
        return smashed + self.into_server(smashed, rows) @ server[:, None]

    def output_gradients(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """The error."""
        return outputs - pick(self.targets, rows)

    def row_losses(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Half its square."""
        return self.output_gradients(outputs, rows).square().sum(-1) / 2

    def to_cut(self, server: Tensor, z: Tensor) -> Tensor:
        """The server adds: gradients pass as they are."""
        return z

    def least(self) -> float:
        """By least squares over all weights at once."""
        n, _, d = self.inputs.shape
        own = torch.block_diag(*self.inputs)
        both = torch.cat([own, self.passed.flatten(0, 1)], 1)
        targets = self.targets.flatten(0, 1)
        error = both @ torch.linalg.lstsq(both, targets).solution - targets
        assert both.shape == (n * SAMPLES, n * d + self.passed.shape[-1])
        return float(error.square().mean()) / 2


class Logistic:
    """Cross-entropy of the outputs x W_i W_s with noisy classes that differ by client; not convex in all weights."""

    def __init__(self, clients: int, seed: int, skew: float = 1.0, width: int = 6, classes: int = 4) -> None:
        draw = np.random.default_rng([seed, clients, 2])
        d = width
        self.inputs = torch.from_numpy(draw.normal(size=(clients, SAMPLES, d)))
        teachers = torch.from_numpy(draw.normal(size=(d, classes)) + skew * draw.normal(size=(clients, d, classes)))
        scores = self.inputs @ teachers / np.sqrt(d) + torch.from_numpy(draw.gumbel(size=(clients, SAMPLES, classes)))
        self.labels = scores.argmax(-1)
        self._start = draw.normal(size=(d, width)) / np.sqrt(d), draw.normal(size=(width, classes)) / np.sqrt(width)
        self._classes = classes

    def start(self, runs: int) -> Weights:
        """Drawn with the data; all clients begin with the same."""
        client, server = (torch.from_numpy(each) for each in self._start)
        n = len(self.inputs)
        return Weights(server.expand(runs, *server.shape).clone(), client.expand(runs, n, *client.shape).clone())

    def smashed(self, clients: Tensor, inputs: Tensor) -> Tensor:
        """[R, n, b, k]."""
        return inputs @ clients

    def into_server(self, smashed: Tensor, rows: Tensor) -> Tensor:
        """Smashed data."""
        return smashed

    def outputs(self, server: Tensor, smashed: Tensor, rows: Tensor) -> Tensor:
        """[R, n, b, classes] logits."""
        return smashed @ server[:, None]

    def output_gradients(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Probabilities less the class that is there."""
        labels = torch.nn.functional.one_hot(pick(self.labels[..., None], rows)[..., 0], self._classes)
        return torch.softmax(outputs, -1) - labels

    def row_losses(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Cross-entropy."""
        return -torch.log_softmax(outputs, -1).gather(-1, pick(self.labels[..., None], rows))[..., 0]

    def to_cut(self, server: Tensor, z: Tensor) -> Tensor:
        """Back through the server's weights."""
        between = server.view(len(server), *[1] * (z.dim() - 3), *server.shape[1:])
        return z @ between.transpose(-1, -2)

    def least(self) -> float:
        """Each client's own logistic model at its best, which one common W_s of full rank allows all of them."""
        losses = []
        for x, labels in zip(self.inputs, self.labels, strict=True):

            def loss(flat: np.ndarray, x: Tensor = x, labels: Tensor = labels) -> tuple[float, np.ndarray]:
                weights = torch.from_numpy(flat).view(x.shape[1], self._classes).requires_grad_()
                value = torch.nn.functional.cross_entropy(x @ weights, labels)
                (gradient,) = torch.autograd.grad(value, weights)
                return float(value.detach()), gradient.numpy().ravel()

            losses.append(minimize(loss, np.zeros(x.shape[1] * self._classes), jac=True, method="L-BFGS-B").fun)
        return float(np.mean(losses))


def pick(values: Tensor, rows: Tensor) -> Tensor:
    """[R, n, b, ...] of [n, N, ...], at rows [R, n, b]."""
    clients = torch.arange(len(values))[None, :, None]
    return values[clients, rows]


def whole(problem: Problem, runs: int) -> Tensor:
    """[R, n, N] numbers of all rows."""
    n, samples = problem.inputs.shape[:2]
    return torch.arange(samples).expand(runs, n, samples)


def loss_of(problem: Problem, weights: Weights) -> Tensor:
    """[R] F."""
    rows = whole(problem, len(weights.server))
    smashed = problem.smashed(weights.clients, pick(problem.inputs, rows))
    return problem.row_losses(problem.outputs(weights.server, smashed, rows), rows).mean((1, 2))
