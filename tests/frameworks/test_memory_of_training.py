"""What `Memory` says, against what nodes hold in real passes: tensors that autograd saves, and optimisers."""

import copy
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from held_tensors import holding, weights_and_buffers
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from splitgym.frameworks import get, sequential
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import run_clients
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.server_pass import inject
from splitgym.models import CuttableNetwork, Memory, build, memory_of, optimizer_copies
from splitgym.scenario import Training

CLASSES = 7
NETWORKS = [
    ("resnet18", (3, 28, 28), "7x7"),
    ("resnet18", (1, 28, 28), "3x3"),
    ("resnet18", (3, 33, 40), "7x7"),
    ("cnn", (1, 8, 8), "7x7"),
    ("cnn", (3, 29, 34), "7x7"),
    ("mlp", (1, 8, 8), "7x7"),
]
OPTIMIZERS = [{"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "sgd"}, {"optimizer": "adam"}]


@cache
def network_and_memory(name: str, shape: tuple[int, int, int], stem: str) -> tuple[CuttableNetwork, Memory]:
    network = build(name, shape, CLASSES, stem=stem).to(memory_format=torch.channels_last)
    return network, memory_of(network, shape)


def bytes_of_weights(units: Iterable[nn.Module]) -> int:
    """Weights, their gradients, and buffers."""
    tensors = weights_and_buffers(units)
    return sum((2 if isinstance(tensor, nn.Parameter) else 1) * tensor.nbytes for tensor in tensors)


def loss_bytes(rows: int, batches: int = 1) -> int:
    """Log probabilities, labels, and the number of labels of each batch."""
    return rows * (4 * CLASSES + 8) + batches * 4


def nodes(network: CuttableNetwork, cut: int, clients: int = 1, framework: str = "psl", **fields: object) -> Nodes:
    made = Nodes(network, clients, Training(**fields), get(framework).segments)
    made.move_cut(cut, range(clients), np.full(clients, 1 / clients))
    for node in made.everybody():
        node.set_mode(True)
    return made


def random_images(rows: int, shape: tuple[int, ...]) -> Tensor:
    """As a learner has them, channels last."""
    images = torch.rand(rows, *shape, generator=torch.Generator().manual_seed(rows))
    return images.contiguous(memory_format=torch.channels_last)


def round_batch(shape: tuple[int, ...], rows: int, clients: int = 1) -> RoundBatch:
    images = random_images(clients * rows, shape).unflatten(0, (clients, rows))
    labels = torch.zeros(clients, rows, dtype=torch.int64)
    weights = torch.full((clients,), 1 / clients)
    return RoundBatch(tuple(range(clients)), weights, images, labels, 0, torch.zeros(clients))


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize(("name", "shape", "stem"), NETWORKS)
def test_clients_and_servers_hold_what_it_says_at_every_cut(name, shape, stem, rows):
    network, memory = network_and_memory(name, shape, stem)
    if rows == 1 and stem == "7x7" and name == "resnet18":
        rows = 4  # Batch norm refuses one value of a channel.
    for cut in range(1, len(network)):
        made, batch = nodes(network, cut), round_batch(shape, rows)
        with holding(weights_and_buffers(made.clients[0].units)) as at_client:
            forward = run_clients(made.clients, batch.images)
        with holding(weights_and_buffers(network.units)) as at_server:
            inject(made, forward.smashed, batch)
        said_of_client = memory.client_bytes(cut, rows, 0) - bytes_of_weights(network.units[:cut])
        said_of_server = memory.server_bytes(cut, rows, 0) - bytes_of_weights(network.units[cut:])
        assert at_client.now == said_of_client
        # Parallel frameworks compute the gradient of the loss by themselves.
        assert at_server.most + loss_bytes(rows) == said_of_server
        forward.backward(torch.zeros_like(forward.smashed))
        assert at_client.now == 0


@pytest.mark.parametrize(("name", "shape", "stem"), NETWORKS)
def test_a_step_on_the_whole_network_holds_what_it_says_with_the_loss(name, shape, stem):
    network, memory = network_and_memory(name, shape, stem)
    made, rows = nodes(copy.deepcopy(network), 2, framework="sl", batch_size=6), 6
    with holding(weights_and_buffers(made.server.units)) as held:
        assert sequential.train_handed_on(made, round_batch(shape, rows))
    # A look at whether the loss is finite holds this one number.
    assert held.most - 4 == memory.client_bytes(len(network), rows, 0) - bytes_of_weights(network.units)
    assert held.most - 4 == memory.server_bytes(0, rows, 0) - bytes_of_weights(network.units)


def test_units_between_two_cuts_hold_what_it_says():
    network, memory = network_and_memory("resnet18", (3, 28, 28), "7x7")
    for first, last in [(0, 10), (1, 2), (2, 5), (4, 9), (3, 4), (9, 10)]:
        units = network.units[first:last]
        x = network(random_images(4, (3, 28, 28)), stop=first).detach().requires_grad_()
        with holding(weights_and_buffers(units)) as held:
            x = network(x, start=first, stop=last)
        loss = loss_bytes(4) if last == 10 else 0
        assert held.now + loss == memory.node_bytes(first, last, 4, 0) - bytes_of_weights(units)


@pytest.mark.parametrize(("statistics", "batches"), [("joint", 1), ("per-client", 3)])
def test_rows_of_all_clients_are_one_batch_or_one_for_each(statistics, batches):
    network, memory = network_and_memory("resnet18", (3, 28, 28), "7x7")
    for cut in (1, 6):
        made, batch = nodes(network, cut, 3, batch_statistics=statistics), round_batch((3, 28, 28), 2, 3)
        with holding(weights_and_buffers(u for client in made.clients for u in client.units)) as at_clients:
            forward = run_clients(made.clients, batch.images)
        with holding(weights_and_buffers(network.units)) as at_server:
            inject(made, forward.smashed, batch)
        behind = network.units[cut:]
        said = memory.server_bytes(cut, 6, 0, batches=batches) - bytes_of_weights(behind)
        # Here, each client's pass has running statistics of its own, of which the mean is taken.
        running = sum(t.nbytes for unit in behind for t in unit.buffers() if t.is_floating_point())
        assert at_server.most + loss_bytes(6, batches) - (3 * running if batches > 1 else 0) == said
        assert at_clients.now == 3 * (memory.client_bytes(cut, 2, 0) - bytes_of_weights(network.units[:cut]))


@pytest.mark.parametrize(
    ("name", "cut", "more"),
    [
        ("mlp", 1, 0),
        # Weights of the second layer, joined.
        ("mlp", 2, 4 * 32 * 16),
        # Patches of 9 values of each pixel instead of the images, for 5 rows.
        ("cnn", 1, 5 * 4 * (9 - 1) * 8 * 8),
        # And the input of the second convolution in another order, and its joined weights.
        ("cnn", 2, 5 * 4 * (9 - 1) * 8 * 8 + 5 * 4 * 16 * 8 * 8 + 4 * 32 * 16 * 9),
    ],
)
def test_clients_in_groups_hold_more_here_than_each_by_itself(name, cut, more):
    network, memory = network_and_memory(name, (1, 8, 8), "7x7")
    made = nodes(network, cut, 3)
    with holding(weights_and_buffers(u for client in made.clients for u in client.units)) as held:
        forward = run_clients(made.clients, round_batch((1, 8, 8), 5, 3).images)
    each = memory.client_bytes(cut, 5, 0) - bytes_of_weights(network.units[:cut])
    assert held.now == 3 * (each + more)
    assert forward.smashed.shape[:2] == (3, 5)


@pytest.mark.parametrize("fields", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(("name", "shape", "stem"), [NETWORKS[0], NETWORKS[3]])
def test_optimisers_remember_what_it_says(name, shape, stem, fields):
    network, memory = network_and_memory(name, shape, stem)
    for first, last in pairwise([0, 2, len(network)]):
        node = Node(network.units[first:last], 0.0, Training(**fields))
        node.step([torch.ones_like(parameter) for parameter in node.parameters])
        states = [state for tensors in node.optimizer.state.values() for state in tensors.items()]
        remembered = sum(t.nbytes for key, t in states if isinstance(t, Tensor) and key != "step")
        copies = optimizer_copies(node.training)
        assert remembered == copies * sum(parameter.nbytes for parameter in node.parameters)
        more = memory.node_bytes(first, last, 3, copies) - memory.node_bytes(first, last, 3, 0)
        assert more == remembered
        assert all(t.nbytes == 4 for key, t in states if key == "step")


@pytest.mark.parametrize(("name", "shape", "stem"), NETWORKS)
def test_recomputation_holds_what_it_says(name, shape, stem):
    network, memory = network_and_memory(name, shape, stem)
    network.train()
    units = len(network)

    def head_and_loss(x: Tensor) -> Tensor:
        return F.cross_entropy(network.units[-1](x), torch.ones(5, dtype=torch.int64))

    for first, last in [(0, units), (0, 1), (0, units - 1), (1, units), (1, 2), (units - 1, units)]:
        # Checkpoints pass gradients on only if their input wants some.
        x = network(random_images(5, shape), stop=first).detach().requires_grad_()
        with holding(weights_and_buffers(network.units)) as held:
            for unit in network.units[first : min(last, units - 1)]:
                x = checkpoint(unit, x, use_reentrant=True)
            if last == units:
                x = checkpoint(head_and_loss, x, use_reentrant=True)
            x.sum().backward()
        said = memory.node_bytes(first, last, 5, 0, recompute=True)
        assert held.most == said - bytes_of_weights(network.units[first:last])
        assert said <= memory.node_bytes(first, last, 5, 0) + 5 * memory.input_bytes[first:last].sum()
