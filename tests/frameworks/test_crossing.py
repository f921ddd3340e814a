"""Rounds with codecs against plain programs: one network for each client, autograd, and codecs written out by hand."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from small_nodes import assert_close, assert_same, held, nodes, round_batch, training
from torch import Tensor, nn

from splitgym.frameworks import codec, get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

SHARES = (0.5, 0.3, 0.2)
B = 6
RATES = (0.1, 0.05)
"""Of clients and server."""
Coded = Callable[[Tensor], Tensor]


class Plain:
    """A codec as its definition reads, with nothing random: there, and back at the places that were sent."""

    def __init__(self, name: str) -> None:
        family, _, parameter = name.partition(":")
        self.family, self.parameter = family.partition("-")[0], parameter or family.partition("-")[2]

    def up(self, rows: Tensor) -> tuple[Tensor, Coded]:
        """What the server has of [b, ...], and what a client then has of a gradient."""
        if self.family == "none":
            return rows, lambda gradient: gradient
        if self.family == "uniform":
            return self._levels(rows), self._levels
        if self.family == "c3":
            return self._bound(rows), self._bound
        k = max(1, round(float(self.parameter.removeprefix("k:")) * rows[0].numel()))
        mask = torch.zeros(len(rows), rows[0].numel())
        for row, kept in zip(rows.flatten(1), mask, strict=True):
            kept[sorted(range(len(row)), key=lambda j: -abs(row[j].item()))[:k]] = 1.0
        mask = mask.view(rows.shape)
        return rows * mask, lambda gradient: gradient * mask

    def _levels(self, x: Tensor) -> Tensor:
        """Of all levels that zero could be, the one with the smallest step; numbers go to the nearest level."""
        top = 2 ** int(self.parameter) - 1
        scaled = x.transpose(0, 1) if x.dim() == 4 else x
        done = []
        for numbers in scaled:
            low, high = min(numbers.min().item(), 0.0), max(numbers.max().item(), 0.0)
            zeros = [z for z in range(top + 1) if not (z == 0 and low < 0) and not (z == top and high > 0)]
            steps = [max(high / (top - z) if z < top else 0.0, -low / z if z else 0.0) for z in zeros]
            step = min(steps)
            done.append(numbers if step == 0.0 else step * torch.round(numbers / step))
        together = torch.stack(done)
        return together.transpose(0, 1) if x.dim() == 4 else together

    def _bound(self, x: Tensor) -> Tensor:
        """Groups of rows go over as V = sum_i K_i Z_i, K_i circulant, and come back as K_i^T V."""
        group, D = int(self.parameter), x[0].numel()
        unit = torch.eye(group * D).view(group * D, group, D)
        shipped = codec(f"c3:{group}")
        # A key is what the first unit vector becomes.
        keys = [shipped.encode(unit[i * D]).payload.view(torch.float32) for i in range(group)]
        circulant = [torch.stack([key.roll(shift) for shift in range(D)], 1) for key in keys]
        done = []
        for rows in x.flatten(1).split(group):
            bound = sum(circulant[i] @ row for i, row in enumerate(rows))
            done += [circulant[i].T @ bound for i in range(len(rows))]
        return torch.stack(done).view(x.shape)


def stood(framework: str, cut: int, kind: str = "cnn") -> Nodes:
    """Nodes with numbers of 32 bits, as codecs take them."""
    settings = training(B, aggregation_reading="inject", client_learning_rate=RATES[0], server_learning_rate=RATES[1])
    made = nodes(kind, SHARES, settings, cut, framework)
    for unit in (*made.server.units, *(unit for client in made.clients for unit in client.units)):
        unit.float()
    return made


def batch(m: int, names: Sequence[str], seed: int = 0) -> RoundBatch:
    drawn = round_batch(SHARES, B, m, seed)
    fields = {name: getattr(drawn, name).float() for name in ("weights", "images", "losses")}
    return RoundBatch(
        **{**vars(drawn), **fields, "slots": None, "codecs": tuple(codec(name) for name in names), "chance": None}
    )


def sgd(units: Sequence[nn.Module], gradients: Sequence[Tensor], rate: float) -> None:
    parameters = [p for unit in units for p in unit.parameters()]
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(rate * gradient)


def parameters_of(units: Sequence[nn.Module]) -> list[Tensor]:
    return [p for unit in units for p in unit.parameters()]


NAMES = ("uniform-8", "uniform-2", "top-k:0.2", "c3:4")


@pytest.mark.parametrize("cut", [1, 3])
@pytest.mark.parametrize("name", [*NAMES, "mixed"])
def test_a_psl_round(name: str, cut: int) -> None:
    names = ("uniform-4", "none", "top-k:0.1") if name == "mixed" else (name,) * 3
    made, task = stood("psl", cut), batch(0, names)
    own = [copy.deepcopy(client.units) for client in made.clients]
    server = copy.deepcopy(made.server.units[cut:])
    smashed = [nn.Sequential(*units)(x) for units, x in zip(own, task.images, strict=True)]
    sent = [Plain(each).up(rows.detach()) for each, rows in zip(names, smashed, strict=True)]
    at_server = [received.clone().requires_grad_() for received, _ in sent]
    losses = [F.cross_entropy(nn.Sequential(*server)(x), y) for x, y in zip(at_server, task.labels, strict=True)]
    total = sum(weight * loss for weight, loss in zip(task.weights, losses, strict=True))
    gradients = torch.autograd.grad(total, [*at_server, *parameters_of(server)])
    sgd(server, gradients[3:], RATES[1])
    for i, (_, down) in enumerate(sent):
        back = down(gradients[i] / task.weights[i])
        sgd(own[i], torch.autograd.grad(smashed[i], parameters_of(own[i]), back), RATES[0])
    assert get("psl").train(made, task)
    torch.testing.assert_close(task.losses, torch.stack(losses).detach(), rtol=1e-4, atol=1e-5)
    assert_near(held(made.server.units[cut:]), held(server))
    for client, units in zip(made.clients, own, strict=True):
        assert_near(held(client.units), held(units))


@pytest.mark.parametrize("m", [1, 2, 5, B])
@pytest.mark.parametrize("name", ["uniform-2", "c3:4", "c3:2"])
def test_an_epsl_round_sends_aggregated_rows_by_themselves(name: str, m: int) -> None:
    cut = 2
    made, task, plain = stood("epsl", cut), batch(m, (name,) * 3), Plain(name)
    own = [copy.deepcopy(client.units) for client in made.clients]
    server = copy.deepcopy(made.server.units[cut:])
    smashed = [nn.Sequential(*units)(x) for units, x in zip(own, task.images, strict=True)]

    def in_pieces(rows: Tensor) -> Tensor:
        return torch.cat([plain.up(piece.detach())[0] for piece in (rows[:m], rows[m:]) if len(piece)])

    at_server = [in_pieces(rows).requires_grad_() for rows in smashed]
    logits = [nn.Sequential(*server)(x) for x in at_server]
    z = [(torch.softmax(row, 1) - F.one_hot(y, 10)).detach() for row, y in zip(logits, task.labels, strict=True)]
    mean = sum(weight * each[:m] for weight, each in zip(task.weights, z, strict=True))
    back = [weight / B * torch.cat([mean, each[m:]]) for weight, each in zip(task.weights, z, strict=True)]
    gradients = torch.autograd.grad(logits, [*at_server, *parameters_of(server)], back)
    sgd(server, gradients[3:], RATES[1])
    _, down = plain.up(torch.zeros_like(gradients[0]))
    common = down(sum(gradient[:m] for gradient in gradients[:3]))
    for i in range(3):
        rest = [down(gradients[i][m:] / task.weights[i])] if m < B else []
        sgd(own[i], torch.autograd.grad(smashed[i], parameters_of(own[i]), torch.cat([common, *rest])), RATES[0])
    assert get("epsl").train(made, task)
    assert_near(held(made.server.units[cut:]), held(server))
    for client, units in zip(made.clients, own, strict=True):
        assert_near(held(client.units), held(units))


@pytest.mark.parametrize("name", ["uniform-4", "top-k:0.3"])
def test_a_round_of_sfl_v1(name: str) -> None:
    cut = 2
    made, task = stood("sfl-v1", cut), batch(0, (name,) * 3)
    replicas = [copy.deepcopy(made.server.units) for _ in SHARES]
    for units, x, y in zip(replicas, task.images, task.labels, strict=True):
        smashed = nn.Sequential(*units[:cut])(x)
        received, down = Plain(name).up(smashed.detach())
        received = received.clone().requires_grad_()
        loss = F.cross_entropy(nn.Sequential(*units[cut:])(received), y)
        back, *of_server = torch.autograd.grad(loss, [received, *parameters_of(units[cut:])])
        of_client = torch.autograd.grad(smashed, parameters_of(units[:cut]), down(back))
        sgd(units[cut:], of_server, RATES[1])
        sgd(units[:cut], of_client, RATES[0])
    mean = [
        sum(w * v for w, v in zip(SHARES, values, strict=True))
        for values in zip(*(held(units) for units in replicas), strict=True)
    ]
    assert get("sfl-v1").train(made, task)
    assert_near(held(made.server.units), mean)


@pytest.mark.parametrize("framework", ["psl", "epsl", "hierarchical", "cpsl", "sfl-v2", "sl", "psl-drop"])
def test_a_round_in_which_a_codec_changes_nothing_is_the_round_without(framework: str) -> None:
    """All numbers are sent, each as it is: top-k with k = d; and the codec "none" among others."""
    m = 2 * (framework == "psl-drop")
    plain, coded = stood(framework, 2), stood(framework, 2)
    assert get(framework).train(plain, without_codecs(batch(m, ("none",) * 3)))
    task = batch(m, ("top-k:1", "none", "top-k:1"))
    assert get(framework).train(coded, task)
    assert_close(held(coded.server.units), held(plain.server.units), rtol=1e-5)
    for one, other in zip(coded.clients, plain.clients, strict=True):
        assert_close(held(one.units), held(other.units), rtol=1e-5)


def test_clients_with_cuts_and_codecs_of_their_own() -> None:
    """As PSL, each rows joining the server behind its own cut."""
    cuts, names = (1, 3, 2), ("top-k:0.2", "uniform-4", "none")
    made = stood("psl", 3)
    made.move_cut(torch.tensor(cuts).numpy(), range(3), torch.tensor(SHARES).double().numpy())
    task = batch(0, names)
    own, server = [copy.deepcopy(client.units) for client in made.clients], copy.deepcopy(made.server.units)
    smashed = [nn.Sequential(*units)(x) for units, x in zip(own, task.images, strict=True)]
    sent = [Plain(each).up(rows.detach()) for each, rows in zip(names, smashed, strict=True)]
    at_server = [received.clone().requires_grad_() for received, _ in sent]
    losses = [
        F.cross_entropy(nn.Sequential(*server[cut:])(x), y)
        for cut, x, y in zip(cuts, at_server, task.labels, strict=True)
    ]
    total = sum(weight * loss for weight, loss in zip(task.weights, losses, strict=True))
    gradients = torch.autograd.grad(total, [*at_server, *parameters_of(server[1:])])
    sgd(server[1:], gradients[3:], RATES[1])
    for i, (_, down) in enumerate(sent):
        back = down(gradients[i] / task.weights[i])
        sgd(own[i], torch.autograd.grad(smashed[i], parameters_of(own[i]), back), RATES[0])
    assert get("psl").train(made, task)
    assert_near(held(made.server.units[1:]), held(server[1:]))
    for client, units in zip(made.clients, own, strict=True):
        assert_near(held(client.units), held(units))


@pytest.mark.parametrize("name", ["fp16", "uniform-2", "top-k:0.2", "c3:4"])
def test_a_round_that_is_not_finite_leaves_everything_as_it_was(name: str) -> None:
    for framework in ("epsl", "sfl-v2"):
        made, task = stood(framework, 2, "mlp"), batch(0, (name,) * 3)
        task.images[1, 0] = torch.inf
        before = [held(node.units) for node in (*made.clients, made.server)]
        assert not get(framework).train(made, task)
        for node, values in zip((*made.clients, made.server), before, strict=True):
            assert_same(held(node.units), values)


def without_codecs(task: RoundBatch) -> RoundBatch:
    return RoundBatch(**{**vars(task), "codecs": None})


def assert_near(one: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    """Single precision on both sides: a number next to the middle of two levels could go either way, but none does."""
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)
