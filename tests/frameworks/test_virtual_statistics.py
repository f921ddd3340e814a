"""The virtual rows in one batch with the others: against a plain program, and where it may make no difference."""

import copy

import pytest
import torch
import torch.nn.functional as F
from small_parties import assert_close, differs, everything, exercise, held, parties, training
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.parties import Exercise, Parties
from splitgym.scenario import ScenarioError, build

EPSL = get("epsl")
SHARES = (0.5, 0.3, 0.2)


def plain_round(made: Parties, task: Exercise) -> tuple[list[Tensor], list[Tensor]]:
    """All weights after a round of plain SGD, and the server's running statistics."""
    clients = [nn.Sequential(*copy.deepcopy(client.units)).train() for client in made.clients]
    server = nn.Sequential(*copy.deepcopy(made.server.units[made.cut_layer :])).train()
    weights, (n, b), m = task.weights, task.labels.shape, task.aggregated_rows
    at_cut = [client(x) for client, x in zip(clients, task.images, strict=True)]
    aggregated = torch.cat([s[:m].detach() for s in at_cut])
    others = torch.cat([s[m:].detach() for s in at_cut]).requires_grad_()
    mean = sum(w * s[:m].detach() for w, s in zip(weights, at_cut, strict=True)).requires_grad_()
    z = torch.softmax(server(aggregated), 1) - F.one_hot(task.labels[:, :m].flatten(), 10)
    zbar = sum(w * part for w, part in zip(weights, z.detach().split(m), strict=True))
    statistics = [buffer.clone() for buffer in server.buffers()]
    logits = server(torch.cat([others, mean]))
    own_losses = F.cross_entropy(logits[: n * (b - m)], task.labels[:, m:].flatten(), reduction="none").view(n, -1)
    loss = (own_losses.sum(1) / b) @ weights + (logits[n * (b - m) :] * zbar).sum() / b
    loss.backward()
    assert others.grad is not None
    assert mean.grad is not None
    for i, (client, own) in enumerate(zip(clients, at_cut, strict=True)):
        own.backward(torch.cat([mean.grad, others.grad[i * (b - m) : (i + 1) * (b - m)] / weights[i]]))
        with torch.no_grad():
            for p in client.parameters():
                p.sub_(made.training.client_learning_rate * p.grad)
    with torch.no_grad():
        for p in server.parameters():
            p.sub_(made.training.server_learning_rate * p.grad)
    return [p.detach() for module in (*clients, server) for p in module.parameters()], statistics


@pytest.mark.parametrize("m", [1, 3, 5])
def test_round_is_that_of_a_plain_program(m: int) -> None:
    made, task = parties("norm", SHARES, training(6, virtual_statistics="joint"), 1), exercise(SHARES, 6, m, 1)
    weights, statistics = plain_round(made, task)
    assert EPSL.train(made, task)
    units = [unit for client in made.clients for unit in client.units] + made.server.units[1:]
    assert_close([p.detach() for unit in units for p in unit.parameters()], weights, rtol=1e-8)
    assert_close([buffer for unit in made.server.units[1:] for buffer in unit.buffers()], statistics)


@pytest.mark.parametrize(("kind", "m"), [("cnn", 3), ("mlp", 5), ("norm", 0), ("norm", 6)])
def test_without_batch_norm_or_without_other_rows_it_makes_no_difference(kind: str, m: int) -> None:
    after = []
    for statistics in ("running", "joint"):
        made = parties(kind, SHARES, training(6, momentum=0.9, virtual_statistics=statistics), 1)
        for seed in range(3):
            EPSL.train(made, exercise(SHARES, 6, m, seed))
        after.append(everything(made))
    assert_close(*after, rtol=1e-8)


def test_with_batch_norm_it_does() -> None:
    """Guards the test above."""
    after = []
    for statistics in ("running", "joint"):
        made = parties("norm", SHARES, training(6, virtual_statistics=statistics), 1)
        EPSL.train(made, exercise(SHARES, 6, 3, 0))
        after.append(held(made.server.units[1:]))
    assert differs(*after)


def test_statistics_of_each_client_leave_no_batch_for_virtual_rows() -> None:
    fields = {"training": {"virtual_statistics": "joint", "batch_statistics": "per-client"}}
    with pytest.raises(ScenarioError, match="virtual_statistics = 'joint' needs"):
        build("toy", fields)
