"""The training round of U-shaped split learning: heads and tails at the clients, the units between at the server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from splitgym.frameworks.crossing import TO_CLIENTS, Crossing
from splitgym.frameworks.groups import add_losses, groups_of
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import begin, run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import loss_gradients, run_parts


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
"""From tails and labels, [n, b], of clients with the same batch size to the gradients at the second cut that they send,
[n, b, ...]."""


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
    groups, server, cut, second = groups_of(nodes, round_batch), nodes.server, nodes.cut_layer, nodes.second_cut
    heads, tails = ([group.nodes(own, round_batch) for group in groups] for own in (nodes.clients, nodes.tails))
    everybody = [*chain(*heads), server, *chain(*tails)]
    statistics = begin(everybody)
    round_batch.losses.zero_()
    forward = [run_clients(own, group.images(round_batch)) for own, group in zip(heads, groups, strict=True)]
    to_server = [Crossing(round_batch, each.smashed, k.members) for each, k in zip(forward, groups, strict=True)]
    rows = [crossing.received.detach().requires_grad_() for crossing in to_server]
    weights = round_batch.weights[[k for group in groups for k in group.members]]
    body = run_parts(lambda x: server.forward(x, cut, second), server.units[cut:second], rows, nodes.training, weights)
    to_tails = [Crossing(round_batch, x.detach(), k.members, TO_CLIENTS) for x, k in zip(body, groups, strict=True)]
    passes, at_body = [], []
    for group, own_tails, crossing in zip(groups, tails, to_tails, strict=True):
        labels = group.labels(round_batch)
        passes.append(run_tails(own_tails, crossing.received, labels))
        add_losses(passes[-1].logits, group, round_batch)
        back = crossing.back(protect(passes[-1], labels))
        at_body.append(back * group.weights(round_batch, back))
    gradients = torch.autograd.grad(body, [*rows, *server.parameters], at_body)
    own = [x / group.weights(round_batch, x) for x, group in zip(gradients, groups, strict=False)]
    sums = torch.stack([x.sum() + each.at_cut.sum() for x, each in zip(own, passes, strict=True)])
    if not (torch.isfinite(round_batch.losses).all() and torch.isfinite(sums).all()):
        statistics.restore()
        return False
    for of_group, each, crossing, x in zip(heads, forward, to_server, own, strict=True):
        for head, of_head in zip(of_group, each.backward(crossing.back(x)), strict=True):
            head.step(of_head)
    for of_group, tail_pass in zip(tails, passes, strict=True):
        for tail, of_tail in zip(of_group, tail_pass.of_tails, strict=True):
            tail.step(of_tail)
    server.step(gradients[len(groups) :])
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
        z = loss_gradients(logits.detach(), y) / y.numel()
        gradient, *of_tail = torch.autograd.grad(logits, [rows, *tail.parameters], z)
        all_logits.append(logits.detach())
        at_cut.append(gradient)
        of_tails.append(of_tail)
    # Joined along the batch, not stacked: that keeps the memory format of images.
    return TailPass(received, torch.stack(all_logits), torch.cat(at_cut).unflatten(0, received.shape[:2]), of_tails)
