"""First units of the network that clients fetch for each mini-batch, train, and give back to be mixed in.

The common ones are the server's: it holds the whole network, and trains what lies behind the cut.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.mean_of_adapters import MeanOfAdapters
from splitgym.frameworks.nodes import Nodes, model_state
from splitgym.frameworks.round_batch import Traffic
from splitgym.frameworks.snapshots import state_of

ROUNDING = 1e-12
"""By so much rates that are to sum to 1 may miss it."""


class FetchedUnits:
    """Which clients have what to give back.

    Args:
        nodes: Whose clients hold copies of the server's first units.
    """

    def __init__(self, nodes: Nodes) -> None:
        clients = len(nodes.clients)
        self._nodes = nodes
        self._rate: Floats = np.zeros(clients)
        self._update: Ints = np.zeros(clients, np.int64)
        self._updates = 0

    def go_through(self, returned_s: Floats, began_s: Floats, cut_layers: Ints, bits: Ints, traffic: Traffic) -> None:
        """Clients give back and fetch in the order of time; at the same time they give back first.

        Args:
            returned_s: [C] when each client gives back, s; inf: it does not.
            began_s: [C] likewise when it fetches.
            cut_layers: [C] last unit that each fetches.
            bits: [C] of the numbers with which it computes from then on.
            traffic: Filled.
        """
        times = np.unique(np.concatenate([returned_s, began_s]))
        for time_s in times[np.isfinite(times)]:
            self.give_back(np.flatnonzero(returned_s == time_s), traffic)
            self.fetch(np.flatnonzero(began_s == time_s), cut_layers, bits, traffic)

    def fetch(self, clients: Iterable[int], cut_layers: Ints, bits: Ints, traffic: Traffic) -> None:
        """Clients fetch the common units; what their optimisers remember stays. Arguments as above."""
        server = self._nodes.server
        for i in clients:
            client, cut = self._nodes.clients[i], int(cut_layers[i])
            if len(client.units) != cut:
                client.units = [*client.units[:cut], *copy.deepcopy(server.units[len(client.units) : cut])]
                client.train_units(0)
            for own, common in zip(state_of(client.units), state_of(server.units[:cut]), strict=True):
                own.copy_(common)
            client.bits = int(bits[i])
            traffic.model("unicast", model_state(client.units), client.bits)
            self._rate[i] = 0.0

    def note_update(self, clients: Sequence[int], rates: Floats) -> None:
        """Clients have trained in an update; [n] rates say how far each of them will replace the common units."""
        self._updates += 1
        self._rate[list(clients)], self._update[list(clients)] = rates, self._updates

    def give_back(self, clients: Iterable[int], traffic: Traffic) -> None:
        """What clients have trained is mixed in, together with what others of the same update give back."""
        who = np.asarray(list(clients), np.int64)
        for i in who:
            client = self._nodes.clients[i]
            traffic.model("uplink", model_state(client.units), client.bits)
        who = who[self._rate[who] > 0]
        for update in np.unique(self._update[who]):
            self._mix(who[self._update[who] == update])
        self._rate[who] = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What changes beside the nodes, as plain values."""
        return {"rate": self._rate.tolist(), "update": self._update.tolist(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self._rate, self._update = np.array(state["rate"]), np.array(state["update"])
        self._updates = state["updates"]

    def _mix(self, clients: Ints) -> None:
        """Every unit becomes the mean of the common one and those of clients that hold it, by their rates."""
        for index, common in enumerate(self._nodes.server.units):
            held = {i: self._nodes.clients[i].units[index : index + 1] for i in clients.tolist()}
            holders = [i for i, unit in held.items() if unit]
            if holders:
                mix([common], [held[i] for i in holders], self._rate[holders])


def mix(common: Sequence[nn.Module], others: Sequence[Sequence[nn.Module]], rates: Floats) -> None:
    """Units become (1 - sum of rates) times themselves and the rates times others; counters of batches stay.

    Args:
        common: Units that are written to.
        others: [n] as many units each.
        rates: [n], above 0, with a sum of at most 1.
    """
    rest, adapters = 1.0 - float(rates.sum()), MeanOfAdapters(common)
    adapters.add(rest)
    for other, rate in zip(others, rates.tolist(), strict=True):
        adapters.add(rate, other)
    for values in zip(state_of(common), *map(state_of, others), strict=True):
        target, *own = values
        if not target.is_floating_point():
            continue
        total = target * rest if rest > ROUNDING else torch.zeros_like(target)
        for value, rate in zip(own, rates.tolist(), strict=True):
            total.add_(value * rate)
        target.copy_(total)
    adapters.finish()
