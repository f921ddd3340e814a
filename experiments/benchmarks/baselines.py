"""Split training as plain PyTorch programs do it: what the package's rounds are timed against.

Nothing of `splitgym.frameworks` is in here, and nothing that makes the package fast: memory stays in torch's default
format, optimisers are torch's default ones, and freed memory is left to the C library. Mini-batches are given, not
drawn. Batch norm on the server normalises each client's rows by themselves where clients come one after the other.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.models import CuttableNetwork
from splitgym.scenario import Training

ADAM_RATE = 1e-4


class Centralised:
    """(a) One network, one optimiser, the rows of all clients as one mini-batch."""

    def __init__(self, network: CuttableNetwork, cut: int, clients: int, training: Training) -> None:
        self.model = nn.Sequential(*copy.deepcopy(list(network.units)))
        self._optimizer = _sgd(self.model, training.server_learning_rate, training)

    def round(self, images: Tensor, labels: Tensor) -> None:
        """One step on [n, b, ...] images."""
        self._optimizer.zero_grad()
        F.cross_entropy(self.model(images.flatten(0, 1)), labels.flatten()).backward()
        self._optimizer.step()


class ClientLoop:
    """(b) Every client with a module and an optimiser of its own, one after the other; the work of PSL.

    The server sees each client's rows alone, adds up the gradients of its weights, and steps once.
    """

    def __init__(self, network: CuttableNetwork, cut: int, clients: int, training: Training) -> None:
        self.clients, self.server = _parts(network, cut, clients)
        self._optimizers = [_sgd(client, training.client_learning_rate, training) for client in self.clients]
        self._server_optimizer = _sgd(self.server, training.server_learning_rate, training)

    def round(self, images: Tensor, labels: Tensor) -> None:
        """One step of every client and of the server, clients weighted alike, on [n, b, ...] images."""
        self._server_optimizer.zero_grad()
        for client, optimizer, x, y in zip(self.clients, self._optimizers, images, labels, strict=True):
            optimizer.zero_grad()
            _backward(client, self.server, x, y)
            optimizer.step()
        for parameter in self.server.parameters():
            if parameter.grad is not None:
                parameter.grad /= len(self.clients)
        self._server_optimizer.step()


class DeepCopyLoop:
    """(c) Per client and mini-batch a deep copy of the server's model and new Adam optimisers; copies are averaged.

    This follows the way in which public programs of split learning work (SplitFed of AAAI 2022, CycleSL); it is not
    their code, and leaves out what they do besides: loading images, measuring accuracy, printing, copies of the
    clients' models.
    """

    def __init__(self, network: CuttableNetwork, cut: int, clients: int, training: Training) -> None:
        self.clients, self.server = _parts(network, cut, clients)

    def round(self, images: Tensor, labels: Tensor) -> None:
        """One step of every client and of its copy of the server, on [n, b, ...] images."""
        states = []
        for client, x, y in zip(self.clients, images, labels, strict=True):
            server = copy.deepcopy(self.server)
            optimizers = [torch.optim.Adam(model.parameters(), lr=ADAM_RATE) for model in (client, server)]
            for optimizer in optimizers:
                optimizer.zero_grad()
            _backward(client, server, x, y)
            for optimizer in optimizers:
                optimizer.step()
            states.append(server.state_dict())
        self.server.load_state_dict(_average(states))


def _parts(network: CuttableNetwork, cut: int, clients: int) -> tuple[list[nn.Sequential], nn.Sequential]:
    """Copies of the units on both sides of the cut, the first ones for every client."""
    units = list(network.units)
    own = [nn.Sequential(*copy.deepcopy(units[:cut])) for _ in range(clients)]
    return own, nn.Sequential(*copy.deepcopy(units[cut:]))


def _sgd(model: nn.Module, learning_rate: float, training: Training) -> torch.optim.SGD:
    momentum, decay = training.momentum, training.weight_decay
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=decay)


def _backward(client: nn.Module, server: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Adds one mini-batch's gradients to both models, with the detour over the cut."""
    smashed = client(images)
    at_cut = smashed.detach().requires_grad_()
    F.cross_entropy(server(at_cut), labels).backward()
    smashed.backward(at_cut.grad)


def _average(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    mean = copy.deepcopy(states[0])
    for name in mean:
        for state in states[1:]:
            mean[name] += state[name]
        mean[name] = torch.div(mean[name], len(states))
    return mean
