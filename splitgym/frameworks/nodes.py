"""The nodes of split learning: clients with the first units of a network, servers with those behind the cut.

Every node is resident and keeps its optimiser; units are trained in place, and only a cut or a placement that changes
hands units on.
"""

import copy
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor, nn

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.codecs import Codec
from splitgym.frameworks.codecs.floats import NONE
from splitgym.frameworks.mean_of_adapters import MeanOfAdapters
from splitgym.frameworks.node import Node
from splitgym.frameworks.own_units import move_own_units
from splitgym.frameworks.placements import Placement
from splitgym.frameworks.segments import (
    SPLIT,
    Segments,
    Weights,
    has_tail,
    nodes_behind,
    segment_at,
    units_on_clients,
)
from splitgym.frameworks.servers import Servers, Stage
from splitgym.frameworks.snapshots import state_of, write, write_mean
from splitgym.models import CuttableNetwork
from splitgym.scenario import Training
from splitgym.scenario.nodes import CLIENT, SERVER


class Nodes:
    """All clients and servers around one network.

    Before the first round everybody knows the initial weights of the whole network, so the first cut moves nothing.

    Args:
        network: The network; the servers train it in place.
        clients: C.
        training: Optimisers and their rates.
        segments: Which node trains which units. Unless clients have weights of their own, or copies that they fetched,
            all nodes hold the same units and differ in their optimisers: a model that is handed on or averaged needs no
            second place.
        second_cut: Last unit in front of it, if there is one; `move_cut` may move it.
        codec: Of all clients before their first round.
        placement: Of the servers; None: what the segments say.

    Attributes:
        clients: Who trains the first units.
        own_units: Whether each client's first units stay with it.
        own_copies: Whether the server has a copy of its part for each client, and each is trained.
        fetches: Whether they are copies of the server's, see `splitgym.frameworks.fetched_units`.
        tails: Of each client, who trains its last units; empty unless the clients hold these.
        cut_layers: [C] last unit of each client, as decided; 0 before the first round.
        second_cut: Units in front of it; all of them if there is none.
        codecs: [C] how the smashed data of each client are sent, as decided last.
        one_by_one: Whether the server of a round in which clients have their own units, with m = 0, runs the rows of
            one client after the other, as it does where it answers each before it has those of all: one batch of them
            adds up in another order, so that last bits differ.
    """

    one_by_one = False

    def __init__(
        self,
        network: CuttableNetwork,
        clients: int,
        training: Training,
        segments: Segments = SPLIT,
        second_cut: int | None = None,
        codec: Codec = NONE,
        placement: Placement | None = None,
    ) -> None:
        self.training = training
        self.segments = segments
        self.second_cut = len(network) if second_cut is None else second_cut
        behind = nodes_behind(segments)
        by_segments = Placement((SERVER, *behind), (self.second_cut,) * len(behind))
        self._servers = Servers(list(network.units), placement or by_segments, training)
        self.clients = [Node([], training.client_learning_rate, training) for _ in range(clients)]
        self.tails = [Node([], training.client_learning_rate, training) for _ in range(clients * has_tail(segments))]
        at_client, at_server = segment_at(segments, CLIENT), segment_at(segments, SERVER)
        self.own_units = at_client is not None and at_client.weights is Weights.OWN
        self.fetches = at_client is not None and at_client.weights is Weights.FETCHED
        self.has_copies = at_server is not None and at_server.weights is not Weights.COMMON
        self.own_copies = at_server is not None and at_server.weights is Weights.OWN
        self._copies = [
            Node(
                copy.deepcopy(self.server.units) if self.own_copies else self.server.units,
                training.server_learning_rate,
                training,
            )
            for _ in range(clients * self.has_copies)
        ]
        self._fetched = True
        self.cut_layers = np.zeros(clients, np.int64)
        self.codecs = [codec] * clients
        self._train_behind_the_cut(self.placement)

    @property
    def server(self) -> Node:
        """The first server."""
        return self._servers.stages[0].server

    @property
    def stages(self) -> Sequence[Stage]:
        """All that train the units behind the cut, in the order of these."""
        return self._servers.stages

    @property
    def placement(self) -> Placement:
        """Which servers train which units behind the cut."""
        return self._servers.placement

    @property
    def cut_layer(self) -> int:
        """Units in front of the server's: of the client that has the fewest."""
        return int(self.cut_layers.min())

    def cut_of(self, participants: Sequence[int]) -> int:
        """Units in front of the server's for some clients, which have the same cut layer."""
        return int(self.cut_layers[list(participants)].min())

    @property
    def client_cut_layer(self) -> Ints:
        """[C] how many units of each client's own are valid.

        0 before the first round, if it has none, and between a mean and the next round, in which all clients fetch it.
        """
        return np.array([len(client.units) * self.own_units * self._fetched for client in self.clients], np.int64)

    @property
    def client_second_cut(self) -> Ints:
        """[C] second cut behind which each client's tail is valid; 0 before the first round, and if it has none."""
        if not self.tails:
            return np.zeros(len(self.clients), np.int64)
        held, units = np.array([len(tail.units) for tail in self.tails]), len(self.server.units)
        return np.where(held > 0, units - held, 0)

    @property
    def _copied(self) -> bool:
        """Whether each client's units are modules of its own."""
        return self.own_units or self.fetches

    def server_of(self, client: int) -> Node:
        """The server as that client trains with it."""
        return self._copies[client] if self._copies else self.server

    def measured(self, client: int) -> Node:
        """What a client's network begins with when it is measured: its units, or those that it would fetch."""
        own = self.clients[client]
        if not self.fetches:
            return own
        fetched = Node(self.server.units[: self.cut_layers[client]], 0.0, self.training)
        fetched.bits = own.bits
        return fetched

    def at_client(self, client: int) -> list[Node]:
        """What a client trains: its first units, and its tail, if it has one."""
        return [self.clients[client], *self.tails[client : client + 1]]

    def everybody(self) -> list[Node]:
        """All nodes, in a fixed order."""
        return [*self.servers(), *self._copies, *self.clients, *self.tails]

    def servers(self) -> list[Node]:
        """All that train the units behind the cut, in the order of these."""
        return [stage.server for stage in self.stages]

    def step_servers(self, gradients: Sequence[Tensor | None]) -> None:
        """One step of all servers with gradients of all weights behind the cut."""
        left = iter(gradients)
        for server in self.servers():
            server.step(list(islice(left, len(server.parameters))))

    def scale_rates(self, factor: float) -> None:
        """Everybody trains with `factor` times its learning rate until told otherwise."""
        for node in self.everybody():
            node.scale_rate(factor)

    def move_cut(
        self,
        cut_layer: int | Ints,
        participants: Sequence[int],
        data_share: Floats,
        second_cut: int | None = None,
        placement: Placement | None = None,
    ) -> int:
        """Moves the cuts to the given layers, with the clients that take part, and units behind them to other servers.

        Own units. Shallower: the server takes over the units behind the new cut, as the mean of those of the
        participants weighted by their data; everybody else's copies of these units are void. A unit that the server
        trained already, for clients with shallower cuts, counts with the data of these. Deeper: participants fetch the
        units in between as the server last had them; others do so when they next take part.
        Where the server has a copy of its part for each client, there is a whole network for each, whose units only
        change their place.
        Tails likewise, with the second cut. A unit that goes from one end of the clients to the other is averaged on
        its way, too. Otherwise the units stay where they are, and other nodes train them.
        What clients with few bits give up has these, and what they fetch is rounded to them when they begin to train.
        Where servers have another placement, what is behind the cuts of before and of now goes from server to server,
        with all that optimisers remember of it; see `splitgym.frameworks.migration`. What clients give up goes to its
        new server, and what they fetch comes from its old one.

        Args:
            cut_layer: Of all clients, or [C]; of a client that takes no part what it may keep.
            participants: Which clients participate.
            data_share: [C] share of all training samples.
            second_cut: Last unit in front of it; None: as before.
            placement: Of the servers; None: as before, but for the second cut.

        Returns:
            Bytes that servers hand over to each other.
        """
        units, clients = len(self.server.units), len(self.clients)
        if self.own_units:
            for node in (node for i in participants for node in self.at_client(i)):
                node.begin()
            second = self.second_cut if second_cut is None else second_cut
            move_own_units(self, np.broadcast_to(cut_layer, clients), participants, data_share, second)
            self._fetched = True
        before, held = (self.cut_layers, self.second_cut, self.placement), self.cut_layer
        self.cut_layers = np.array(
            [units_on_clients(self.segments, int(cut), units) for cut in np.broadcast_to(cut_layer, clients)]
        )
        self.second_cut = self.second_cut if second_cut is None else second_cut
        kept_from = None if placement is None or held == 0 else max(held, self.cut_layer)
        if placement is None and nodes_behind(self.segments):
            placement = self.placement._replace(bounds=(self.second_cut,) * len(self.placement.bounds))
        placement = placement or self.placement
        if np.array_equal(self.cut_layers, before[0]) and (self.second_cut, placement) == before[1:]:
            return 0
        sent = self._train_behind_the_cut(placement, kept_from)
        if not (self.own_units or self.fetches):
            for client, cut in zip(self.clients, self.cut_layers, strict=True):
                client.units = self.server.units[:cut]
                client.train_units(0)
        return sent

    def average(self, participants: Sequence[int], weights: Tensor) -> None:
        """Gives all clients the mean of the parts, and of the server's copies, that participants have of their own.

        Optimisers stay with their owners. Until they fetch it, in the next round, clients have nothing that is valid.

        Args:
            participants: Indices of n clients, with the same cut layer.
            weights: [n], with the sum 1.
        """
        models = [node.units for node in (self._copies if self.own_copies else self.clients)]
        common = self.server.units[: len(models[participants[0]])]
        mean, adapters = state_of(common), MeanOfAdapters(common)
        write_mean([state_of(models[i]) for i in participants], weights, mean)
        for i, weight in zip(participants, weights, strict=True):
            adapters.add(weight, models[i])
        adapters.finish()
        for model in models:
            own = state_of(model)
            write(mean[: len(own)], own)
        self._fetched = False

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes, as tensors and plain values of its own."""
        state = {
            "cut_layers": self.cut_layers.tolist(),
            "second_cut": self.second_cut,
            "placement": [list(part) for part in self.placement],
            "held": [len(client.units) for client in self.clients],
            "fetched": self._fetched,
            "copies": [[unit.state_dict() for unit in each.units] for each in self._copies if self.own_copies],
            "server": [unit.state_dict() for unit in self.server.units],
            "clients": [[u.state_dict() for u in client.units] for client in self.clients if self._copied],
            "held_by_tails": [len(tail.units) for tail in self.tails],
            "tails": [[unit.state_dict() for unit in tail.units] for tail in self.tails],
            "optimizers": [node.optimizer.state_dict() for node in self.everybody()],
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self.cut_layers, self.second_cut = np.array(state["cut_layers"], np.int64), state["second_cut"]
        for unit, saved in zip(self.server.units, state["server"], strict=True):
            unit.load_state_dict(saved)
        self._fetched = state["fetched"]
        for each, saved_units in zip(self._copies, state["copies"], strict=False):
            for unit, saved in zip(each.units, saved_units, strict=True):
                unit.load_state_dict(saved)
        for i, (client, held) in enumerate(zip(self.clients, state["held"], strict=True)):
            units = self.server_of(i).units[:held]
            copied = self._copied and not self.own_copies
            client.units = [copy.deepcopy(unit) for unit in units] if copied else units
        for client, saved_units in zip(self.clients, state["clients"], strict=False):
            for unit, saved in zip(client.units, saved_units, strict=True):
                unit.load_state_dict(saved)
        for tail, held in zip(self.tails, state["held_by_tails"], strict=True):
            tail.units = [copy.deepcopy(unit) for unit in self.server.units[len(self.server.units) - held :]]
        for tail, saved_units in zip(self.tails, state["tails"], strict=True):
            for unit, saved in zip(tail.units, saved_units, strict=True):
                unit.load_state_dict(saved)
        for node in (*self.clients, *self.tails):
            node.train_units(0)
        nodes, bounds = state["placement"]
        self._train_behind_the_cut(Placement(tuple(nodes), tuple(bounds)))
        for node, saved in zip(self.everybody(), state["optimizers"], strict=True):
            # Optimisers keep the tensors that they are given.
            node.optimizer.load_state_dict(copy.deepcopy(saved))

    def _train_behind_the_cut(self, placement: Placement, kept_from: int | None = None) -> int:
        """Servers, and the server's copies, train what they have to; see `Servers.place`."""
        last = self.second_cut if self.tails else len(self.server.units)
        sent = self._servers.place(placement, self.cut_layer, last, kept_from)
        for copy_of_server, cut in zip(self._copies, self.cut_layers, strict=False):
            copy_of_server.train_units(int(cut), self.second_cut)
        return sent


def model_state(units: Sequence[nn.Module]) -> list[Tensor]:
    """What is sent of a model: weights and running statistics, without counters."""
    return [tensor for tensor in state_of(units) if tensor.is_floating_point()]
