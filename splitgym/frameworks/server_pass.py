"""The server's pass over the smashed data of all clients: loss, aggregated last-layer gradients, back-propagation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.frameworks.mean_field import Clients, MeanField
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.one_by_one import added_up, pass_of_one
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.snapshots import MeanStatistics, buffers_of
from splitgym.scenario import Training


@dataclass(frozen=True)
class CutGradients:
    """What the server's pass answers; all divided by b."""

    common: Tensor
    """[m, ...] gradients at the cut of aggregated rows, the same for all clients."""
    own: Tensor
    """[n, b - m, ...] gradients at the cut of the other rows."""
    of_server: Sequence[Tensor | None]
    """Gradient of each weight that the server trains; None in front of the cut, where it trains for others."""

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


def server_pass(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> CutGradients:
    """Forward and backward on the server, in the reading of `training.aggregation_reading`.

    Args:
        nodes: Its server's running statistics move, its weights do not.
        smashed: [n, b, ...] detached activations at the cut.
        round_batch: Labels, weights, m; `losses` is filled.
    """
    if nodes.one_by_one and not round_batch.aggregated_rows:
        return _one_by_one(nodes, smashed, round_batch)
    reading = inject if nodes.training.aggregation_reading == "inject" else virtual
    return reading(nodes, smashed, round_batch)


def _one_by_one(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> CutGradients:
    """The rows of one client after the other; see `splitgym.frameworks.one_by_one`."""
    cut = nodes.cut_of(round_batch.participants)
    each = [pass_of_one(nodes.server, cut, *own) for own in zip(smashed, round_batch.labels, strict=True)]
    losses, at_cut, of_server = zip(*each, strict=True)
    round_batch.losses.copy_(torch.stack(losses))
    return CutGradients(smashed[0, :0], torch.stack(at_cut), added_up(round_batch.weights, of_server))


def virtual(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> CutGradients:
    """Aggregated gradients go back through the mean field of all clients' rows: m + n (b - m) rows, all n b forward.

    What that is, and what of `inject` it keeps: `splitgym.frameworks.mean_field`. As in PSL batch norm normalises
    aggregated and other rows in one batch, and running statistics move once. One client alone has nothing to average:
    it is PSL, as is m = 0.
    """
    server, weights, m = nodes.server, round_batch.weights, round_batch.aggregated_rows
    n, b = round_batch.labels.shape[:2]
    if m == 0 or n == 1:
        return inject(nodes, smashed, round_batch)
    round_batch.losses.zero_()
    # A single row of a client has no statistics of its own.
    together = nodes.training.batch_statistics == "joint" or b < 2
    field = MeanField.at_cut(smashed, m, Clients(weights, together))
    logits = server.logits(field, nodes.cut_of(round_batch.participants))
    assert isinstance(logits, MeanField)
    aggregated = logits.aggregated.unflatten(0, (n, m))
    add_losses(round_batch, aggregated, round_batch.labels[:, :m])
    z_of_rows = [_mean_over_clients(loss_gradients(aggregated, round_batch.labels[:, :m]), nodes, weights) / b]
    if logits.others is not None:
        others = logits.others.detach().unflatten(0, (n, b - m))
        add_losses(round_batch, others, round_batch.labels[:, m:])
        z_of_rows.append((loss_gradients(others, round_batch.labels[:, m:]) * weights.view(n, 1, 1) / b).flatten(0, 1))
    wanted = [*field.nodes, *server.parameters]
    common, *gradients = torch.autograd.grad(logits.nodes, wanted, z_of_rows, allow_unused=True)
    if logits.others is None:
        return CutGradients(common, smashed[:, m:], gradients)
    own = gradients.pop(0).unflatten(0, (n, b - m))
    return CutGradients(common, own / per_client(weights, own), gradients)


def inject(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> CutGradients:
    """Aggregated gradients go back at every client's own row: exact Jacobians, n b rows of back-propagation.

    The reference reading: gradients of aggregated rows are averaged over clients at the cut.
    """
    m, weights = round_batch.aggregated_rows, round_batch.weights
    round_batch.losses.zero_()
    rows = smashed.detach().requires_grad_()
    logits = _logits(nodes, rows, round_batch)
    add_losses(round_batch, logits.detach(), round_batch.labels)
    z = loss_gradients(logits.detach(), round_batch.labels)
    z[:, :m] = _mean_over_clients(z[:, :m], nodes, weights)
    wanted, z = [rows, *nodes.server.parameters], z * per_client(weights, z) / round_batch.labels[0].numel()
    weighted, *gradients = torch.autograd.grad(logits, wanted, z, allow_unused=True)
    return CutGradients(weighted[:, :m].sum(0), weighted[:, m:] / per_client(weights, weighted), gradients)


def run_parts(
    run: Callable[[Tensor], Tensor],
    units: Sequence[nn.Module],
    parts: Sequence[Tensor],
    training: Training,
    weights: Tensor,
) -> list[Tensor]:
    """What `run` makes of the clients' activations with these units; clients come in parts, of equally many rows each.

    Batch norm normalises all rows together, or each client's by themselves; then the running statistics become the
    mean of what each client makes of them, weighted by client. A single row of a client has no statistics of its own.

    Args:
        run: Of [rows, ...].
        units: Held by the node that runs them.
        parts: [n, rows, ...] of some clients each.
        training: Says how batch norm works.
        weights: Of all these clients, in the order of the parts.
    """
    shapes = [part.shape[:2] for part in parts]
    if training.batch_statistics == "joint" or min(rows for _, rows in shapes) < 2 or not buffers_of(units):
        together = parts[0].flatten(0, 1) if len(parts) == 1 else torch.cat([part.flatten(0, 1) for part in parts])
        output = run(together)
    else:
        statistics, outputs = MeanStatistics(units), []
        for own, weight in zip((own for part in parts for own in part), weights, strict=True):
            with statistics.of_one(weight):
                outputs.append(run(own))
        statistics.finish()
        # Joined along the batch, not stacked: that keeps the memory format of images.
        output = torch.cat(outputs)
    each = output.split([clients * rows for clients, rows in shapes])
    return [rows.unflatten(0, shape) for rows, shape in zip(each, shapes, strict=True)]


def _logits(nodes: Nodes, smashed: Tensor, round_batch: RoundBatch) -> Tensor:
    """[n, rows, classes] logits of [n, rows, ...] activations."""
    server, cut = nodes.server, nodes.cut_of(round_batch.participants)
    run, weights = partial(server.logits, first=cut), round_batch.weights
    return run_parts(run, server.units[cut:], [smashed], nodes.training, weights)[0]


def loss_gradients(logits: Tensor, labels: Tensor) -> Tensor:
    """z_ij, [n, rows, classes]: gradient of each row's cross-entropy with respect to its logits.

    Of text, which has a label at each place of a window, [n, rows, window, classes].
    """
    return torch.softmax(logits, -1) - F.one_hot(labels, logits.shape[-1])


def _mean_over_clients(z: Tensor, nodes: Nodes, weights: Tensor) -> Tensor:
    """zbar_j = sum_i lambda_i z_ij, [rows, classes]; "unbiased" divides it by sum_i lambda_i^2."""
    mean = torch.tensordot(weights, z, dims=1)
    return mean / weights.square().sum() if nodes.training.aggregation_correction == "unbiased" else mean


def add_losses(round_batch: RoundBatch, logits: Tensor, labels: Tensor) -> None:
    """Adds the mean losses of some rows of the mini-batches, [n, rows, classes], to those of the round_batch."""
    rows = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none").view(len(labels), -1)
    round_batch.losses.add_(rows.sum(1) / round_batch.labels[0].numel())


def per_client(weights: Tensor, like: Tensor) -> Tensor:
    """[n, 1, ...] weights that broadcast against [n, rows, ...]."""
    return weights.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
