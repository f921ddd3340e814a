"""Grouped layers against the loop over the clients: the same numbers, and when they are used at all."""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
import torch
from drawn import drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nodes import held, network, nodes, round_batch, training
from torch import Tensor, nn

from splitgym.frameworks import get, parallel
from splitgym.frameworks.grouped import GroupedPass, groupable, grouped_forward
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.parallel import ClientPass, LoopedPass, run_clients
from splitgym.learning.accuracy import Evaluator
from splitgym.models import build

TOLERANCE = {torch.float64: {"rtol": 1e-10, "atol": 1e-12}, torch.float32: {"rtol": 1e-4, "atol": 2e-5}}
CUTS = [("cnn", 1), ("cnn", 2), ("cnn", 3), ("mlp", 1), ("mlp", 2)]


def clients_with(units: Iterable[Sequence[nn.Module]]) -> list[Node]:
    return [Node(own, 0.1, training()) for own in units]


def different_clients(kind: str, cut: int, count: int, dtype: torch.dtype = torch.float64) -> list[Node]:
    return clients_with(list(network(kind, seed).to(dtype).units[:cut]) for seed in range(count))


def flat(gradients: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [gradient for own in gradients for gradient in own]


def one_by_one_autograd(clients: Sequence[Node], images: Tensor, at_cut: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Smashed data and gradients by plain modules."""
    smashed, gradients = [], []
    for client, x, g in zip(clients, images, at_cut, strict=True):
        net = nn.Sequential(*copy.deepcopy(client.units))
        output = net(x)
        output.backward(g)
        smashed.append(output.detach())
        gradients += [p.grad for p in net.parameters()]
    return torch.stack(smashed), gradients


@pytest.mark.parametrize(
    ("network_and_cut", "count", "channels_last", "dtype"),
    drawn(24, CUTS, [2, 5, 17], [False, True], [torch.float64, torch.float32]),
)
def test_grouped_pass_is_the_loop(
    network_and_cut: tuple[str, int], count: int, channels_last: bool, dtype: torch.dtype
) -> None:
    kind, cut = network_and_cut
    clients = different_clients(kind, cut, count, dtype)
    task = round_batch([1 / count] * count, 6, 0, 3)
    images = task.images.to(dtype)
    if channels_last:
        images = images.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (count, 6))
    passes: list[ClientPass] = [GroupedPass(clients, images), LoopedPass(clients, images)]
    at_cut = torch.randn(passes[1].smashed.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    smashed, gradients = one_by_one_autograd(clients, images, at_cut)
    for one in passes:
        torch.testing.assert_close(one.smashed, smashed, **TOLERANCE[dtype])
        assert not one.smashed.requires_grad
        own = one.backward(at_cut)
        assert [len(part) for part in own] == [len(client.parameters) for client in clients]
        for ours, plain in zip(flat(own), gradients, strict=True):
            torch.testing.assert_close(ours, plain, **TOLERANCE[dtype])


def small_units(layers: str, channels: int, height: int, width: int, generator: torch.Generator) -> list[nn.Module]:
    """Units of the layers that can be grouped, in a random arrangement of sizes."""
    c1, c2 = int(torch.randint(1, 5, (), generator=generator)), int(torch.randint(1, 5, (), generator=generator))
    maps = {
        "convolutions": [
            nn.Sequential(nn.Conv2d(channels, c1, 3, stride=2, padding=1), nn.ReLU()),
            nn.Conv2d(c1, c2, (1, 2), padding=(0, 1), dilation=(1, 2)),
        ],
        "pooled": [nn.Sequential(nn.Conv2d(channels, c1, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))],
        "flat": [nn.Flatten(), nn.Sequential(nn.Linear(channels * height * width, 4), nn.ReLU()), nn.Linear(4, 3)],
    }
    if layers == "maps and rows":
        first = nn.Sequential(nn.Conv2d(channels, c1, 3, padding=1), nn.MaxPool2d(2), nn.ReLU())
        return [first, nn.Sequential(nn.Flatten(), nn.Linear(c1 * (height // 2) * (width // 2), 6), nn.ReLU())]
    return maps[layers]


@settings(max_examples=25)
@given(
    layers=st.sampled_from(["convolutions", "pooled", "flat", "maps and rows"]),
    count=st.integers(1, 7),
    rows=st.integers(1, 5),
    channels=st.integers(1, 5),
    height=st.integers(2, 7),
    width=st.integers(2, 7),
    seed=st.integers(0, 999),
)
def test_grouped_pass_is_the_loop_whatever_the_shapes(
    layers: str, count: int, rows: int, channels: int, height: int, width: int, seed: int
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        prototype = small_units(layers, channels, height, width, generator)
        units = [copy.deepcopy(prototype) for _ in range(count)]
        for own in units:
            for p in nn.Sequential(*own).parameters():
                nn.init.normal_(p)
        clients = clients_with([unit.double() for unit in own] for own in units)
        images = torch.randn(count, rows, channels, height, width, dtype=torch.float64)
        assert groupable(units)
        passes = [GroupedPass(clients, images), LoopedPass(clients, images)]
        torch.testing.assert_close(passes[0].smashed, passes[1].smashed, **TOLERANCE[torch.float64])
        at_cut = torch.randn_like(passes[0].smashed)
        for ours, looped in zip(*(flat(one.backward(at_cut)) for one in passes), strict=True):
            torch.testing.assert_close(ours, looped, **TOLERANCE[torch.float64])


@pytest.mark.parametrize(("kind", "cut"), [*CUTS, ("linear", 2)])
def test_small_networks_are_grouped(kind: str, cut: int) -> None:
    clients = different_clients(kind, cut, 3)
    assert groupable([client.units for client in clients])
    images = round_batch([1 / 3] * 3, 4, 0, 0).images
    assert isinstance(run_clients(clients, images), GroupedPass)
    assert isinstance(run_clients(clients[:1], images[:1]), LoopedPass)


def test_who_computes_alone_has_the_bits_that_it_has_by_itself() -> None:
    clients = different_clients("cnn", 2, 3)
    images = round_batch([1 / 3] * 3, 4, 0, 0).images
    clients[1].alone = True
    together = run_clients(clients, images).smashed
    for client, own, smashed in zip(clients, images, together, strict=True):
        assert torch.equal(run_clients([client], own[None]).smashed[0], smashed)


@pytest.mark.parametrize("name", ["pooling first", "linear on maps", "linear on images", "flat twice"])
def test_what_is_not_refused_is_right(name: str) -> None:
    """Arrangements that no network of the package has."""
    arrangements: dict[str, list[nn.Module]] = {
        "pooling first": [nn.MaxPool2d(2), nn.Sequential(nn.Flatten(), nn.Linear(16, 5))],
        "linear on maps": [nn.Conv2d(1, 2, 3), nn.Linear(6, 5)],
        "linear on images": [nn.Linear(8, 5)],
        "flat twice": [nn.Flatten(), nn.Linear(64, 5), nn.Flatten(), nn.Linear(5, 4)],
    }
    clients = clients_with([unit.double() for unit in copy.deepcopy(arrangements[name])] for _ in range(3))
    images = round_batch([1 / 3] * 3, 4, 0, 0).images
    ours, looped = run_clients(clients, images), LoopedPass(clients, images)
    torch.testing.assert_close(ours.smashed, looped.smashed, **TOLERANCE[torch.float64])
    at_cut = torch.randn(looped.smashed.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for one, other in zip(flat(ours.backward(at_cut)), flat(looped.backward(at_cut)), strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE[torch.float64])


@pytest.mark.parametrize("stem", ["7x7", "3x3"])
@pytest.mark.parametrize("cut", [1, 2, 9])
def test_residual_networks_are_not_grouped(stem: str, cut: int) -> None:
    units = build("resnet18", (3, 8, 8), 7, stem=stem).units
    assert not groupable([list(units[:cut])] * 2)


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(1),
        nn.Conv2d(2, 4, 1, groups=2),
        nn.Conv2d(1, 4, 1, bias=False),
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"),
        nn.Linear(3, 3, bias=False),
        nn.Flatten(0, 1),
        nn.Flatten(1, 2),
        nn.Dropout(0.1),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)),
    ],
    ids=str,
)
def test_layers_in_other_forms_are_not_grouped(layer: nn.Module) -> None:
    assert not groupable([[nn.ReLU(), layer]] * 3)
    assert groupable([[nn.ReLU()]] * 3)


def test_batch_norm_at_any_cut_is_not_grouped() -> None:
    for cut in (1, 2, 3):
        clients = different_clients("norm", cut, 2)
        assert not groupable([client.units for client in clients])
        assert isinstance(run_clients(clients, round_batch([0.5] * 2, 4, 0, 0).images), LoopedPass)


def test_clients_that_hold_different_numbers_of_units_are_not_grouped() -> None:
    units = [list(network("cnn", seed).units[:cut]) for seed, cut in enumerate((1, 2, 2))]
    assert not groupable(units)
    assert groupable(units[1:])


@pytest.mark.parametrize("framework", ["epsl", "cpsl"])
def test_rounds_do_not_depend_on_the_engine(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shares, after = (0.5, 0.1, 0.4), []
    for looped in (False, True):
        if looped:
            monkeypatch.setattr(parallel, "groupable", lambda clients: False)
        made = nodes("cnn", shares, training(momentum=0.9, weight_decay=1e-3), 2, framework)
        for seed in range(4):
            assert get(framework).train(made, round_batch(shares, 8, 3 * (framework == "epsl"), seed))
        after.append([*held(made.server.units), *(v for client in made.clients for v in held(client.units))])
    for one, other in zip(*after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def plain_accuracy(made: Nodes, images: Tensor, labels: Tensor) -> list[float]:
    """Each client's composed network, image by image."""
    accuracy = []
    for client in made.clients:
        own = client.units if made.own_units else []
        net = nn.Sequential(*copy.deepcopy([*own, *made.server.units[len(own) :]])).eval()
        with torch.no_grad():
            right = [int(net(x[None])[0].argmax() == y) for x, y in zip(images, labels, strict=True)]
        accuracy.append(sum(right) / len(right))
    return accuracy


def loud(made: Nodes) -> Nodes:
    """With larger weights, so that predictions differ from image to image and from client to client."""
    with torch.no_grad():
        for node in (*made.clients, made.server):
            for p in node.parameters:
                p.mul_(2.5 if p.dim() > 1 else 0.5)
    return made


FIRST_UNITS = {
    "a convolution of few inputs": lambda: [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()],
    "with a stride": lambda: [nn.Conv2d(3, 4, (2, 3), stride=(1, 2), padding=(1, 0)), nn.MaxPool2d(2)],
    "of many inputs": lambda: [nn.Conv2d(3, 4, 5), nn.ReLU()],
    "two of them": lambda: [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.MaxPool2d(2)],
    "after a pooling": lambda: [nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 7)],
    "a product": lambda: [nn.Flatten(), nn.ReLU(), nn.Linear(300, 6), nn.Linear(6, 5)],
    "no weights": lambda: [nn.MaxPool2d(2), nn.ReLU()],
}


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("kind", FIRST_UNITS)
def test_images_that_all_clients_have_stand_there_once(kind: str, clients: int) -> None:
    torch.manual_seed(5)
    units = [[nn.Sequential(*FIRST_UNITS[kind]()).double()] for _ in range(clients)]
    assert groupable(units)
    images = torch.randn(6, 3, 10, 10, dtype=torch.float64)
    with torch.no_grad():
        output, _ = grouped_forward(units, images.unsqueeze(0))
        torch.testing.assert_close(output, torch.stack([own[0](images) for own in units]), **TOLERANCE[torch.float64])


def measured(count: int) -> tuple[Tensor, Tensor]:
    task = round_batch([1.0], count, 0, 77)
    return task.images[0], task.labels[0]


@pytest.mark.parametrize("rows_at_once", [1, 16, 512])
@pytest.mark.parametrize(("kind", "cut"), [*CUTS, ("norm", 2)])
def test_accuracy_is_that_of_each_client_by_itself(
    kind: str, cut: int, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = (0.5, 0.1, 0.2, 0.1, 0.1)
    made = loud(nodes(kind, shares, training(), cut))
    images, labels = measured(75)
    monkeypatch.setattr("splitgym.learning.accuracy.ROWS_AT_ONCE", {"cpu": rows_at_once})
    pixels = rows_at_once * images.shape[2] * images.shape[3]
    monkeypatch.setattr("splitgym.learning.accuracy.PIXELS_AT_ONCE", {"cpu": pixels})
    accuracy = Evaluator(images, labels, 10).client_accuracy(made)
    expected = plain_accuracy(made, images, labels)
    np.testing.assert_allclose(accuracy, expected, rtol=0, atol=1e-12)
    assert len(set(expected)) > 2


@pytest.mark.parametrize("kind", ["cnn", "mlp", "norm"])
def test_accuracy_of_clients_that_hold_different_numbers_of_units(kind: str) -> None:
    shares = (0.5, 0.2, 0.3)
    made = loud(nodes(kind, shares, training(), 1))
    made.move_cut(2, (0, 2), np.array(shares))
    assert made.client_cut_layer.tolist() == [2, 1, 2]
    images, labels = measured(75)
    accuracy = Evaluator(images, labels, 10).client_accuracy(made)
    expected = plain_accuracy(made, images, labels)
    np.testing.assert_allclose(accuracy, expected, rtol=0, atol=1e-12)
    assert len(set(expected)) > 1


@pytest.mark.parametrize("framework", ["centralised", "fl", "sl", "sfl-v1", "sfl-v2", "cpsl"])
def test_accuracy_of_one_model_for_all(framework: str) -> None:
    shares = (0.5, 0.2, 0.3)
    made = loud(nodes("norm", shares, training(), 2, framework))
    for seed in range(3):
        assert get(framework).train(made, round_batch(shares, 8, 0, seed))
    images, labels = measured(75)
    net = nn.Sequential(*copy.deepcopy(list(made.server.units))).eval()
    expected = float((net(images).argmax(1) == labels).double().mean())
    np.testing.assert_allclose(Evaluator(images, labels, 10).client_accuracy(made), [expected] * 3, rtol=0, atol=1e-12)


def test_accuracy_before_the_first_cut() -> None:
    made = Nodes(network("cnn"), 3, training())
    images, labels = measured(40)
    expected = float((network("cnn")(images).argmax(1) == labels).double().mean())
    np.testing.assert_allclose(Evaluator(images, labels, 10).client_accuracy(made), [expected] * 3, rtol=0, atol=1e-12)


def test_measuring_changes_nothing() -> None:
    made = nodes("norm", (0.5, 0.5), training(), 2)
    before = [held(node.units) for node in (*made.clients, made.server)]
    Evaluator(*measured(40), 10).client_accuracy(made)
    for values, node in zip(before, (*made.clients, made.server), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(values, held(node.units), strict=True))
