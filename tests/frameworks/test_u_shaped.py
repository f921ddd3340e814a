"""U-shaped split learning against plain programs: three parts of one network, and what goes over both cuts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_nodes import assert_close, assert_same, differs, held, network, round_batch, training
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.codecs import codec
from splitgym.frameworks.nodes import Nodes
from splitgym.models import CuttableNetwork, build
from splitgym.scenario import Training

SHARES = (0.4, 0.1, 0.3, 0.2)
WHO = ((0, 1, 2, 3), (0, 2), (3,), (1, 2, 3), (0, 1, 3), (1,))


def made(
    units: CuttableNetwork, settings: Training, cut: int, second: int, framework: str = "u-shaped", clients: int = 4
) -> Nodes:
    """Nodes at two cuts; each client's own units begin with noise of its own."""
    chosen, shares = get(framework), np.array(SHARES[:clients]) / sum(SHARES[:clients])
    nodes = Nodes(units, clients, settings, chosen.segments, second if chosen.cuts_twice else None)
    nodes.move_cut(cut, range(clients), shares)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        for node in (*nodes.clients, *nodes.tails):
            for parameter in node.parameters:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return nodes


def with_end(kind: str) -> CuttableNetwork:
    """A small network, and behind it a unit without weights."""
    return CuttableNetwork(dict(enumerate_names([*network(kind).units, nn.Identity()]))).double()


def enumerate_names(units: Sequence[nn.Module]) -> list[tuple[str, nn.Module]]:
    return [(f"unit{k}", unit) for k, unit in enumerate(units)]


def in_use(nodes: Nodes) -> list[Tensor]:
    """Weights and statistics of all parts that are in use."""
    own = [value for node in (*nodes.clients, *nodes.tails) for value in held(node.units)]
    return own + held(nodes.server.units[nodes.cut_layer : nodes.second_cut])


@pytest.mark.parametrize(
    "fields", [{"momentum": 0.9}, {"optimizer": "adam"}, {"batch_statistics": "per-client"}], ids=str
)
@pytest.mark.parametrize("kind", ["norm", "linear", "cnn"])
def test_a_tail_of_the_loss_alone_is_psl_to_the_bit(kind: str, fields: dict[str, object]) -> None:
    """Of 8 rows: a client divides by them before its weight counts, the server of PSL afterwards."""
    units = len(with_end(kind))
    found = []
    for framework in ("u-shaped", "psl"):
        nodes = made(with_end(kind), training(8, **fields), 1, units - 1, framework)
        start, losses = in_use(nodes), []
        for seed, who in enumerate(WHO):
            nodes.move_cut(1 + seed // 2 % (units - 2), who, np.array(SHARES))
            task = round_batch(SHARES, 8, 0, seed, who)
            assert get(framework).train(nodes, task)
            losses.append(task.losses)
        assert differs(in_use(nodes)[: len(start)], start) or len(in_use(nodes)) != len(start)
        parts = held(nodes.server.units[nodes.cut_layer : units - 1])
        found.append([*losses, *parts, *(value for client in nodes.clients for value in held(client.units))])
    assert_same(*found)


def plain_round(nodes: Nodes, images: Tensor, labels: Tensor, weights: Tensor, who: Sequence[int]) -> list[Tensor]:
    """Weights after one step of plain gradient descent (clients 0.1, server 0.05): unsplit autograd over the whole.

    The mean loss, weighted by data, as one function of all weights; clients' gradients are over their own weight.
    """
    heads, tails, body = [nodes.clients[i].units for i in who], [nodes.tails[i].units for i in who], nodes.server.units
    with torch.enable_grad():
        smashed = torch.cat([nn.Sequential(*head)(x) for head, x in zip(heads, images, strict=True)])
        middle = nn.Sequential(*body[nodes.cut_layer : nodes.second_cut])(smashed).chunk(len(who))
        loss = sum(
            weight * F.cross_entropy(nn.Sequential(*tail)(x), y)
            for weight, tail, x, y in zip(weights, tails, middle, labels, strict=True)
        )
    after = []
    for weight, head, tail in zip(weights, heads, tails, strict=True):
        for part in (head, tail):
            own = [p for unit in part for p in unit.parameters()]
            gradients = torch.autograd.grad(loss, own, retain_graph=True)
            after += [p.detach() - 0.1 * g / weight for p, g in zip(own, gradients, strict=True)]
    common = [p for unit in body[nodes.cut_layer : nodes.second_cut] for p in unit.parameters()]
    gradients = torch.autograd.grad(loss, common)
    return after + [p.detach() - 0.05 * g for p, g in zip(common, gradients, strict=True)]


def weights_of(nodes: Nodes, who: Sequence[int]) -> list[Tensor]:
    """In the order of `plain_round`."""
    own = [p for i in who for node in (nodes.clients[i], nodes.tails[i]) for p in node.parameters]
    return [p.detach().clone() for p in (*own, *nodes.server.parameters)]


@pytest.mark.parametrize(("cut", "second"), [(1, 2), (1, 3), (2, 3)])
@pytest.mark.parametrize("kind", ["norm", "cnn"])
@pytest.mark.parametrize("who", [(0, 1, 2, 3), (1, 3), (2,)], ids=str)
def test_gradients_of_the_three_parts_are_those_of_unsplit_autograd(
    kind: str, cut: int, second: int, who: tuple[int, ...]
) -> None:
    nodes, twin = (made(network(kind), training(6), cut, second) for _ in range(2))
    task = round_batch(SHARES, 6, 0, 3, who)
    expected = plain_round(twin, task.images, task.labels, task.weights, who)
    before = weights_of(nodes, range(4))
    assert get("u-shaped").train(nodes, task)
    assert_close(weights_of(nodes, who), expected)
    assert differs(weights_of(nodes, range(4)), before)


def test_resnet_18_once() -> None:
    """With batch norm of all clients' rows together between the cuts, of each client's own outside of them."""

    def small_resnet() -> CuttableNetwork:
        return build("resnet18", (1, 8, 8), 10, torch.Generator().manual_seed(1), stem="3x3").double()

    nodes, twin = (made(small_resnet(), training(2), 3, len(small_resnet()) - 2) for _ in range(2))
    task = round_batch(SHARES, 2, 0, 5, (0, 2))
    expected = plain_round(twin, task.images, task.labels, task.weights, (0, 2))
    assert get("u-shaped").train(nodes, task)
    assert_close(weights_of(nodes, (0, 2)), expected, 1e-6)


def test_one_client_alone_is_centralised_training() -> None:
    settings = training(8, server_learning_rate=0.1, momentum=0.9, weight_decay=0.01)
    found = []
    for framework, cuts in (("u-shaped", (1, 3)), ("centralised", (1, 3))):
        chosen = get(framework)
        nodes = Nodes(network("norm"), 1, settings, chosen.segments, 3 if chosen.cuts_twice else None)
        for seed in range(5):
            nodes.move_cut(cuts[0], (0,), np.ones(1))
            assert chosen.train(nodes, round_batch((1.0,), 8, 0, seed))
        found.append(
            [*held(nodes.clients[0].units), *held(nodes.server.units), *held(nodes.tails[0].units)]
            if nodes.tails
            else held(nodes.server.units)
        )
    u, whole = found
    parts = made_whole(u, len(held(network("norm").units[:1])), len(whole), len(held(network("norm").units[3:])))
    assert_close(parts, whole)


def made_whole(values: list[Tensor], head: int, whole: int, tail: int) -> list[Tensor]:
    """Head, the server's units between, tail."""
    server = values[head : head + whole]
    return [*values[:head], *server[head : whole - tail], *values[head + whole :]]


@pytest.mark.parametrize(("cut", "second"), [(1, 2), (1, 3), (2, 3)])
def test_bits_go_up_and_down_twice(cut: int, second: int) -> None:
    """psi_j1 + chi_j2 up, psi_j2 + chi_j1 down, of three clients with six rows each in numbers of 32 bits."""
    nodes = made(network("norm"), training(6), cut, second)
    sizes = [int(x.numel()) for x in outputs(network("norm"))]
    widths = (sizes[cut - 1], sizes[second - 1])
    task = round_batch(SHARES, 6, 0, 0, (0, 1, 3))
    assert get("u-shaped").train(nodes, task)
    bits = 3 * 6 * 32 * sum(widths)
    assert +task.traffic.bits == {"uplink": bits, "unicast": bits}


def outputs(net: CuttableNetwork) -> list[Tensor]:
    """Of each unit, for one image."""
    x, found = torch.zeros(1, 1, 8, 8, dtype=torch.float64), []
    for unit in net.eval().units:
        x = unit(x)
        found.append(x)
    return found


@pytest.mark.parametrize("which", [("fp16", "none"), ("none", "top-k:0.1")], ids=str)
def test_codecs_apply_to_all_four_crossings(which: tuple[str, str]) -> None:
    """What each crossing carries is the codec's payload: of 16 bits a number, or by the codec's own table."""
    nodes = made(network("norm").float(), training(6), 1, 3)
    task = round_batch(SHARES, 6, 0, 0, (0, 2))
    task = replace(task, images=task.images.float(), weights=task.weights.float(), losses=torch.zeros(2))
    codecs = tuple(codec(name) for name in which)
    crossings = []
    for shape in [x.shape[1:] for x in outputs(network("norm"))][::2][:2]:
        crossings.append([each.costs(6, shape) for each in codecs])
    assert get("u-shaped").train(nodes, replace(task, codecs=codecs, chance=torch.Generator()))
    at_cut, at_second = crossings
    expected = {
        "uplink": sum(c.uplink_bits for c in at_cut) + sum(c.downlink_bits for c in at_second),
        "unicast": sum(c.uplink_bits for c in at_second) + sum(c.downlink_bits for c in at_cut),
    }
    assert +task.traffic.bits == expected
