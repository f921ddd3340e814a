"""The training round of U-shaped split learning: heads and tails at the clients, the units between at the server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splitgym.frameworks.crossing import TO_CLIENTS, Crossing
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import add_losses, loss_gradients, per_client, run_rows
from splitgym.frameworks.snapshots import Snapshot, buffers_of


@dataclass(frozen=True)
class TailPass:
    """What the clients' tails make of what they receive."""

    received: Tensor
    """[n, b, ...] activations at the second cut."""
    logits: Tensor
    """[n, b, classes]."""
    at_cut: Tensor
    """[n, b, ...] gradients of each client's mean loss at the second cut: what goes to the server."""
    of_tails: Sequence[Sequence[Tensor]]
    """Of each client, those of its tail's weights."""


Protect = Callable[[TailPass, Tensor], Tensor]
"""From tails and labels, [n, b], to the gradients at the second cut that clients send, [n, b, ...]."""


def train(nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round without a defence of labels; see `train_with`."""
    return train_with(lambda tails, labels: tails.at_cut, nodes, round_batch)


def train_with(protect: Protect, nodes: Nodes, round_batch: RoundBatch) -> bool:
    """One round; gradients are scaled as in `splitgym.frameworks.parallel_round.train_with`.

    A client sends the gradient of its own mean loss; the server, which has no labels, weighs it by the client's data.

    Args:
        protect: What clients send instead of the gradients at the second cut; their tails learn from the true ones.
        nodes: Trained in place; both cuts have been moved already.
        round_batch: Mini-batches; losses and traffic are filled.

    Returns:
        False if a loss or a gradient at a cut is not finite; then all weights and running statistics are as before.
    """
    heads, tails = ([own[i] for i in round_batch.participants] for own in (nodes.clients, nodes.tails))
    server, cut, second, weights = nodes.server, nodes.cut_layer, nodes.second_cut, round_batch.weights
    everybody = [*heads, server, *tails]
    for node in everybody:
        node.set_mode(True)
        node.begin()
    statistics = Snapshot(buffers_of([unit for node in everybody for unit in node.units]))
    forward = run_clients(heads, round_batch.images)
    to_server = Crossing(round_batch, forward.smashed)
    rows = to_server.received.detach().requires_grad_()
    body = run_rows(lambda x: server.forward(x, cut, second), server.units[cut:second], rows, nodes.training, weights)
    to_tails = Crossing(round_batch, body.detach(), links=TO_CLIENTS)
    tail_pass = run_tails(tails, to_tails.received, round_batch.labels)
    round_batch.losses.zero_()
    add_losses(round_batch, tail_pass.logits, round_batch.labels)
    at_body = to_tails.back(protect(tail_pass, round_batch.labels))
    weighted, *of_server = torch.autograd.grad(body, [rows, *server.parameters], at_body * per_client(weights, at_body))
    own = weighted / per_client(weights, weighted)
    if not (torch.isfinite(round_batch.losses).all() and torch.isfinite(own.sum() + tail_pass.at_cut.sum())):
        statistics.restore()
        return False
    for head, gradients in zip(heads, forward.backward(to_server.back(own)), strict=True):
        head.step(gradients)
    for tail, gradients in zip(tails, tail_pass.of_tails, strict=True):
        tail.step(gradients)
    server.step(of_server)
    return True


def run_tails(tails: Sequence[Node], received: Tensor, labels: Tensor) -> TailPass:
    """Each client's tail on its own rows: forward, loss, backward; no weight changes.

    Args:
        tails: n.
        received: [n, b, ...] activations at the second cut.
        labels: [n, b] class indices.
    """
    all_logits, at_cut, of_tails = [], [], []
    for tail, x, y in zip(tails, received, labels, strict=True):
        rows = x.detach().requires_grad_()
        logits = tail.logits(rows)
        z = loss_gradients(logits.detach(), y) / len(y)
        gradient, *of_tail = torch.autograd.grad(logits, [rows, *tail.parameters], z)
        all_logits.append(logits.detach())
        at_cut.append(gradient)
        of_tails.append(of_tail)
    # Joined along the batch, not stacked: that keeps the memory format of images.
    return TailPass(received, torch.stack(all_logits), torch.cat(at_cut).unflatten(0, received.shape[:2]), of_tails)
