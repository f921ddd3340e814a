"""Mini-batches of each client's own size against plain programs of autograd that know no nodes, in double precision."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from drawn import drawn
from small_nodes import assert_close, assert_same, differs, everything, held, nodes, round_batch, training
from torch import Tensor, nn

from splitgym.frameworks import get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

SHARES = (0.5, 0.3, 0.2)
SIZES = (2, 7, 4)
SIDE_BY_SIDE = ("psl", "epsl", "psl-drop", "async-psl", "hierarchical", "u-shaped")
SETTINGS = {"momentum": 0.9, "client_learning_rate": 0.1, "server_learning_rate": 0.05}
BY_CLIENT = [name for name in names() if get(name).batches_by_client]


def sized(seed: int, sizes: Sequence[int] = SIZES, steps: int = 1, **fields: object) -> RoundBatch:
    """Everybody with so many rows, weighted by these; behind them stands what must not matter."""
    counts = tuple(size * steps for size in sizes)
    task = round_batch(SHARES, max(counts), 0, seed)
    rows = torch.tensor(sizes, dtype=torch.float64)
    for k, count in enumerate(counts):
        task.images[k, count:], task.labels[k, count:] = torch.nan, 0
    same = len(set(counts)) == 1
    return replace(task, weights=rows / rows.sum(), sizes=None if same else counts, steps=steps, **fields)


def data_of(task: RoundBatch) -> tuple[list[Tensor], list[Tensor]]:
    """Images and labels of each client."""
    counts = [task.rows_of(k) for k in range(len(task.participants))]
    return tuple([own[:n] for own, n in zip(of, counts, strict=True)] for of in (task.images, task.labels))


def sgd(units: Sequence[nn.Module], rate: float) -> torch.optim.SGD:
    return torch.optim.SGD([p for unit in units for p in unit.parameters()], lr=rate, momentum=0.9)


class Pooled:
    """One loss, the mean over all rows of all clients; each client has units of its own at both ends."""

    def __init__(self, made: Nodes) -> None:
        self.heads = [copy.deepcopy(client.units) for client in made.clients]
        self.tails = [copy.deepcopy(tail.units) for tail in made.tails] or [[]] * len(self.heads)
        last = made.second_cut if made.tails else None
        self.server = copy.deepcopy(made.server.units[:last])
        self.steps = [sgd([*head, *tail], 0.1) for head, tail in zip(self.heads, self.tails, strict=True)]
        self.server_step = sgd(self.server, 0.05)

    def train(self, task: RoundBatch) -> list[float]:
        for unit in (*self.server, *(unit for own in (*self.heads, *self.tails) for unit in own)):
            unit.train()
            for parameter in unit.parameters():
                parameter.grad = None
        images, labels = data_of(task)
        rows = [nn.Sequential(*head)(x) for head, x in zip(self.heads, images, strict=True)]
        for index, unit in enumerate(self.server):
            reached = [i for i, head in enumerate(self.heads) if len(head) <= index]
            if reached:
                outputs = unit(torch.cat([rows[i] for i in reached])).split([len(labels[i]) for i in reached])
                for i, output in zip(reached, outputs, strict=True):
                    rows[i] = output
        logits = [nn.Sequential(*tail)(x) for tail, x in zip(self.tails, rows, strict=True)]
        F.cross_entropy(torch.cat(logits), torch.cat(labels)).backward()
        total = sum(map(len, labels))
        for head, tail, step, own in zip(self.heads, self.tails, self.steps, labels, strict=True):
            for parameter in (p for unit in (*head, *tail) for p in unit.parameters()):
                # A client learns from the mean over its own rows.
                parameter.grad *= total / len(own)
            step.step()
        self.server_step.step()
        return [F.cross_entropy(x, y).item() for x, y in zip(logits, labels, strict=True)]


@pytest.mark.parametrize(("framework", "kind"), drawn(12, SIDE_BY_SIDE, ["cnn", "mlp", "norm"]))
def test_side_by_side_the_gradient_is_that_of_one_pooled_mini_batch(framework: str, kind: str) -> None:
    made = nodes(kind, SHARES, training(**SETTINGS), 1, framework)
    plain = Pooled(made)
    for seed in range(3):
        task = sized(seed, np.roll(SIZES, seed).tolist())
        assert get(framework).train(made, task)
        np.testing.assert_allclose(task.losses.numpy(), plain.train(task), rtol=1e-9)
        for client, own in zip((*made.clients, *made.tails), (*plain.heads, *plain.tails), strict=False):
            assert_close(held(client.units), held(own))
        first = slice(1, len(plain.server))
        assert_close(held(made.server.units[first]), held(plain.server[first]))


@pytest.mark.parametrize("kind", ["cnn", "mlp", "norm"])
def test_cut_layers_and_batch_sizes_may_differ_together(kind: str) -> None:
    made = nodes(kind, SHARES, training(**SETTINGS), 3, "psl")
    made.move_cut(np.array([2, 1, 2]), range(3), np.array(SHARES))
    plain = Pooled(made)
    for seed, sizes in enumerate([(2, 7, 4), (3, 3, 5), (6, 2, 6)]):
        task = sized(seed, sizes)
        assert get("psl").train(made, task)
        np.testing.assert_allclose(task.losses.numpy(), plain.train(task), rtol=1e-9)
        for client, own in zip(made.clients, plain.heads, strict=True):
            assert_close(held(client.units), held(own))
        assert_close(held(made.server.units[1:]), held(plain.server[1:]))


def test_statistics_of_each_client_average_by_weight() -> None:
    made = nodes("norm", SHARES, training(**SETTINGS, batch_statistics="per-client"), 1, "psl")
    task = sized(0)
    images, _ = data_of(task)
    means = []
    for client, x in zip(made.clients, images, strict=True):
        unit = copy.deepcopy(made.server.units[1]).train()
        unit(nn.Sequential(*copy.deepcopy(client.units)).train()(x))
        means.append(next(m for m in unit if hasattr(m, "running_mean")).running_mean)
    assert get("psl").train(made, task)
    norm = next(m for m in made.server.units[1] if hasattr(m, "running_mean"))
    expected = sum(size * mean for size, mean in zip(SIZES, means, strict=True)) / sum(SIZES)
    torch.testing.assert_close(norm.running_mean, expected)


@pytest.mark.parametrize(("framework", "steps"), [("fl", 1), ("fl", 3), ("sfl-v1", 1)])
def test_averaged_models_are_weighted_by_rows(framework: str, steps: int) -> None:
    settings = training(local_steps=steps, momentum=0.0, client_learning_rate=0.1, server_learning_rate=0.1)
    made = nodes("cnn", SHARES, settings, 1, framework)
    before = [copy.deepcopy(unit) for unit in made.server.units]
    task = sized(0, steps=steps)
    mean: list[Tensor] | None = None
    for size, images, labels in zip(SIZES, *data_of(task), strict=True):
        network = nn.Sequential(*copy.deepcopy(before))
        step = torch.optim.SGD(network.parameters(), lr=0.1)
        for x, y in zip(images.split(size), labels.split(size), strict=True):
            step.zero_grad()
            F.cross_entropy(network(x), y).backward()
            step.step()
        own = [size / sum(SIZES) * p.detach() for p in network.parameters()]
        mean = own if mean is None else [a + b for a, b in zip(mean, own, strict=True)]
    assert get(framework).train(made, task)
    assert_close([p.detach() for unit in made.server.units for p in unit.parameters()], mean)


def test_one_averaged_step_is_a_step_on_the_pooled_mini_batch() -> None:
    """With SGD; so weighing by rows means the same in all frameworks."""
    rates = {"momentum": 0.0, "client_learning_rate": 0.1, "server_learning_rate": 0.1}
    averaged, central = (nodes("mlp", SHARES, training(**rates), 1, name) for name in ("fl", "centralised"))
    for made, name in ((averaged, "fl"), (central, "centralised")):
        assert get(name).train(made, sized(0))
    assert_close(held(averaged.server.units), held(central.server.units))


@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_the_members_of_a_cluster_learn_from_their_pooled_rows(kind: str) -> None:
    """CPSL: clients and server begin with one model; what members make of theirs is averaged."""
    made = nodes(kind, SHARES, training(momentum=0.0, client_learning_rate=0.1, server_learning_rate=0.05), 2, "cpsl")
    units = [copy.deepcopy(unit) for unit in made.server.units]
    task = sized(3)
    assert get("cpsl").train(made, task)
    images, labels = data_of(task)
    front, back = nn.Sequential(*units[:2]), nn.Sequential(*units[2:])
    # Batch norm in front of the cut counts each member's rows alone.
    logits = back(torch.cat([front(x) for x in images]))
    F.cross_entropy(logits, torch.cat(labels)).backward()
    for own, rate in ((front, 0.1), (back, 0.05)):
        for parameter in own.parameters():
            parameter.data -= rate * parameter.grad
    trained = [p.detach() for unit in made.server.units for p in unit.parameters()]
    assert_close(trained, [p.detach() for unit in units for p in unit.parameters()])


@pytest.mark.parametrize("framework", BY_CLIENT)
def test_equal_sizes_are_a_common_one_to_the_bit(framework: str) -> None:
    one, other = (nodes("cnn", SHARES, training(**SETTINGS), 1, framework) for _ in range(2))
    for seed in range(2):
        task = sized(seed, (5, 5, 5))
        assert task.sizes is None
        for made, sizes in ((one, None), (other, (5, 5, 5))):
            assert get(framework).train(made, replace(sized(seed, (5, 5, 5)), sizes=sizes))
    assert_same(everything(one), everything(other))


@pytest.mark.parametrize("framework", BY_CLIENT)
def test_a_loss_that_is_not_finite_changes_nothing(framework: str) -> None:
    made = nodes("norm", SHARES, training(**SETTINGS), 1, framework)
    before = everything(made)
    task = sized(0)
    task.images[1, 0] = torch.inf
    assert not get(framework).train(made, task)
    assert not differs(everything(made), before)
