"""Every framework once more, as the plain program that its definition reads like.

Deep-copied `nn.Sequential`s, one per node, plain loops, back-propagation of one loss, optimisers written out. Of the
package only the fields of settings and round_batches are read; nothing of splitgym.frameworks is called.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from splitgym.scenario import Training


class Batch(Protocol):
    """What a program reads of an round_batch."""

    participants: tuple[int, ...]
    weights: Tensor
    images: Tensor
    labels: Tensor
    aggregated_rows: int
    slots: tuple[tuple[int, ...], ...] | None


class Optimiser:
    """SGD with momentum and weight decay, or Adam; it remembers units by their place, whatever model they are in."""

    def __init__(self, rate: float, settings: Training) -> None:
        self.rate, self.settings = rate, settings
        self.memory: dict[tuple[int, str], list[Tensor]] = {}

    @torch.no_grad()
    def step(self, model: nn.Sequential, first: int) -> None:
        """Steps with what `.grad` holds; the model's first unit has that place in the network."""
        s = self.settings
        for place, unit in enumerate(model, start=first):
            for name, w in unit.named_parameters():
                g = w.grad + s.weight_decay * w
                if s.optimizer == "sgd":
                    (v,) = self.memory.get((place, name), [torch.zeros_like(w)])
                    v = s.momentum * v + g
                    self.memory[place, name] = [v]
                    w.sub_(self.rate * v)
                else:
                    zero = [torch.zeros_like(w), torch.zeros_like(w), torch.zeros((), dtype=w.dtype)]
                    mean, square, t = self.memory.get((place, name), zero)
                    mean = s.momentum * mean + (1 - s.momentum) * g
                    square, t = 0.999 * square + 0.001 * g * g, t + 1
                    self.memory[place, name] = [mean, square, t]
                    w.sub_(self.rate * mean / (1 - s.momentum**t) / (torch.sqrt(square / (1 - 0.999**t)) + 1e-8))

    def forget(self, places: Sequence[int]) -> None:
        """Forgets the units at these places."""
        self.memory = {key: value for key, value in self.memory.items() if key[0] not in places}


def average(models: Sequence[nn.Sequential], weights: Sequence[float] | Tensor) -> nn.Sequential:
    """The weighted mean of weights and running statistics; counters as the last model has them."""
    mean = copy.deepcopy(models[-1])
    states = [model.state_dict() for model in models]
    blended = {
        name: sum(float(w) * state[name] for w, state in zip(weights, states, strict=True))
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }
    mean.load_state_dict(blended)
    return mean


def cross_entropy_rows(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each row, written out."""
    return torch.logsumexp(logits, -1) - logits.gather(-1, labels[..., None])[..., 0]


class PlainProgram:
    """One network at a cut, C clients and a server, and a round of every framework.

    Args:
        network: Units of the whole network.
        settings: Rates, optimiser, reading of aggregation, batch statistics.
        clients: C.
        cut: Units of a client.
        own: First units of each client, if each has its own.
    """

    def __init__(
        self,
        network: Sequence[nn.Module],
        settings: Training,
        clients: int,
        cut: int,
        own: Sequence[Sequence[nn.Module]] | None = None,
    ) -> None:
        self.settings, self.cut = settings, cut
        self.network = nn.Sequential(*copy.deepcopy(list(network)))
        self.own = None if own is None else [nn.Sequential(*copy.deepcopy(list(units))) for units in own]
        self.client_optimisers = [Optimiser(settings.client_learning_rate, settings) for _ in range(clients)]
        self.server_optimiser = Optimiser(settings.server_learning_rate, settings)
        self.copy_optimisers = [Optimiser(settings.server_learning_rate, settings) for _ in range(clients)]

    def everything(self) -> list[Tensor]:
        """Weights and statistics: of each client's own units, then of the server's; or of the one network."""
        parts = [self.network] if self.own is None else [*self.own, self.network[self.cut :]]
        return [value for part in parts for value in part.state_dict().values()]

    def round(self, framework: str, batch: Batch) -> Tensor:
        """Trains a round; the mean loss of each participant."""
        rounds: dict[str, Callable[[Batch], list[Tensor] | Tensor]] = {
            "centralised": self.centralised,
            "fl": self.fl,
            "sl": self.sl,
            "sfl-v1": self.sfl_v1,
            "sfl-v2": self.sfl_v2,
            "psl": lambda b: self.psl(b, b.labels.shape[1]),
            "async-psl": lambda b: self.psl(b, b.labels.shape[1]),
            "hierarchical": lambda b: self.psl(b, b.labels.shape[1]),
            "psl-drop": lambda b: self.psl(b, b.labels.shape[1] - b.aggregated_rows),
            "epsl": self.epsl,
            "epsl-pt": self.epsl,
            "cpsl": self.cpsl,
        }
        losses = rounds[framework](batch)
        return torch.stack(list(losses)).detach()

    def centralised(self, batch: Batch) -> Tensor:
        """One model on all rows at once."""
        logits = self.network(batch.images.flatten(0, 1))
        losses = cross_entropy_rows(logits, batch.labels.flatten()).view(batch.labels.shape).mean(1)
        self._backward(sum(w * loss for w, loss in zip(batch.weights, losses, strict=True)), self.network)
        self.server_optimiser.step(self.network, 0)
        return losses

    def fl(self, batch: Batch) -> list[Tensor]:
        """Whole models, several local steps, averaged."""
        b, models, losses = self.settings.batch_size, [], []
        for i, x, y in zip(batch.participants, batch.images, batch.labels, strict=True):
            model, own = copy.deepcopy(self.network), []
            for first in range(0, len(x), b):
                own.append(cross_entropy_rows(model(x[first : first + b]), y[first : first + b]).mean())
                self._backward(own[-1], model)
                self.client_optimisers[i].step(model, 0)
            models.append(model)
            losses.append(sum(own) / len(own))
        self.network = average(models, batch.weights)
        return losses

    def sl(self, batch: Batch) -> list[Tensor]:
        """The client's part is handed from one to the next."""
        losses = []
        for i, x, y in zip(batch.participants, batch.images, batch.labels, strict=True):
            losses.append(cross_entropy_rows(self.network(x), y).mean())
            self._backward(losses[-1], self.network)
            self.client_optimisers[i].step(self.network[: self.cut], 0)
            self.server_optimiser.step(self.network[self.cut :], self.cut)
        return losses

    def sfl_v1(self, batch: Batch) -> list[Tensor]:
        """A copy of both parts for each client, all averaged."""
        models, losses = [], []
        for i, x, y in zip(batch.participants, batch.images, batch.labels, strict=True):
            model = copy.deepcopy(self.network)
            losses.append(cross_entropy_rows(model(x), y).mean())
            self._backward(losses[-1], model)
            self.client_optimisers[i].step(model[: self.cut], 0)
            self.copy_optimisers[i].step(model[self.cut :], self.cut)
            models.append(model)
        self.network = average(models, batch.weights)
        return losses

    def sfl_v2(self, batch: Batch) -> list[Tensor]:
        """A copy of the client's part for each client, averaged; one server model, in sequence."""
        server, clients, losses = copy.deepcopy(self.network[self.cut :]), [], []
        for i, x, y in zip(batch.participants, batch.images, batch.labels, strict=True):
            client = copy.deepcopy(self.network[: self.cut])
            losses.append(cross_entropy_rows(server(client(x)), y).mean())
            self._backward(losses[-1], client, server)
            self.client_optimisers[i].step(client, 0)
            self.server_optimiser.step(server, self.cut)
            clients.append(client)
        self.network = nn.Sequential(*average(clients, batch.weights), *server)
        return losses

    def psl(self, batch: Batch, rows: int) -> list[Tensor]:
        """Own client models, one server, one step each, on the first rows of each mini-batch."""
        assert self.own is not None
        server, clients = self.network[self.cut :], [self.own[i] for i in batch.participants]
        return self._parallel(clients, server, batch, range(len(clients)), rows)

    def cpsl(self, batch: Batch) -> list[Tensor]:
        """Inside a cluster copies of the client's part and one server batch; from cluster to cluster in sequence."""
        losses: list[Tensor] = [torch.zeros(())] * len(batch.participants)
        for members in batch.slots or [range(len(losses))]:
            clients, server = [copy.deepcopy(self.network[: self.cut]) for _ in members], self.network[self.cut :]
            own = self._parallel(clients, server, batch, members, batch.labels.shape[1])
            for k, loss in zip(members, own, strict=True):
                losses[k] = loss
            weights = batch.weights[list(members)] / batch.weights[list(members)].sum()
            self.network = nn.Sequential(*average(clients, weights), *server)
        return losses

    def _parallel(
        self, clients: Sequence[nn.Sequential], server: nn.Sequential, batch: Batch, members: Sequence[int], rows: int
    ) -> list[Tensor]:
        """One step of each: the server's by the weighted mean loss, a client's by the same freed of its weight."""
        index = list(members)
        weights = batch.weights[index] / batch.weights[index].sum()
        smashed = [client(x) for client, x in zip(clients, batch.images[index, :rows], strict=True)]
        logits, statistics = self._server(server, smashed, weights)
        losses = cross_entropy_rows(logits, batch.labels[index, :rows]).mean(1)
        self._backward(weights @ losses, server, *clients)
        write_statistics(server, statistics)
        for k, client, w in zip(index, clients, weights, strict=True):
            for p in client.parameters():
                p.grad /= w
            self.client_optimisers[batch.participants[k]].step(client, 0)
        self.server_optimiser.step(server, self.cut)
        return list(losses)

    def epsl(self, batch: Batch) -> list[Tensor]:
        """The first m last-layer gradients are averaged over clients."""
        assert self.own is not None
        m, (n, b), weights = batch.aggregated_rows, batch.labels.shape, batch.weights
        virtual = self.settings.aggregation_reading == "virtual"
        if m == 0 or (n == 1 and virtual):
            return self.psl(batch, b)
        server, clients = self.network[self.cut :], [self.own[i] for i in batch.participants]
        smashed = [client(x) for client, x in zip(clients, batch.images, strict=True)]
        at_cut = [s.detach().requires_grad_() for s in smashed]
        rows, common, own, statistics = (self._mean_field if virtual else self._injected)(server, at_cut, batch)
        for s, client, rest, w in zip(smashed, clients, own, weights, strict=True):
            client.zero_grad(set_to_none=True)
            s.backward(torch.cat([common, rest / w]))
        write_statistics(server, statistics)
        for i, client in zip(batch.participants, clients, strict=True):
            self.client_optimisers[i].step(client, 0)
        self.server_optimiser.step(server, self.cut)
        return list(rows.mean(1))

    def _mean_field(
        self, server: nn.Sequential, at_cut: Sequence[Tensor], batch: Batch
    ) -> tuple[Tensor, Tensor, list[Tensor], dict[str, Tensor]]:
        """All rows go back layer by layer; in front of each, aggregated rows get lambda_i times their common sum.

        Losses [n, b]; the gradient at the cut that is common to all, and each client's own; statistics.
        """
        m, (n, b), weights = batch.aggregated_rows, batch.labels.shape, batch.weights
        apart = self.settings.batch_statistics == "per-client"
        copies = [copy.deepcopy(server).train() for _ in range(n if apart else 1)]
        apart_or_not = zip(copies, self._passes(at_cut), strict=True)
        passes = list(zip(*(self._layer_by_layer(model, x) for model, x in apart_or_not), strict=True))
        logits = torch.cat([output for _, _, output in passes[-1]]).view(n, b, -1).detach()
        mean_z, _ = self._mean_last_layer_gradients(logits[:, :m], batch)
        leaf = logits.requires_grad_()
        rows = cross_entropy_rows(leaf, batch.labels)
        (back,) = torch.autograd.grad((weights @ rows).sum() / b, leaf)
        back[:, :m] = torch.stack([w * mean_z / b for w in weights])
        for layer in reversed(passes):
            total = back[:, :m].sum(0)
            back = torch.cat([torch.stack([w * total for w in weights]), back[:, m:]], 1)
            parts = []
            for (module, x, output), gradient in zip(layer, back.flatten(0, 1).chunk(len(copies)), strict=True):
                own = list(module.parameters())
                dx, *of_weights = torch.autograd.grad(output, [x, *own], gradient)
                parts.append(dx)
                for p, part in zip(own, of_weights, strict=True):
                    p.grad = part
            back = torch.cat(parts).unflatten(0, (n, b))
        for p, *same in zip(server.parameters(), *(c.parameters() for c in copies), strict=True):
            p.grad = sum(one.grad for one in same)
        shares = weights if apart else [1.0]
        statistics = {name: value.clone() for name, value in average(copies, shares).named_buffers()}
        return rows.detach(), back[:, :m].sum(0), list(back[:, m:]), statistics

    def _passes(self, at_cut: Sequence[Tensor]) -> list[Tensor]:
        """Rows that batch norm normalises together."""
        return [torch.cat(list(at_cut))] if self.settings.batch_statistics == "joint" else list(at_cut)

    @staticmethod
    def _layer_by_layer(model: nn.Sequential, x: Tensor) -> list[tuple[nn.Module, Tensor, Tensor]]:
        """Every layer with its input and its output, and no graph from one to the next."""
        found = []
        for layer in model.modules():
            if not isinstance(layer, nn.Sequential):
                leaf = x.detach().clone().requires_grad_()
                x = layer(leaf * 1)
                found.append((layer, leaf, x))
        return found

    def _injected(
        self, server: nn.Sequential, at_cut: Sequence[Tensor], batch: Batch
    ) -> tuple[Tensor, Tensor, list[Tensor], dict[str, Tensor]]:
        """As `_mean_field`, but zbar_j at every client's own row j, by one back-propagation."""
        m, b = batch.aggregated_rows, batch.labels.shape[1]
        logits, statistics = self._server(server, at_cut, batch.weights)
        mean_z, _ = self._mean_last_layer_gradients(logits[:, :m].detach(), batch)
        rows = cross_entropy_rows(logits, batch.labels)
        aggregated = sum(w * (own[:m] * mean_z).sum() for w, own in zip(batch.weights, logits, strict=True))
        self._backward((aggregated + (batch.weights @ rows[:, m:]).sum()) / b, server)
        return rows.detach(), sum(s.grad[:m] for s in at_cut), [s.grad[m:] for s in at_cut], statistics

    def _mean_last_layer_gradients(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """zbar_j, and the losses [n, m] whose gradients it averages."""
        leaf = logits.detach().requires_grad_()
        rows = cross_entropy_rows(leaf, batch.labels[:, : batch.aggregated_rows])
        (z,) = torch.autograd.grad(rows.sum(), leaf)
        mean = sum(w * one for w, one in zip(batch.weights, z, strict=True))
        if self.settings.aggregation_correction == "unbiased":
            mean = mean / sum(float(w) ** 2 for w in batch.weights)
        return mean, rows.detach()

    def _server(
        self, server: nn.Sequential, at_cut: Sequence[Tensor], weights: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """[n, rows, classes], and the statistics after it; batch norm over all rows, or each client's by themselves."""
        weights_of_server = dict(server.named_parameters())
        passes = self._passes(at_cut)
        copies = [copy.deepcopy(server).train() for _ in passes]
        logits = [torch.func.functional_call(c, weights_of_server, (x,)) for c, x in zip(copies, passes, strict=True)]
        shares = [1.0] if len(passes) == 1 else weights
        statistics = {name: value.clone() for name, value in average(copies, shares).named_buffers()}
        return torch.cat(logits).unflatten(0, (len(at_cut), -1)), statistics

    @staticmethod
    def _backward(loss: Tensor, *models: nn.Sequential) -> None:
        for model in models:
            model.zero_grad(set_to_none=True)
        loss.backward()


def write_statistics(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Writes buffers by name."""
    for name, buffer in model.named_buffers():
        buffer.copy_(values[name])
