"""The server's pass over the smashed data of all clients: loss, aggregated last-layer gradients, back-propagation."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.frameworks.parties import Exercise, Parties, Party
from splitgym.frameworks.snapshots import MeanStatistics, Snapshot, buffers_of
from splitgym.scenario import Training


@dataclass(frozen=True)
class CutGradients:
    """What the server's pass answers; all divided by b."""

    common: Tensor
    """[m, ...] gradients at the cut of aggregated rows, the same for all clients."""
    own: Tensor
    """[n, b - m, ...] gradients at the cut of the other rows."""
    of_server: Sequence[Tensor]
    """Gradient of each weight that the server trains."""

    @property
    def finite(self) -> bool:
        """Whether all gradients at the cut are finite."""
        # A sum is as finite as what is summed, and much cheaper than a look at each.
        return bool(torch.isfinite(self.common.sum() + self.own.sum()))

    def of_clients(self) -> Tensor:
        """[n, b, ...] gradients at the cut as each client applies them."""
        common = self.common.expand(len(self.own), *self.common.shape)
        if self.own.shape[1] == 0:
            return common
        return torch.cat([common, self.own], 1) if len(self.common) else self.own


def server_pass(parties: Parties, smashed: Tensor, exercise: Exercise) -> CutGradients:
    """Forward and backward on the server, in the reading of `training.aggregation_reading`.

    Args:
        parties: Its server's running statistics move, its weights do not.
        smashed: [n, b, ...] detached activations at the cut.
        exercise: Labels, weights, m; `losses` is filled.
    """
    reading = inject if parties.training.aggregation_reading == "inject" else virtual
    return reading(parties, smashed, exercise)


def virtual(parties: Parties, smashed: Tensor, exercise: Exercise) -> CutGradients:
    """Aggregated gradients go back at the lambda-mean of the smashed data: m + n (b - m) rows of back-propagation.

    With batch norm the real forward normalises aggregated rows and the others each by their own batch statistics, as
    only the others are differentiated; running statistics move once, by the mean of both weighted by their rows. The
    virtual pass uses the running statistics and leaves them as they are, unless `training.virtual_statistics` has it
    in one batch with the others. One client alone has nothing to average: it is PSL.
    """
    server, weights = parties.server, exercise.weights
    n, b = exercise.labels.shape
    m = exercise.aggregated_rows if n > 1 else 0
    exercise.losses.zero_()
    buffers = buffers_of(server.units[parties.cut_layer :])
    before = Snapshot(buffers)
    common, own = smashed[0, :m], smashed[:, m:]
    gradients: list[Tensor] = []
    if m > 0:
        with torch.no_grad():
            logits = _logits(parties, smashed[:, :m], weights)
        mean_gradient = _mean_over_clients(loss_gradients(logits, exercise.labels[:, :m]), parties, weights)
        add_losses(exercise, logits, exercise.labels[:, :m])
        mean_smashed = torch.tensordot(weights.to(smashed.dtype), smashed[:, :m], dims=1).requires_grad_()
        if m < b and parties.training.virtual_statistics == "joint":
            return _virtual_and_others(parties, mean_smashed, mean_gradient, own, exercise)
    if m < b:
        # Both parts move the running statistics from where they were.
        first_part = Snapshot(buffers)
        before.restore()
        rest = own.detach().requires_grad_()
        logits = _logits(parties, rest, weights)
        z = loss_gradients(logits.detach(), exercise.labels[:, m:])
        add_losses(exercise, logits.detach(), exercise.labels[:, m:])
        own, *gradients = torch.autograd.grad(logits, [rest, *server.parameters], z * weights.view(n, 1, 1) / b)
        own = own / per_client(weights, own)
        # Not before the backward pass, which needs the buffers as its forward left them.
        first_part.blend(share=(b - m) / b)
    if m > 0:
        with _running_statistics(server):
            logits = server.logits(mean_smashed, parties.cut_layer)
        common, *aggregated = torch.autograd.grad(logits, [mean_smashed, *server.parameters], mean_gradient / b)
        gradients = [a + g for a, g in zip(aggregated, gradients, strict=True)] if gradients else aggregated
    if n == 1:
        # Nothing was averaged, but what has been announced is broadcast.
        common, own = own[0, : exercise.aggregated_rows], own[:, exercise.aggregated_rows :]
    return CutGradients(common, own, gradients)


def _virtual_and_others(
    parties: Parties, mean_smashed: Tensor, mean_gradient: Tensor, own: Tensor, exercise: Exercise
) -> CutGradients:
    """Virtual rows ([m, ...]) and those that are not aggregated ([n, b - m, ...]) go through the server as one batch.

    Running statistics stay as the aggregated rows' real forward has left them: the virtual rows are nobody's.
    """
    server, weights, labels = parties.server, exercise.weights, exercise.labels
    (n, b), rest = labels.shape, own.detach().requires_grad_()
    statistics = Snapshot(buffers_of(server.units[parties.cut_layer :]))
    logits = server.logits(torch.cat([rest.flatten(0, 1), mean_smashed]), parties.cut_layer)
    others = logits.detach()[: -len(mean_smashed)].unflatten(0, own.shape[:2])
    z = loss_gradients(others, labels[:, -own.shape[1] :])
    add_losses(exercise, others, labels[:, -own.shape[1] :])
    z_of_all = torch.cat([(z * weights.view(n, 1, 1)).flatten(0, 1), mean_gradient]) / b
    weighted, common, *gradients = torch.autograd.grad(logits, [rest, mean_smashed, *server.parameters], z_of_all)
    statistics.restore()
    return CutGradients(common, weighted / per_client(weights, weighted), gradients)


def inject(parties: Parties, smashed: Tensor, exercise: Exercise) -> CutGradients:
    """Aggregated gradients go back at every client's own row: exact Jacobians, n b rows of back-propagation.

    The reference reading: gradients of aggregated rows are averaged over clients at the cut.
    """
    m, weights = exercise.aggregated_rows, exercise.weights
    n, b = exercise.labels.shape
    exercise.losses.zero_()
    rows = smashed.detach().requires_grad_()
    logits = _logits(parties, rows, weights)
    add_losses(exercise, logits.detach(), exercise.labels)
    z = loss_gradients(logits.detach(), exercise.labels)
    z[:, :m] = _mean_over_clients(z[:, :m], parties, weights)
    weighted, *gradients = torch.autograd.grad(
        logits, [rows, *parties.server.parameters], z * weights.view(n, 1, 1) / b
    )
    return CutGradients(weighted[:, :m].sum(0), weighted[:, m:] / per_client(weights, weighted), gradients)


def run_rows(
    run: Callable[[Tensor], Tensor], units: Sequence[nn.Module], rows: Tensor, training: Training, weights: Tensor
) -> Tensor:
    """[n, rows, ...] what `run` makes of [n, rows, ...] activations with these units.

    Batch norm normalises all rows together, or each client's by themselves; then the running statistics become the
    mean of what each client makes of them, weighted by data. A single row of each client has no statistics of its own.
    """
    if training.batch_statistics == "joint" or rows.shape[1] < 2 or not buffers_of(units):
        return run(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
    statistics, outputs = MeanStatistics(units), []
    for own, weight in zip(rows, weights, strict=True):
        with statistics.of_one(weight):
            outputs.append(run(own))
    statistics.finish()
    # Joined along the batch, not stacked: that keeps the memory format of images.
    return torch.cat(outputs).unflatten(0, rows.shape[:2])


def _logits(parties: Parties, smashed: Tensor, weights: Tensor) -> Tensor:
    """[n, rows, classes] logits of [n, rows, ...] activations."""
    server, cut = parties.server, parties.cut_layer
    return run_rows(lambda x: server.logits(x, cut), server.units[cut:], smashed, parties.training, weights)


def loss_gradients(logits: Tensor, labels: Tensor) -> Tensor:
    """z_ij, [n, rows, classes]: gradient of each row's cross-entropy with respect to its logits."""
    return torch.softmax(logits, -1) - F.one_hot(labels, logits.shape[-1])


def _mean_over_clients(z: Tensor, parties: Parties, weights: Tensor) -> Tensor:
    """zbar_j = sum_i lambda_i z_ij, [rows, classes]; "unbiased" divides it by sum_i lambda_i^2."""
    mean = torch.tensordot(weights, z, dims=1)
    return mean / weights.square().sum() if parties.training.aggregation_correction == "unbiased" else mean


def add_losses(exercise: Exercise, logits: Tensor, labels: Tensor) -> None:
    """Adds the mean losses of some rows of the mini-batches, [n, rows, classes], to those of the exercise."""
    n, b = exercise.labels.shape
    rows = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(n, -1)
    exercise.losses.add_(rows.sum(1) / b)


def per_client(weights: Tensor, like: Tensor) -> Tensor:
    """[n, 1, ...] weights that broadcast against [n, rows, ...]."""
    return weights.to(like.dtype).view(-1, *[1] * (like.dim() - 1))


@contextmanager
def _running_statistics(party: Party) -> Iterator[None]:
    """Batch norm uses its running statistics, and does not touch them, while this is open."""
    norms = [
        module
        for unit in party.units
        for module in unit.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
