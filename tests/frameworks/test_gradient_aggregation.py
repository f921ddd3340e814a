"""Aggregation of last-layer gradients, against computations of its own and limit cases."""

import copy

import pytest
import torch
from small_nodes import assert_close, assert_same, differs, everything, held, network, nodes, round_batch, training
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

EPSL = get("epsl")
SHARES = (0.5, 0.3, 0.2)
READINGS = ("virtual", "inject")


def row_by_row(made: Nodes, task: RoundBatch, correction: str) -> list[Tensor]:
    """All weights after one round of plain SGD, injected, each gradient from single-row back-propagations."""
    clients = [nn.Sequential(*copy.deepcopy(made.clients[i].units)) for i in task.participants]
    server = nn.Sequential(*copy.deepcopy(made.server.units[made.cut_layer :]))
    weights, (n, b), m = task.weights, task.labels.shape, task.aggregated_rows
    at_cut = [client(x) for client, x in zip(clients, task.images, strict=True)]
    scale = 1 / sum(float(w) ** 2 for w in weights) if correction == "unbiased" else 1.0

    def last_layer(i: int, j: int) -> Tensor:
        probability = torch.exp(server(at_cut[i][j : j + 1])[0].detach())
        probability = probability / probability.sum()
        probability[task.labels[i, j]] -= 1
        return probability

    server_gradient = [torch.zeros_like(p) for p in server.parameters()]
    cut_gradient = [torch.zeros_like(s) for s in at_cut]

    def back(row: Tensor, z: Tensor, weight: float) -> Tensor:
        row = row.detach().requires_grad_()
        gradients = torch.autograd.grad((server(row[None])[0] * z).sum(), [row, *server.parameters()])
        for total, part in zip(server_gradient, gradients[1:], strict=True):
            total.add_(weight * part / b)
        return gradients[0] / b

    for j in range(b):
        if j >= m:
            for i in range(n):
                cut_gradient[i][j] = back(at_cut[i][j], last_layer(i, j), float(weights[i]))
            continue
        mean = scale * sum(float(weights[i]) * last_layer(i, j) for i in range(n))
        common = sum(float(weights[i]) * back(at_cut[i][j], mean, float(weights[i])) for i in range(n))
        for i in range(n):
            cut_gradient[i][j] = common
    with torch.no_grad():
        for p, gradient in zip(server.parameters(), server_gradient, strict=True):
            p.sub_(made.training.server_learning_rate * gradient)
    for client, own, gradient in zip(clients, at_cut, cut_gradient, strict=True):
        gradients = torch.autograd.grad(own, list(client.parameters()), gradient)
        with torch.no_grad():
            for p, part in zip(client.parameters(), gradients, strict=True):
                p.sub_(made.training.client_learning_rate * part)
    return [p.detach() for module in (*clients, server) for p in module.parameters()]


@pytest.mark.parametrize("correction", ["none", "unbiased"])
@pytest.mark.parametrize(
    ("kind", "cut", "m", "reading"),
    [
        ("cnn", 2, 0, "inject"),
        ("cnn", 1, 3, "inject"),
        ("mlp", 1, 6, "inject"),
        # Where the server is linear, and without aggregation, the mean field is the same.
        ("cnn", 3, 6, "virtual"),
        ("linear", 1, 4, "virtual"),
        ("mlp", 1, 0, "virtual"),
    ],
)
def test_round_is_that_of_single_row_back_propagations(
    kind: str, cut: int, m: int, reading: str, correction: str
) -> None:
    settings = training(6, aggregation_reading=reading, aggregation_correction=correction)
    made, task = nodes(kind, SHARES, settings, cut), round_batch(SHARES, 6, m, 1)
    expected = row_by_row(made, task, correction)
    assert EPSL.train(made, task)
    assert_close(everything(made), expected, rtol=1e-8)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("m", [1, 4, 8])
def test_identical_clients_with_identical_batches_train_as_in_psl(reading: str, m: int) -> None:
    after = []
    for rows in (0, m):
        made = nodes("cnn", SHARES, training(momentum=0.9, aggregation_reading=reading), 2)
        for client in made.clients[1:]:
            for unit, first in zip(client.units, made.clients[0].units, strict=True):
                unit.load_state_dict(first.state_dict())
        for seed in range(3):
            task = round_batch(SHARES, 8, rows, seed)
            task.images[1:] = task.images[0]
            task.labels[1:] = task.labels[0]
            assert EPSL.train(made, task)
        after.append(everything(made))
    assert_close(*after, rtol=1e-8)


@pytest.mark.parametrize("m", [0, 1, 5, 8])
def test_on_a_server_that_is_linear_both_readings_agree(m: int) -> None:
    after = []
    for reading in READINGS:
        made = nodes("linear", SHARES, training(momentum=0.9, aggregation_reading=reading), 1)
        for seed in range(3):
            EPSL.train(made, round_batch(SHARES, 8, m, seed))
        after.append(everything(made))
    assert_close(*after, rtol=1e-8)


def test_on_a_server_with_relu_the_readings_differ() -> None:
    """Guards the test above."""
    after = []
    for reading in READINGS:
        made = nodes("cnn", SHARES, training(aggregation_reading=reading), 1)
        EPSL.train(made, round_batch(SHARES, 8, 8, 0))
        after.append(everything(made))
    assert differs(*after)


@pytest.mark.parametrize("reading", READINGS)
def test_unbiased_correction_divides_aggregated_gradients_by_the_sum_of_squared_weights(reading: str) -> None:
    steps = []
    for correction in ("none", "unbiased"):
        settings = training(aggregation_reading=reading, aggregation_correction=correction)
        made = nodes("cnn", SHARES, settings, 2)
        before = everything(made)
        EPSL.train(made, round_batch(SHARES, 8, 8, 2))
        steps.append([a - b for a, b in zip(everything(made), before, strict=True)])
    assert_close([step / (0.25 + 0.09 + 0.04) for step in steps[0]], steps[1], rtol=1e-7)


def test_at_phi_one_every_client_gets_the_same_cut_gradients() -> None:
    """Clients with equal weights and images but other labels: all their steps are the same."""
    made = nodes("cnn", SHARES, training(), 2)
    for client in made.clients[1:]:
        for unit, first in zip(client.units, made.clients[0].units, strict=True):
            unit.load_state_dict(first.state_dict())
    task = round_batch(SHARES, 8, 8, 0)
    task.images[1:] = task.images[0]
    EPSL.train(made, task)
    assert_same(held(made.clients[0].units), held(made.clients[1].units))
    assert_same(held(made.clients[0].units), held(made.clients[2].units))


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("m", [0, 4, 8])
def test_running_statistics_are_those_of_one_forward_pass_of_all_rows(reading: str, m: int) -> None:
    made = nodes("norm", SHARES, training(aggregation_reading=reading), 1)
    task = round_batch(SHARES, 8, m, 0)
    server = nn.Sequential(*copy.deepcopy(made.server.units[1:])).train()
    clients = [nn.Sequential(*copy.deepcopy(client.units)).train() for client in made.clients]
    with torch.no_grad():
        smashed = torch.stack([client(x) for client, x in zip(clients, task.images, strict=True)])
        server(smashed.flatten(0, 1))
    EPSL.train(made, task)
    names = ("running_mean", "running_var", "num_batches_tracked")
    pairs = [(server, nn.Sequential(*made.server.units[1:]))]
    pairs += [(client, nn.Sequential(*node.units)) for client, node in zip(clients, made.clients, strict=True)]
    compared = 0
    for plain, trained in pairs:
        ours = trained.state_dict()
        for name, value in plain.state_dict().items():
            if name.endswith(names):
                torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=0)
                compared += 1
    assert compared == 3 * (2 + 3)
    tracked = {int(v) for k, v in pairs[0][1].state_dict().items() if k.endswith("num_batches_tracked")}
    assert tracked == {1}


@pytest.mark.parametrize("m", [1, 7, 8])
def test_one_client_with_batch_norm_is_psl_whatever_is_aggregated(m: int) -> None:
    """One client has nothing to average, and a single row could not be normalised by itself."""
    made, psl = nodes("norm", (1.0,), training(), 1), nodes("norm", (1.0,), training(), 1)
    EPSL.train(made, round_batch((1.0,), 8, m, 0))
    EPSL.train(psl, round_batch((1.0,), 8, 0, 0))
    for ours, plain in zip(made.server.units, psl.server.units, strict=True):
        for key, value in plain.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("m", [0, 3, 8])
@pytest.mark.parametrize("reading", READINGS)
def test_a_round_that_is_not_finite_changes_nothing_and_says_so(reading: str, m: int) -> None:
    """Neither weights, nor running statistics, nor momentum: what follows is as if it had never been."""
    spoilt = nodes("norm", SHARES, training(momentum=0.9, aggregation_reading=reading), 2)
    other = nodes("norm", SHARES, training(momentum=0.9, aggregation_reading=reading), 2)
    for made in (spoilt, other):
        assert EPSL.train(made, round_batch(SHARES, 8, m, 0))
    before = everything(spoilt)
    bad = round_batch(SHARES, 8, m, 1)
    bad.images[1, 5, 0, 2, 2] = torch.nan
    assert EPSL.train(spoilt, bad) is False
    assert_same(everything(spoilt), before)
    for made in (spoilt, other):
        assert EPSL.train(made, round_batch(SHARES, 8, m, 2))
    assert_same(everything(spoilt), everything(other))


@pytest.mark.parametrize("image", [torch.nan, torch.inf])
def test_a_bad_pixel_of_one_client_is_noticed_without_batch_norm(image: float) -> None:
    made = nodes("cnn", SHARES, training(), 2)
    before = everything(made)
    bad = round_batch(SHARES, 8, 4, 1)
    bad.images[2, 7] = image
    assert EPSL.train(made, bad) is False
    assert_same(everything(made), before)


def test_losses_are_means_over_each_clients_rows() -> None:
    made, task = nodes("cnn", SHARES, training(), 2), round_batch(SHARES, 8, 3, 0)
    composed = [nn.Sequential(*client.units, *made.server.units[2:]) for client in made.clients]
    with torch.no_grad():
        expected = [
            nn.functional.cross_entropy(net(x), y) for net, x, y in zip(composed, task.images, task.labels, strict=True)
        ]
    for rows in (0, 3, 8):
        fresh = nodes("cnn", SHARES, training(), 2)
        again = round_batch(SHARES, 8, rows, 0)
        EPSL.train(fresh, again)
        torch.testing.assert_close(again.losses, torch.stack(expected))


def test_networks_of_these_tests_do_not_start_equal() -> None:
    """Guards the tests above: each client has weights of its own."""
    made = nodes("cnn", SHARES, training(), 2)
    assert differs(held(made.clients[0].units), held(made.clients[1].units))
    assert differs(held(network("cnn", 0).units), held(network("cnn", 1).units))
