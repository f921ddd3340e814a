"""Cut layers of each client's own, against plain programs of autograd that know no nodes."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_nodes import assert_close, assert_same, held, nodes, round_batch, training
from torch import nn

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

SHARES = (0.5, 0.3, 0.2)
SHARE = np.array(SHARES)
CUTS = (1, 3, 2)
ORDERS = (CUTS, (3, 1, 2))
"""A server's weights get their first gradients all from the first client, or some of them later."""
SETTINGS = {"momentum": 0.9}


def stood(kind: str, framework: str, cuts: tuple[int, ...] = CUTS, **settings: object) -> Nodes:
    """Nodes at these cuts; clients with units of their own begin with different ones."""
    made = nodes(kind, SHARES, training(**SETTINGS, **settings), 3, framework)
    made.move_cut(np.array(cuts), range(3), SHARE)
    return made


def sgd(units: list[nn.Module], rate: float) -> torch.optim.SGD:
    return torch.optim.SGD([p for unit in units for p in unit.parameters()], lr=rate, momentum=0.9)


class PlainPsl:
    """Each client's own units, then the server's: one loss, weighted by data, for the server; each own for a client."""

    def __init__(self, made: Nodes, joint: bool) -> None:
        self.own = [copy.deepcopy(client.units) for client in made.clients]
        self.server = copy.deepcopy(made.server.units)
        self.steps = [sgd(units, 0.1) for units in self.own]
        self.server_step = sgd(self.server, 0.05)
        self.joint = joint

    def train(self, task: RoundBatch) -> list[float]:
        for unit in (*self.server, *(unit for own in self.own for unit in own)):
            unit.train()
            for parameter in unit.parameters():
                parameter.grad = None
        rows = {}
        for place, i in enumerate(task.participants):
            rows[i] = nn.Sequential(*self.own[i])(task.images[place])
        for index, unit in enumerate(self.server):
            reached = [i for i in task.participants if len(self.own[i]) <= index]
            if self.joint and reached:
                outputs = unit(torch.cat([rows[i] for i in reached])).split(len(task.labels[0]))
                rows.update(zip(reached, outputs, strict=True))
            else:
                rows.update({i: unit(rows[i]) for i in reached})
        losses = {i: F.cross_entropy(rows[i], labels) for i, labels in zip(task.participants, task.labels, strict=True)}
        weights = dict(zip(task.participants, task.weights, strict=True))
        sum(weights[i] * losses[i] for i in losses).backward()
        self.server_step.step()
        for i in losses:
            for parameter in (p for unit in self.own[i] for p in unit.parameters()):
                # A client's gradient is not scaled by its weight.
                parameter.grad /= weights[i]
            self.steps[i].step()
        return [loss.item() for loss in losses.values()]


@pytest.mark.parametrize(("kind", "joint"), [("cnn", True), ("mlp", False), ("norm", True)])
@pytest.mark.parametrize("participants", [(0, 1, 2), (1, 2)])
def test_psl_rows_join_behind_their_own_cut(kind: str, joint: bool, participants: tuple[int, ...]) -> None:
    made = stood(kind, "psl", batch_statistics="joint" if joint else "per-client")
    plain = PlainPsl(made, joint)
    for seed in range(3):
        who = (0, 1, 2) if seed == 0 else participants
        task = round_batch(SHARES, 8, 0, seed, who)
        assert get("psl").train(made, task)
        np.testing.assert_allclose(task.losses.numpy(), plain.train(task), rtol=1e-10)
        for client, own in zip(made.clients, plain.own, strict=True):
            assert_close(held(client.units), held(own))
        assert_close(held(made.server.units[1:]), held(plain.server[1:]))


def test_statistics_of_each_client_average_over_those_that_reach_the_unit() -> None:
    made = stood("norm", "psl", (1, 2, 2), batch_statistics="per-client")
    task = round_batch(SHARES, 8, 0, 0)
    own = [copy.deepcopy(client.units).__iter__() for client in made.clients]
    server = copy.deepcopy(made.server.units)
    x = [nn.Sequential(*units).train()(images) for units, images in zip(own, task.images, strict=True)]
    expected = []
    for index in (1, 2):
        means, weights = [], []
        for i in range(3):
            if (1, 2, 2)[i] <= index:
                unit = copy.deepcopy(server[index]).train()
                x[i] = unit(x[i])
                means.append(next(m for m in unit if hasattr(m, "running_mean")).running_mean)
                weights.append(SHARES[i])
        expected.append(sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights))
    assert get("psl").train(made, task)
    for index, mean in zip((1, 2), expected, strict=True):
        norm = next(m for m in made.server.units[index] if hasattr(m, "running_mean"))
        torch.testing.assert_close(norm.running_mean, mean)


def test_equal_cuts_are_the_common_cut_to_the_bit() -> None:
    mixed, common = stood("cnn", "psl", (2, 2, 2)), nodes("cnn", SHARES, training(**SETTINGS), 3, "psl")
    common.move_cut(2, range(3), SHARE)
    for seed in range(2):
        for made in (mixed, common):
            assert get("psl").train(made, round_batch(SHARES, 8, 0, seed))
    assert_same(held(mixed.server.units), held(common.server.units))
    for one, other in zip(mixed.clients, common.clients, strict=True):
        assert_same(held(one.units), held(other.units))


def test_a_unit_that_is_given_up_joins_the_server_s_by_the_data_that_each_served() -> None:
    made = stood("cnn", "psl")
    assert get("psl").train(made, round_batch(SHARES, 8, 0, 0))
    own = [held([unit]) for unit in made.clients[1].units]
    of_server = [held([unit]) for unit in made.server.units]
    made.move_cut(np.array([2, 1, 2]), (0, 1, 2), SHARE)
    # Unit 2 served client 0 (0.5) at the server, unit 3 clients 0 and 2 (0.7); client 1 (0.3) gives up both.
    second = [(0.3 * a + 0.5 * b) / 0.8 for a, b in zip(own[1], of_server[1], strict=True)]
    third = [0.3 * a + 0.7 * b for a, b in zip(own[2], of_server[2], strict=True)]
    assert_close(held([made.server.units[1]]), second, rtol=1e-12)
    assert_close(held([made.server.units[2]]), third, rtol=1e-12)
    assert_same(held(made.clients[0].units[1:]), held([made.server.units[1]]))
    assert made.client_cut_layer.tolist() == [2, 1, 2]


def test_who_takes_no_part_keeps_the_units_up_to_its_cut() -> None:
    made = stood("cnn", "psl")
    before = held(made.clients[1].units)
    made.move_cut(np.array([2, 3, 1]), (0, 2), SHARE)
    assert_same(held(made.clients[1].units), before)
    assert made.client_cut_layer.tolist() == [2, 3, 1]
    assert made.cut_layer == 1


@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_sfl_v1_with_mixed_cuts_averages_whole_networks(kind: str) -> None:
    made = stood(kind, "sfl-v1")
    whole, start = made.server.units, None
    optimizers: dict[int, list[torch.optim.SGD]] = {}
    replicas = [copy.deepcopy(whole) for _ in range(3)]
    for i, cut in enumerate(CUTS):
        optimizers[i] = [sgd(replicas[i][:cut], 0.1), sgd(replicas[i][cut:], 0.05)]
    for seed in range(2):
        task = round_batch(SHARES, 8, 0, seed)
        start = [held([unit]) for unit in whole]
        for i, replica in enumerate(replicas):
            for unit, values in zip(replica, start, strict=True):
                for value, now in zip(unit.state_dict().values(), values, strict=True):
                    value.copy_(now)
                unit.train()
            for optimizer in optimizers[i]:
                optimizer.zero_grad()
            F.cross_entropy(nn.Sequential(*replica)(task.images[i]), task.labels[i]).backward()
            for optimizer in optimizers[i]:
                optimizer.step()
        assert get("sfl-v1").train(made, task)
        for index in range(len(whole)):
            states = [held([replica[index]]) for replica in replicas]
            mean = [
                sum(w * v for w, v in zip(SHARES, values, strict=True)) if values[0].is_floating_point() else values[-1]
                for values in zip(*states, strict=True)
            ]
            assert_close(held([whole[index]]), mean)


@pytest.mark.parametrize("cuts", ORDERS)
def test_sfl_v2_with_mixed_cuts_averages_copies_of_clients_with_the_server_s(cuts: tuple[int, ...]) -> None:
    made = stood("cnn", "sfl-v2", cuts)
    start = copy.deepcopy(made.server.units)
    server, own = copy.deepcopy(start), [copy.deepcopy(start[:cut]) for cut in cuts]
    server_step = sgd(server, 0.05)
    task = round_batch(SHARES, 8, 0, 0)
    for i, cut in enumerate(cuts):
        server_step.zero_grad(set_to_none=True)
        step = sgd(own[i], 0.1)
        F.cross_entropy(nn.Sequential(*own[i], *server[cut:])(task.images[i]), task.labels[i]).backward()
        step.step()
        server_step.step()
    assert get("sfl-v2").train(made, task)
    for index, unit in enumerate(made.server.units):
        copies = [(SHARES[i], held([own[i][index]])) for i in range(3) if cuts[i] > index]
        served = sum(SHARES[i] for i in range(3) if cuts[i] <= index)
        parts = [*copies, (served, held([server[index]]))]
        mean = [sum(w * values[place] for w, values in parts) for place in range(len(held([unit])))]
        assert_close(held([unit]), mean)


@pytest.mark.parametrize("cuts", ORDERS)
def test_sl_with_mixed_cuts_hands_the_whole_network_on(cuts: tuple[int, ...]) -> None:
    made = stood("cnn", "sl", cuts)
    whole = copy.deepcopy(made.server.units)
    server_step = sgd(whole, 0.05)
    task = round_batch(SHARES, 8, 0, 0, slots=[(0,), (1,), (2,)])
    for i, cut in enumerate(cuts):
        for unit in whole:
            unit.zero_grad(set_to_none=True)
        step = sgd(whole[:cut], 0.1)
        F.cross_entropy(nn.Sequential(*whole)(task.images[i]), task.labels[i]).backward()
        step.step()
        for parameter in (p for unit in whole[:cut] for p in unit.parameters()):
            parameter.grad = None
        server_step.step()
    assert get("sl").train(made, task)
    assert_close(held(made.server.units), held(whole))


def test_a_loss_that_is_not_finite_leaves_everything_as_it_was() -> None:
    for framework in ("psl", "sfl-v2"):
        made = stood("norm", framework)
        before = [held(node.units) for node in (*made.clients, made.server)]
        task = round_batch(SHARES, 8, 0, 0)
        task.images[2] = np.nan
        assert not get(framework).train(made, task)
        for node, values in zip((*made.clients, made.server), before, strict=True):
            assert_same(held(node.units), values)


def test_a_state_is_saved_and_restored_with_its_cuts() -> None:
    made = stood("cnn", "psl")
    assert get("psl").train(made, round_batch(SHARES, 8, 0, 0))
    other = nodes("cnn", SHARES, training(**SETTINGS), 3, "psl")
    other.load_state_dict(made.state_dict())
    for each in (made, other):
        each.move_cut(np.array([3, 1, 2]), (0, 1, 2), SHARE)
        assert get("psl").train(each, round_batch(SHARES, 8, 0, 1))
    assert_same(held(made.server.units), held(other.server.units))
    for one, copied in zip(made.clients, other.clients, strict=True):
        assert_same(held(one.units), held(copied.units))
