"""The parties of split learning: clients with the first units of a network, a server with the others.

Every party is resident and keeps its optimiser; units are trained in place, and only a cut that moves hands units on.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from splitgym.frameworks.snapshots import state_of
from splitgym.models import CuttableNetwork
from splitgym.scenario import Training

BITS = 32
"""Of a number that is sent, whatever precision computes with it."""


@dataclass
class Traffic:
    """Bits that the parties hand over in a round."""

    uplink: int = 0
    unicast: int = 0
    broadcast: int = 0
    backhaul: int = 0

    def up(self, tensors: Iterable[Tensor]) -> None:
        """From one client to the server."""
        self.uplink += _bits(tensors)

    def down(self, tensors: Iterable[Tensor]) -> None:
        """From the server to one client."""
        self.unicast += _bits(tensors)

    def to_all(self, tensors: Iterable[Tensor]) -> None:
        """From the server to everybody who listens, sent once."""
        self.broadcast += _bits(tensors)

    def over_backhaul(self, tensors: Iterable[Tensor]) -> None:
        """Between the server and the cloud, either way."""
        self.backhaul += _bits(tensors)


@dataclass(frozen=True)
class Exercise:
    """The mini-batches of one round: n clients that take part, b samples each."""

    participants: tuple[int, ...]
    """Indices of the n clients."""
    weights: Tensor
    """[n] lambda_i: share of client i in the data of those that take part; sums to 1."""
    images: Tensor
    """[n, b, ...]; a client that trains several steps has all of their mini-batches in it."""
    labels: Tensor
    """[n, b] class indices."""
    aggregated_rows: int
    """m: the first m positions of the mini-batch have their last-layer gradients averaged over clients."""
    losses: Tensor
    """[n] to be filled: mean cross-entropy of each client's mini-batch."""
    turns: tuple[tuple[int, ...], ...] | None = None
    """Who works at the same time: positions among the participants, turn by turn; absent: all together."""
    traffic: Traffic = field(default_factory=Traffic)
    """To be filled."""

    def of(self, members: Sequence[int]) -> "Exercise":
        """The exercise of some of the participants, by their positions; traffic is counted in common."""
        index = torch.tensor(members, device=self.weights.device)
        weights = self.weights[index]
        return replace(
            self,
            participants=tuple(self.participants[k] for k in members),
            weights=weights / weights.sum(),
            images=self.images[index],
            labels=self.labels[index],
            losses=torch.zeros_like(weights),
            turns=None,
        )


class Party:
    """Somebody who holds consecutive units of the network and trains some of them.

    Attributes:
        units: The units it holds; several parties may hold the same ones.
        parameters: The weights it trains.
    """

    def __init__(self, units: Sequence[nn.Module], learning_rate: float, training: Training) -> None:
        self.units = list(units)
        self.parameters: list[nn.Parameter] = []
        self._learning_rate = learning_rate
        self.training = training
        self.optimizer: torch.optim.Optimizer
        self.train_units(0)

    def forward(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Runs the held units first..last-1."""
        # A context of its own for each pass: within one, weights stay cast after an optimiser has changed them.
        with mixed_precision(x, self.training):
            for unit in self.units[first:last]:
                x = unit(x)
        return x

    def logits(self, x: Tensor, first: int = 0) -> Tensor:
        """The output of all held units from `first` on, never in half precision."""
        logits = self.forward(x, first)
        return logits.float() if logits.dtype is torch.bfloat16 else logits

    def train_units(self, first: int, last: int | None = None) -> None:
        """From now on trains its units first..last-1; what the optimiser remembers of them stays."""
        self.parameters = [p for unit in self.units[first:last] for p in unit.parameters()]
        before = self.optimizer.state if hasattr(self, "optimizer") else {}
        self.optimizer = _optimizer(self.parameters, self._learning_rate, self.training)
        for parameter in self.parameters:
            if parameter in before:
                self.optimizer.state[parameter] = before[parameter]
        if self.optimizer.state and self.training.optimizer == "sgd" and self.training.momentum > 0:
            # A fused optimiser wants the momentum of all weights or of none.
            for parameter in self.parameters:
                self.optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))

    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step of the optimiser with a gradient for each of `parameters`."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # Fused optimisers take the memory formats for equal.
            same = gradient.stride() == parameter.stride()
            parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
        self.optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def forget(self) -> None:
        """Drops what the optimiser remembers."""
        self.optimizer.state.clear()

    def scale_rate(self, factor: float) -> None:
        """Trains with `factor` times its learning rate until told otherwise."""
        for group in self.optimizer.param_groups:
            group["lr"] = factor * self._learning_rate

    def set_mode(self, training: bool) -> None:
        """Puts all held units in training or evaluation mode."""
        for unit in self.units:
            unit.train(training)


class Parties:
    """All clients and the server around one network.

    Before the first round everybody knows the initial weights of the whole network, so the first cut moves nothing.

    Args:
        network: The network; the server trains it in place.
        clients: C.
        training: Optimisers and their rates.
        network_at: As `Framework.network_at`. Unless clients have units of their own, all parties hold the same units
            and differ in their optimisers: a model that is handed on or averaged needs no second place.
        server_copies: The server has an optimiser for each client.
        edge_units: Units of the network in front of those that only the cloud trains, if there is one.

    Attributes:
        cloud: Trains the last units of the server's network, if there is one.
    """

    def __init__(
        self,
        network: CuttableNetwork,
        clients: int,
        training: Training,
        network_at: Literal["own-clients", "shared", "clients", "server"] = "own-clients",
        server_copies: bool = False,
        edge_units: int | None = None,
    ) -> None:
        self.training = training
        self.network_at = network_at
        self.server = Party(list(network.units), training.server_learning_rate, training)
        self.clients = [Party([], training.client_learning_rate, training) for _ in range(clients)]
        copies = clients if server_copies else 0
        self._copies = [Party(self.server.units, training.server_learning_rate, training) for _ in range(copies)]
        self._edge_units = edge_units
        self.cloud: Party | None = None
        if edge_units is not None:
            self.cloud = Party(self.server.units, training.server_learning_rate, training)
        self.cut_layer = 0
        """Units in front of the server's."""
        self._train_behind_the_cut()

    @property
    def own_units(self) -> bool:
        """Whether clients have units of their own."""
        return self.network_at == "own-clients"

    @property
    def client_cut_layer(self) -> NDArray[np.int64]:
        """[C] how many units of each client's own are valid; 0 before the first round, and if it has none."""
        return np.array([len(client.units) * self.own_units for client in self.clients], np.int64)

    def server_of(self, client: int) -> Party:
        """The server as that client trains with it."""
        return self._copies[client] if self._copies else self.server

    def everybody(self) -> list[Party]:
        """All parties, in a fixed order."""
        return [*self.servers(), *self._copies, *self.clients]

    def servers(self) -> list[Party]:
        """Who trains the units behind the cut, in their order: the server, and the cloud if there is one."""
        return [self.server] if self.cloud is None else [self.server, self.cloud]

    @property
    def second_cut(self) -> int:
        """Units in front of the cloud's; all of them if there is none."""
        return len(self.server.units) if self._edge_units is None else max(self._edge_units, self.cut_layer)

    def step_servers(self, gradients: Sequence[Tensor]) -> None:
        """One step of the server and the cloud with gradients of all weights behind the cut."""
        left = iter(gradients)
        for server in self.servers():
            server.step(list(islice(left, len(server.parameters))))

    def scale_rates(self, factor: float) -> None:
        """Everybody trains with `factor` times its learning rate until told otherwise."""
        for party in self.everybody():
            party.scale_rate(factor)

    def move_cut(self, cut_layer: int, participants: Sequence[int], data_share: NDArray[np.float64]) -> None:
        """Moves the cut to the given layer, with the clients that take part.

        Own units. Shallower: the server takes over the units behind the new cut, as the mean of those of the
        participants weighted by their data; everybody else's copies of these units are void. Deeper: participants
        fetch the units in between as the server last had them; others do so when they next take part.
        Otherwise the units stay where they are, and other parties train them.
        """
        if self.own_units:
            self._move_own_units(cut_layer, participants, data_share)
        units = len(self.server.units)
        cut_layer = {"clients": units, "server": 0}.get(self.network_at, cut_layer)
        if cut_layer == self.cut_layer:
            return
        self.cut_layer = cut_layer
        self._train_behind_the_cut()
        if not self.own_units:
            for client in self.clients:
                client.units = self.server.units[:cut_layer]
                client.train_units(0)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes, as tensors and plain values of its own."""
        state = {
            "cut_layer": self.cut_layer,
            "held": [len(client.units) for client in self.clients],
            "server": [unit.state_dict() for unit in self.server.units],
            "clients": [[u.state_dict() for u in client.units] for client in self.clients if self.own_units],
            "optimizers": [party.optimizer.state_dict() for party in self.everybody()],
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self.cut_layer = state["cut_layer"]
        for unit, saved in zip(self.server.units, state["server"], strict=True):
            unit.load_state_dict(saved)
        for client, held in zip(self.clients, state["held"], strict=True):
            units = self.server.units[:held]
            client.units = [copy.deepcopy(unit) for unit in units] if self.own_units else units
        for client, saved_units in zip(self.clients, state["clients"], strict=False):
            for unit, saved in zip(client.units, saved_units, strict=True):
                unit.load_state_dict(saved)
        for client in self.clients:
            client.train_units(0)
        self._train_behind_the_cut()
        for party, saved in zip(self.everybody(), state["optimizers"], strict=True):
            # Optimisers keep the tensors that they are given.
            party.optimizer.load_state_dict(copy.deepcopy(saved))

    def _train_behind_the_cut(self) -> None:
        for server in (self.server, *self._copies):
            server.train_units(self.cut_layer, self.second_cut)
        if self.cloud is not None:
            self.cloud.train_units(self.second_cut)

    def _move_own_units(self, cut_layer: int, participants: Sequence[int], data_share: NDArray[np.float64]) -> None:
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


def model_state(units: Sequence[nn.Module]) -> list[Tensor]:
    """What is sent of a model: weights and running statistics, without counters."""
    return [tensor for tensor in state_of(units) if tensor.is_floating_point()]


def mixed_precision(x: Tensor, training: Training) -> torch.autocast:
    """The precision in which units compute."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=training.precision == "bf16")


def _bits(tensors: Iterable[Tensor]) -> int:
    return BITS * sum(tensor.numel() for tensor in tensors)


def _optimizer(parameters: list[nn.Parameter], learning_rate: float, training: Training) -> torch.optim.Optimizer:
    # A party that holds nothing yet gets an optimiser over an empty group, which torch allows only as a group.
    groups = [{"params": parameters}]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    if training.optimizer == "adam":
        betas = (training.momentum, 0.999)
        decay = training.weight_decay
        return torch.optim.Adam(groups, lr=learning_rate, betas=betas, weight_decay=decay, fused=fused)
    momentum, decay = training.momentum, training.weight_decay
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, weight_decay=decay, fused=fused)
