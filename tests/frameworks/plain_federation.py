"""Split federated learning whose means come later, as the plain program that its definition reads like.

Each client has deep copies of what it trains; nothing of splitgym.frameworks is called.
"""

import copy
from collections.abc import Sequence

import torch
from plain_programs import Batch, Optimiser, average, cross_entropy_rows
from torch import Tensor, nn

from splitgym.scenario import Training


class PlainFederation:
    """C clients with a first part each, and at the server a second part for each (`copies`) or one that all train."""

    def __init__(self, network: Sequence[nn.Module], settings: Training, clients: int, cut: int, copies: bool) -> None:
        self.cut, self.copies = cut, copies
        whole = nn.Sequential(*copy.deepcopy(list(network)))
        self.firsts = [copy.deepcopy(whole[:cut]) for _ in range(clients)]
        self.seconds = [copy.deepcopy(whole[cut:]) for _ in range(clients if copies else 1)]
        self.of_firsts = [Optimiser(settings.client_learning_rate, settings) for _ in range(clients)]
        self.of_seconds = [Optimiser(settings.server_learning_rate, settings) for _ in self.seconds]

    def round(self, batch: Batch, mean: bool) -> Tensor:
        """Trains a round, and averages if it has a mean; losses."""
        losses = []
        for i, x, y in zip(batch.participants, batch.images, batch.labels, strict=True):
            k = i if self.copies else 0
            first, second = self.firsts[i], self.seconds[k]
            first.zero_grad(set_to_none=True)
            second.zero_grad(set_to_none=True)
            losses.append(cross_entropy_rows(second(first(x)), y).mean())
            losses[-1].backward()
            self.of_firsts[i].step(first, 0)
            self.of_seconds[k].step(second, self.cut)
        if mean:
            who = batch.participants
            for parts in (self.firsts, self.seconds)[: 1 + self.copies]:
                middle = average([parts[i] for i in who], batch.weights)
                for part in parts:
                    part.load_state_dict(middle.state_dict())
        return torch.stack(losses).detach()

    def of_client(self, i: int) -> list[Tensor]:
        """Weights and statistics of the network that client i trains."""
        parts = (self.firsts[i], self.seconds[i if self.copies else 0])
        return [value for part in parts for value in part.state_dict().values()]
