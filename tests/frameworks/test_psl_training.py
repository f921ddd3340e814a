"""PSL against a program of its own: one loss, plain autograd, SGD written out."""

import copy

import pytest
import torch
import torch.nn.functional as F
from small_nodes import (
    assert_close,
    assert_same,
    differs,
    everything,
    held,
    network,
    nodes,
    round_batch,
    training,
)
from torch import nn

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch


class PlainSplitLearning:
    """Sequential models and one weighted loss; a client's gradient is freed of its weight in that loss."""

    def __init__(self, made: Nodes) -> None:
        self.clients = [nn.Sequential(*copy.deepcopy(client.units)) for client in made.clients]
        self.server = nn.Sequential(*copy.deepcopy(made.server.units[made.cut_layer :]))
        self.settings = made.training
        self.velocity: dict[nn.Parameter, torch.Tensor] = {}

    def round(self, task: RoundBatch) -> torch.Tensor:
        n, b = task.labels.shape
        at_cut = torch.cat([self.clients[i](x) for i, x in zip(task.participants, task.images, strict=True)])
        rows = F.cross_entropy(self.server(at_cut), task.labels.flatten(), reduction="none").view(n, b)
        self._zero()
        (task.weights @ rows.mean(1)).backward()
        for i, weight in zip(task.participants, task.weights, strict=True):
            self._step(self.clients[i], self.settings.client_learning_rate, float(weight))
        self._step(self.server, self.settings.server_learning_rate, 1.0)
        return rows.mean(1).detach()

    def _zero(self) -> None:
        for module in (*self.clients, self.server):
            module.zero_grad()

    @torch.no_grad()
    def _step(self, module: nn.Module, rate: float, weight: float) -> None:
        for p in module.parameters():
            gradient = p.grad / weight + self.settings.weight_decay * p
            self.velocity[p] = self.settings.momentum * self.velocity.get(p, 0.0) + gradient
            p.sub_(rate * self.velocity[p])

    def everything(self) -> list[torch.Tensor]:
        return [value for module in (*self.clients, self.server) for value in module.state_dict().values()]


SHARES = (0.5, 0.3, 0.2)


@pytest.mark.parametrize("framework", ["psl", "epsl"])
@pytest.mark.parametrize(("kind", "cut"), [("cnn", 1), ("cnn", 3), ("mlp", 2), ("norm", 1), ("norm", 3)])
def test_psl_is_sgd_on_one_loss_over_all_rows(kind: str, cut: int, framework: str) -> None:
    made = nodes(kind, SHARES, training(momentum=0.9, weight_decay=1e-3), cut)
    plain = PlainSplitLearning(made)
    for seed in range(5):
        who = (0, 1, 2) if seed % 2 == 0 else (0, 2)
        task = round_batch(SHARES, 8, 0, seed, who)
        assert get(framework).train(made, task)
        torch.testing.assert_close(task.losses, plain.round(task), rtol=1e-9, atol=0)
    assert_close(everything(made), plain.everything(), rtol=1e-8)


@pytest.mark.parametrize("kind", ["cnn", "norm"])
@pytest.mark.parametrize("reading", ["virtual", "inject"])
def test_one_client_without_aggregation_is_centralised_sgd(kind: str, reading: str) -> None:
    rates = {"client_learning_rate": 0.05, "server_learning_rate": 0.05, "momentum": 0.9}
    made = nodes(kind, [1.0], training(aggregation_reading=reading, **rates), 2)
    whole = nn.Sequential(*copy.deepcopy(made.clients[0].units), *copy.deepcopy(made.server.units[2:]))
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.05, momentum=0.9)
    for seed in range(5):
        task = round_batch([1.0], 8, 0, seed)
        get("epsl").train(made, task)
        optimizer.zero_grad()
        F.cross_entropy(whole(task.images[0]), task.labels[0]).backward()
        optimizer.step()
    assert_close(everything(made), list(whole.state_dict().values()), rtol=1e-8)


def test_a_clients_step_does_not_depend_on_its_share_of_the_data() -> None:
    after = []
    for shares in ((0.5, 0.5), (0.95, 0.05)):
        made = nodes("cnn", shares, training(), 2)
        task = round_batch(shares, 8, 0, 3)
        get("psl").train(made, task)
        after.append((made, task))
    for i in range(2):
        assert_close(held(after[0][0].clients[i].units), held(after[1][0].clients[i].units))
    assert differs(held(after[0][0].server.units[2:]), held(after[1][0].server.units[2:]))


@pytest.mark.parametrize("m", [0, 3, 8])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_who_does_not_take_part_stays_as_it_is_to_the_bit(kind: str, m: int) -> None:
    made = nodes(kind, SHARES, training(momentum=0.9), 2)
    before = [held(client.units) for client in made.clients]
    get("epsl").train(made, round_batch(SHARES, 8, m, 0, (0, 2)))
    assert_same(held(made.clients[1].units), before[1])
    assert differs(held(made.clients[0].units), before[0])
    assert differs(held(made.clients[2].units), before[2])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_learning_rates_are_those_of_each_side(optimizer: str) -> None:
    """Adam's first step is the learning rate for every weight, whatever its gradient."""
    rates = {"client_learning_rate": 0.01, "server_learning_rate": 0.003, "momentum": 0.9}
    made = nodes("mlp", [1.0], training(optimizer=optimizer, **rates), 1)
    client, server = held(made.clients[0].units), held(made.server.units[1:])
    get("psl").train(made, round_batch([1.0], 8, 0, 0))
    longest = [
        max(float((a - b).abs().max()) for a, b in zip(before, held(units), strict=True))
        for before, units in ((client, made.clients[0].units), (server, made.server.units[1:]))
    ]
    if optimizer == "adam":
        assert longest == pytest.approx([0.01, 0.003], rel=1e-3)
    else:
        whole = nn.Sequential(*network("mlp", 100).units[:1], *network("mlp").units[1:])
        F.cross_entropy(whole(round_batch([1.0], 8, 0, 0).images[0]), round_batch([1.0], 8, 0, 0).labels[0]).backward()
        steepest = [max(float(p.grad.abs().max()) for p in part.parameters()) for part in (whole[:1], whole[1:])]
        assert longest == pytest.approx([0.01 * steepest[0], 0.003 * steepest[1]], rel=1e-6)
