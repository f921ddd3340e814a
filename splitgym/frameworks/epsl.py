"""Efficient parallel split learning, EPSL (arXiv 2303.15991).

Clients run the first units side by side; the server runs the others for all of them and averages the last-layer
gradients of the first m = ceil(phi b) positions of the mini-batches over the clients before they go back. phi = 0 is
PSL.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.frameworks.framework import Framework
from splitgym.frameworks.parties import Exercise, Parties, Party
from splitgym.frameworks.phases import Phase, Resource, Workload


def phases(w: Workload) -> tuple[Phase, ...]:
    """The EPSL round: T = max(T_F + T_U) + T_sF + T_sB + T_B + max(T_D + T_cB)."""
    b, m = w.batch_size, w.aggregated_rows
    return (
        Phase("client_fp", Resource.CLIENT, b * w.client_forward),
        Phase("uplink", Resource.UPLINK, b * w.smashed_bits),
        Phase("server_fp", Resource.SERVER, per_participant=b * w.server_forward),
        Phase(
            "server_bp",
            Resource.SERVER,
            m * w.server_backward,
            per_participant=(b - m) * w.server_backward + b * w.last_layer_backward,
        ),
        Phase("broadcast", Resource.BROADCAST, m * w.cut_gradient_bits),
        Phase("unicast", Resource.UNICAST, (b - m) * w.cut_gradient_bits),
        Phase("client_bp", Resource.CLIENT, b * w.client_backward),
    )


def train(parties: Parties, exercise: Exercise) -> bool:
    """One EPSL round: forward, gradient aggregation, backward, a step of every optimiser that took part.

    Server gradient: (1/b) [sum_{j<=m} BP(zbar_j) + sum_{j>m} sum_i lambda_i BP(z_ij)]; client gradient: (1/b) sum_j
    of its cut gradients, not scaled by lambda_i, so that a client's learning rate does not depend on how many take
    part.

    Args:
        parties: Trained in place; the cut has been moved already.
        exercise: Mini-batches; `exercise.losses` is filled.

    Returns:
        False if a loss or a gradient at the cut is not finite; then all weights and running statistics are as before.
    """
    clients = [parties.clients[i] for i in exercise.participants]
    trained = [*clients, parties.server]
    for party in trained:
        party.set_mode(True)
        party.optimizer.zero_grad(set_to_none=True)
    statistics = _Snapshot(buffer for party in trained for unit in party.units for buffer in unit.buffers())
    smashed = [client.forward(x) for client, x in zip(clients, exercise.images, strict=True)]
    # Joined along the batch, not stacked: that keeps the memory format of images.
    at_cut = torch.cat([s.detach() for s in smashed]).unflatten(0, exercise.labels.shape)
    back_propagate = inject if parties.training.aggregation_reading == "inject" else virtual
    cut_gradients = back_propagate(parties, at_cut, exercise)
    if not (torch.isfinite(exercise.losses).all() and torch.isfinite(cut_gradients).all()):
        statistics.restore()
        return False
    for client, own, gradient in zip(clients, smashed, cut_gradients, strict=True):
        own.backward(gradient)
        client.optimizer.step()
    parties.server.optimizer.step()
    return True


def virtual(parties: Parties, smashed: Tensor, exercise: Exercise) -> Tensor:
    """The server's pass where aggregated gradients go back at the lambda-mean of the smashed data: m + n (b - m) rows.

    With batch norm the real forward normalises aggregated rows and the others each by their own batch statistics, as
    only the others are differentiated; running statistics move once, by the mean of both weighted by their rows. The
    virtual pass uses the running statistics and leaves them as they are. One client alone has nothing to average: it
    is PSL.

    Args:
        parties: The server accumulates its gradients.
        smashed: [n, b, ...] detached activations at the cut.
        exercise: Labels, weights, m; `losses` is filled.

    Returns:
        [n, b, ...] gradients at the cut, already divided by b.
    """
    server, cut = parties.server, parties.cut_layer
    weights = exercise.weights
    n, b = exercise.labels.shape
    m = exercise.aggregated_rows if n > 1 else 0
    gradients = torch.empty_like(smashed)
    exercise.losses.zero_()
    buffers = [buffer for unit in server.units[cut:] for buffer in unit.buffers()]
    before = _Snapshot(buffers)
    if m > 0:
        with torch.no_grad():
            logits = _rows(server, smashed[:, :m], cut)
        mean_gradient = _mean_over_clients(_loss_gradients(logits, exercise.labels[:, :m]), parties, weights)
        _add_losses(exercise, logits, exercise.labels[:, :m])
    if m < b:
        # Both parts move the running statistics from where they were.
        first_part = _Snapshot(buffers)
        before.restore()
        rest = smashed[:, m:].detach().requires_grad_()
        logits = _rows(server, rest, cut)
        z = _loss_gradients(logits.detach(), exercise.labels[:, m:])
        _add_losses(exercise, logits.detach(), exercise.labels[:, m:])
        scale = weights.view(n, *[1] * (smashed.dim() - 1))
        logits.backward(z * weights.view(n, 1, 1) / b)
        gradients[:, m:] = _gradient(rest) / scale
        # Not before the backward pass, which needs the buffers as its forward left them.
        first_part.blend(share=(b - m) / b)
    if m > 0:
        mean_smashed = torch.tensordot(weights, smashed[:, :m], dims=1).requires_grad_()
        with _running_statistics(server):
            logits = server.forward(mean_smashed, cut)
        logits.backward(mean_gradient / b)
        gradients[:, :m] = _gradient(mean_smashed)
    return gradients


def inject(parties: Parties, smashed: Tensor, exercise: Exercise) -> Tensor:
    """The server's pass where aggregated gradients go back at every client's own row: exact Jacobians, n b rows.

    The reference reading: gradients of aggregated rows are averaged over clients at the cut. Arguments and result are
    those of `virtual`.
    """
    server, cut = parties.server, parties.cut_layer
    m, weights = exercise.aggregated_rows, exercise.weights
    n, b = exercise.labels.shape
    exercise.losses.zero_()
    rows = smashed.detach().requires_grad_()
    logits = _rows(server, rows, cut)
    _add_losses(exercise, logits.detach(), exercise.labels)
    z = _loss_gradients(logits.detach(), exercise.labels)
    z[:, :m] = _mean_over_clients(z[:, :m], parties, weights)
    logits.backward(z * weights.view(n, 1, 1) / b)
    weighted = _gradient(rows)
    gradients = weighted / weights.view(n, *[1] * (smashed.dim() - 1))
    gradients[:, :m] = weighted[:, :m].sum(0)
    return gradients


def _rows(server: Party, smashed: Tensor, cut: int) -> Tensor:
    """[n, rows, classes] logits of [n, rows, ...] activations, in one pass over all of them."""
    n, rows = smashed.shape[:2]
    return server.forward(smashed.flatten(0, 1), cut).view(n, rows, -1)


def _loss_gradients(logits: Tensor, labels: Tensor) -> Tensor:
    """z_ij, [n, rows, classes]: gradient of each row's cross-entropy with respect to its logits."""
    return torch.softmax(logits, -1) - F.one_hot(labels, logits.shape[-1])


def _mean_over_clients(z: Tensor, parties: Parties, weights: Tensor) -> Tensor:
    """zbar_j = sum_i lambda_i z_ij, [rows, classes]; "unbiased" divides it by sum_i lambda_i^2."""
    mean = torch.tensordot(weights, z, dims=1)
    return mean / weights.square().sum() if parties.training.aggregation_correction == "unbiased" else mean


def _add_losses(exercise: Exercise, logits: Tensor, labels: Tensor) -> None:
    n, b = exercise.labels.shape
    rows = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(n, -1)
    exercise.losses.add_(rows.sum(1) / b)


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


class _Snapshot:
    """Tensors that a forward pass moves in place (running statistics of batch norm), as they are now."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = [(tensor, tensor.clone()) for tensor in tensors]

    def restore(self) -> None:
        """Puts the tensors back."""
        for tensor, saved in self._tensors:
            tensor.copy_(saved)

    def blend(self, share: float) -> None:
        """Mean with what the tensors are now, which counts with `share`; counters of batches are equal anyway."""
        for tensor, saved in self._tensors:
            if tensor.is_floating_point():
                tensor.copy_(torch.lerp(saved, tensor, share))


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


FRAMEWORK = Framework(name="epsl", phases=phases, train=train, aggregates=True)
