"""Clients' passes side by side: every client runs its own units on its own rows.

Two engines with the same results: a loop over the clients, and for small networks grouped layers, in which client i's
weights are the i-th group and all clients are one pass (see `splitgym.frameworks.grouped`).
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from splitgym.frameworks.grouped import GroupedPass, groupable
from splitgym.frameworks.node import Node
from splitgym.frameworks.snapshots import Snapshot, buffers_of
from splitgym.scenario.quantities import FULL_BITS


class ClientPass(Protocol):
    """A forward pass of n clients that waits for the gradients at the cut."""

    smashed: Tensor
    """[n, b, ...] activations at the cut, detached."""

    def backward(self, gradients: Tensor) -> Sequence[Sequence[Tensor]]:
        """Gradients of each client's `parameters`, from those at the cut ([n, b, ...]); to be called once."""
        ...


def begin(nodes: Sequence[Node]) -> Snapshot:
    """Nodes begin a round in training mode; their running statistics, should it not count."""
    for node in nodes:
        node.set_mode(True)
        node.begin()
    return Snapshot(buffers_of([unit for node in nodes for unit in node.units]))


def run_clients(clients: Sequence[Node], images: Tensor) -> ClientPass:
    """The clients' forward pass on their images, [n, b, ...], by the engine that is faster."""
    if len(clients) > 1 and run_grouped(clients):
        return GroupedPass(clients, images)
    return LoopedPass(clients, images)


def run_grouped(clients: Sequence[Node]) -> bool:
    """Whether clients can run as groups: their units allow it, and all compute with full precision in all channels.

    None of them computes alone, either.
    """
    alike = all(client.bits == FULL_BITS and client.narrow is None and not client.alone for client in clients)
    return alike and groupable([client.units for client in clients])


class LoopedPass:
    """One client after the other."""

    def __init__(self, clients: Sequence[Node], images: Tensor) -> None:
        self._clients = clients
        self._outputs = [client.forward(x) for client, x in zip(clients, images, strict=True)]
        # Joined along the batch, not stacked: that keeps the memory format of images.
        joined = torch.cat([output.detach() for output in self._outputs])
        self.smashed = joined.unflatten(0, images.shape[:2])

    def backward(self, gradients: Tensor) -> Sequence[Sequence[Tensor]]:
        """See `ClientPass.backward`."""
        return [
            torch.autograd.grad(output, client.parameters, gradient)
            for client, output, gradient in zip(self._clients, self._outputs, gradients, strict=True)
        ]
