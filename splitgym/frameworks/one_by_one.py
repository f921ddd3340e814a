"""The server's pass over the rows of one client after the other, where it answers each before all data are there.

What it adds up in the end is the gradient of `splitgym.frameworks.server_pass` with m = 0, but for last bits.
"""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.node import Node


def pass_of_one(server: Node, cut: int, smashed: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Forward and backward on a client's rows, with weights as they are.

    Args:
        server: Trains the units behind the cut, none of which has batch norm.
        cut: Layer in front of them.
        smashed: [b, ...] detached activations there.
        labels: [b].

    Returns:
        The mean loss, its gradient at the cut, [b, ...], and that of each weight behind the cut.
    """
    rows = smashed.detach().requires_grad_()
    loss = F.cross_entropy(server.logits(rows, cut), labels)
    weights = [weight for unit in server.units[cut:] for weight in unit.parameters()]
    at_cut, *of_server = torch.autograd.grad(loss, [rows, *weights])
    return loss.detach(), at_cut, of_server


def added_up(weights: Tensor, of_clients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The gradient of each of the server's weights, those of the clients weighted by [n] weights, in their order."""
    return [
        reduce(torch.add, [weight * own for weight, own in zip(weights, parts, strict=True)])
        for parts in zip(*of_clients, strict=True)
    ]
