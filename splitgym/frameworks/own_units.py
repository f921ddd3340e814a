"""Units of the clients' own models that change their place: given up to the servers, fetched from them."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.mean_of_adapters import MeanOfAdapters
from splitgym.frameworks.node import Node

if TYPE_CHECKING:
    from splitgym.frameworks.nodes import Nodes


def move_own_units(
    nodes: "Nodes", cut_layers: Ints, participants: Sequence[int], data_share: Floats, second_cut: int
) -> None:
    """Hands units of the clients' own models over to the servers and back, see `Nodes.move_cut`.

    Args:
        nodes: With the cuts as they were.
        cut_layers: [C] those to come.
        participants: Which clients give and fetch; before their first round all do.
        data_share: [C] share of all training samples.
        second_cut: That to come.
    """
    held, units = nodes.client_cut_layer, nodes.server.units
    if not held.any():
        participants = range(len(nodes.clients))
    if nodes.own_copies:
        for i in participants:
            _hold(nodes.clients[i], nodes.server_of(i).units[: cut_layers[i]], [])
        return
    for index in range(int(cut_layers.min()), int(held.max())):
        givers = [i for i in participants if cut_layers[i] <= index < held[i]]
        served = np.flatnonzero((held <= index) & (index >= nodes.cut_layer))
        given = {i: nodes.clients[i].units[index] for i in givers}
        _take_over(units[index], given, float(data_share[served].sum()), data_share)
    begins = [len(units) - len(tail.units) for tail in nodes.tails]
    for index in range(min(begins, default=second_cut), second_cut):
        given = {i: nodes.tails[i].units[index - begins[i]] for i in participants if begins[i] <= index}
        _take_over(units[index], given, 0.0, data_share)
    # Only now do the servers have all that goes from one end of the clients to the other.
    for i, (client, cut) in enumerate(zip(nodes.clients, cut_layers, strict=True)):
        fetched = units[len(client.units) : cut] if i in participants else []
        _hold(client, client.units[:cut], [copy.deepcopy(unit) for unit in fetched])
    for i, (tail, begin) in enumerate(zip(nodes.tails, begins, strict=True)):
        fetched = units[second_cut:begin] if i in participants else []
        _hold(tail, [copy.deepcopy(unit) for unit in fetched], tail.units[max(second_cut - begin, 0) :])


def _take_over(unit: nn.Module, given: Mapping[int, nn.Module], served: float, data_share: Floats) -> None:
    """Makes a server's unit the mean of those given up and, for the data that it served, of its own.

    Args:
        unit: Of the server.
        given: The units of clients, by these.
        served: Share of the data that the server's unit has served.
        data_share: [C].
    """
    if not given:
        return
    total = data_share[list(given)].sum() + served
    states = [unit.state_dict() for unit in given.values()]
    weights, adapters = data_share[list(given)] / total, MeanOfAdapters([unit])
    for weight, own in zip(weights, given.values(), strict=True):
        adapters.add(float(weight), [own])
    adapters.add(served / total)
    with torch.no_grad():
        for name, value in unit.state_dict().items():
            if value.is_floating_point():
                parts = [float(w) * state[name] for w, state in zip(weights, states, strict=True)]
                if served > 0:
                    parts.append(served / total * value)
                value.copy_(torch.stack(parts).sum(0))
    adapters.finish()


def _hold(node: Node, first: Sequence[nn.Module], last: Sequence[nn.Module]) -> None:
    """From now on the node holds and trains these units; what its optimiser remembers of them stays."""
    if len(node.units) != len(first) + len(last):
        node.units = [*first, *last]
        node.train_units(0)
