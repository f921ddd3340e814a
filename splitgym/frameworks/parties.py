"""The parties of split learning: clients with their own first units, a server with the others, one optimiser each.

Every party is resident: its units are trained in place, and only a cut that moves hands units on.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from splitgym.models import CuttableNetwork
from splitgym.scenario import Training


@dataclass(frozen=True)
class Exercise:
    """The mini-batches of one round: n clients that take part, b samples each."""

    participants: tuple[int, ...]
    """Indices of the n clients."""
    weights: Tensor
    """[n] lambda_i: share of client i in the data of those that take part; sums to 1."""
    images: Tensor
    """[n, b, ...]."""
    labels: Tensor
    """[n, b] class indices."""
    aggregated_rows: int
    """m: the first m positions of the mini-batch have their last-layer gradients averaged over clients."""
    losses: Tensor
    """[n] to be filled: mean cross-entropy of each client's mini-batch."""


class Party:
    """Somebody who holds consecutive units of the network and trains some of them."""

    def __init__(self, units: Sequence[nn.Module], learning_rate: float, training: Training) -> None:
        self.units = list(units)
        self._learning_rate = learning_rate
        self._training = training
        self.optimizer: torch.optim.Optimizer
        self.train_units(0)

    def forward(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Runs the held units first..last-1."""
        for unit in self.units[first:last]:
            x = unit(x)
        return x

    def train_units(self, first: int) -> None:
        """From now on trains its units from `first` on; what the optimiser remembers of them stays."""
        parameters = [p for unit in self.units[first:] for p in unit.parameters()]
        remembered = self.optimizer.state if hasattr(self, "optimizer") else {}
        self.optimizer = _optimizer(parameters, self._learning_rate, self._training)
        for parameter in parameters:
            if parameter in remembered:
                self.optimizer.state[parameter] = remembered[parameter]

    def set_mode(self, training: bool) -> None:
        """Puts all held units in training or evaluation mode."""
        for unit in self.units:
            unit.train(training)


class Parties:
    """All clients and the server around one network.

    Before the first round everybody knows the initial weights of the whole network, so the first cut moves nothing.
    """

    def __init__(self, network: CuttableNetwork, clients: int, training: Training) -> None:
        self.training = training
        self.server = Party(list(network.units), training.server_learning_rate, training)
        self.clients = [Party([], training.client_learning_rate, training) for _ in range(clients)]
        self.cut_layer = 0

    @property
    def client_cut_layer(self) -> NDArray[np.int64]:
        """[C] how many units of each client's own are valid; 0 before the first round."""
        return np.array([len(client.units) for client in self.clients], np.int64)

    def move_cut(self, cut_layer: int, participants: Sequence[int], data_share: NDArray[np.float64]) -> None:
        """Moves the cut to the given layer, with the clients that take part.

        Shallower: the server takes over the units behind the new cut, as the mean of those of the participants weighted
        by their data; everybody else's copies of these units are void. Deeper: participants fetch the units in between
        as the server last had them; others do so when they next take part.
        """
        if self.cut_layer == 0:
            participants = range(len(self.clients))
        for index in range(cut_layer, self.cut_layer):
            self._take_over(index, [i for i in participants if len(self.clients[i].units) > index], data_share)
        for i, client in enumerate(self.clients):
            held = len(client.units)
            if held > cut_layer:
                del client.units[cut_layer:]
                client.train_units(0)
            elif held < cut_layer and i in participants:
                client.units += [copy.deepcopy(unit) for unit in self.server.units[held:cut_layer]]
                client.train_units(0)
        if cut_layer != self.cut_layer:
            self.server.train_units(cut_layer)
            self.cut_layer = cut_layer

    def _take_over(self, index: int, holders: Sequence[int], data_share: NDArray[np.float64]) -> None:
        if not holders:
            return
        weights = data_share[list(holders)] / data_share[list(holders)].sum()
        states = [self.clients[i].units[index].state_dict() for i in holders]
        with torch.no_grad():
            for name, value in self.server.units[index].state_dict().items():
                if value.is_floating_point():
                    parts = [float(w) * state[name] for w, state in zip(weights, states, strict=True)]
                    value.copy_(torch.stack(parts).sum(0))


def _optimizer(parameters: list[nn.Parameter], learning_rate: float, training: Training) -> torch.optim.Optimizer:
    # A party that holds nothing yet gets an optimiser over an empty group, which torch allows only as a group.
    groups = [{"params": parameters}]
    if training.optimizer == "adam":
        betas = (training.momentum, 0.999)
        return torch.optim.Adam(groups, lr=learning_rate, betas=betas, weight_decay=training.weight_decay)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=training.momentum, weight_decay=training.weight_decay)
