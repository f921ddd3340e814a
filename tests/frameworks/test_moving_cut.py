"""A cut that moves: who holds which units afterwards, with which weights."""

import numpy as np
import pytest
import torch
from small_nodes import assert_close, assert_same, differs, held, network, nodes, round_batch, training
from torch import nn

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes

SHARES = (0.5, 0.3, 0.2)
SHARE = np.array(SHARES)


def trained(kind: str = "cnn", cut: int = 1, rounds: int = 2, **settings: object) -> Nodes:
    made = nodes(kind, SHARES, training(momentum=0.9, **settings), cut)
    for seed in range(rounds):
        get("epsl").train(made, round_batch(SHARES, 8, 2, seed))
    return made


def composed(made: Nodes, client: int) -> nn.Sequential:
    """What client and server compute together; units that the client has not fetched yet are the server's copies."""
    own = made.clients[client].units
    return nn.Sequential(*own, *made.server.units[len(own) :]).eval()


def outputs(made: Nodes) -> list[torch.Tensor]:
    images = round_batch(SHARES, 8, 0, 99).images[0]
    with torch.no_grad():
        return [composed(made, i)(images) for i in range(3)]


def test_first_cut_gives_everybody_the_initial_units() -> None:
    made = Nodes(network("cnn"), 3, training())
    assert made.client_cut_layer.tolist() == [0, 0, 0]
    made.move_cut(2, (1,), SHARE)
    assert made.client_cut_layer.tolist() == [2, 2, 2]
    for client in made.clients:
        assert_same(held(client.units), held(network("cnn").units[:2]))


def test_deeper_cut_hands_out_the_servers_present_units() -> None:
    made = trained(cut=1)
    server, before = [held([unit]) for unit in made.server.units], outputs(made)
    own = [held(client.units) for client in made.clients]
    made.move_cut(3, (0, 1, 2), SHARE)
    for i, client in enumerate(made.clients):
        assert_same(held(client.units[:1]), own[i])
        assert_same(held(client.units[1:]), [value for unit in server[1:3] for value in unit])
    assert_same(outputs(made), before)
    get("epsl").train(made, round_batch(SHARES, 8, 2, 7))
    assert differs(held(made.clients[0].units[1:]), held(made.clients[1].units[1:]))  # copies, each its own


def test_shallower_cut_gives_the_server_the_weighted_mean_of_the_participants() -> None:
    made = trained(cut=3)
    units = [[held([unit]) for unit in client.units] for client in made.clients]
    made.move_cut(1, (0, 2), SHARE)
    for index in (1, 2):
        mean = [(0.5 * a + 0.2 * b) / 0.7 for a, b in zip(units[0][index], units[2][index], strict=True)]
        assert_close(held([made.server.units[index]]), mean, rtol=1e-12)
    assert made.client_cut_layer.tolist() == [1, 1, 1]  # also of the absent client: its deeper units are void
    for i in range(3):
        assert_same(held(made.clients[i].units), units[i][0])


def test_running_statistics_move_with_their_unit() -> None:
    made = trained("norm", cut=3)
    variances = [client.units[1][1].running_var.clone() for client in made.clients]
    made.move_cut(1, (0, 1, 2), SHARE)
    mean = sum(share * v for share, v in zip(SHARES, variances, strict=True))
    torch.testing.assert_close(made.server.units[1][1].running_var, mean)
    made.move_cut(3, (0,), SHARE)
    torch.testing.assert_close(made.clients[0].units[1][1].running_var, mean)


def test_who_is_absent_catches_up_when_it_next_takes_part() -> None:
    made = trained(cut=1)
    handed_out = [held([unit]) for unit in made.server.units]
    made.move_cut(3, (0, 1), SHARE)
    assert made.client_cut_layer.tolist() == [3, 3, 1]
    get("epsl").train(made, round_batch(SHARES, 8, 2, 5, (0, 1)))
    made.move_cut(3, (1, 2), SHARE)
    assert made.client_cut_layer.tolist() == [3, 3, 3]
    assert_same(held(made.clients[2].units[1:]), handed_out[1] + handed_out[2])


def test_who_missed_a_deeper_cut_gives_nothing_to_a_shallower_one() -> None:
    made = trained(cut=1)
    made.move_cut(3, (0, 1), SHARE)
    get("epsl").train(made, round_batch(SHARES, 8, 2, 5, (0, 1)))
    third = [held([client.units[2]]) for client in made.clients[:2]]
    second = held([made.server.units[1]])
    made.move_cut(2, (0, 1, 2), SHARE)
    mean = [(0.5 * a + 0.3 * b) / 0.8 for a, b in zip(*third, strict=True)]
    assert_close(held([made.server.units[2]]), mean, rtol=1e-12)
    assert made.client_cut_layer.tolist() == [2, 2, 2]
    assert_same(held(made.clients[2].units[1:]), second)


def test_if_no_participant_holds_a_unit_the_server_goes_on_with_its_own_copy() -> None:
    made = trained(cut=1)
    made.move_cut(3, (0, 1), SHARE)
    get("epsl").train(made, round_batch(SHARES, 8, 2, 5, (0, 1)))
    copies = held(made.server.units[1:3])
    made.move_cut(1, (2,), SHARE)
    assert_same(held(made.server.units[1:3]), copies)
    assert made.client_cut_layer.tolist() == [1, 1, 1]


def test_a_lone_client_computes_the_same_after_every_move() -> None:
    made = nodes("norm", [1.0], training(), 2)
    get("epsl").train(made, round_batch([1.0], 8, 0, 0))
    images = round_batch([1.0], 8, 0, 9).images[0]
    with torch.no_grad():
        before = composed(made, 0)(images)
        for cut in (3, 1, 2, 1, 3):
            made.move_cut(cut, (0,), np.ones(1))
            torch.testing.assert_close(composed(made, 0)(images), before, rtol=1e-12, atol=1e-12)


def test_a_cut_that_stays_changes_nothing_to_the_bit() -> None:
    made, other = trained(cut=2), trained(cut=2)
    for seed in range(3):
        made.move_cut(2, (0, 1, 2), SHARE)
        for one in (made, other):
            get("epsl").train(one, round_batch(SHARES, 8, 2, seed))
    for one, two in zip((*made.clients, made.server), (*other.clients, other.server), strict=True):
        assert_same(held(one.units), held(two.units))


@pytest.mark.parametrize(("cut", "to"), [(1, 2), (2, 1)])
def test_momentum_of_units_that_stay_is_kept(cut: int, to: int) -> None:
    made = trained(cut=cut)
    head, stem = made.server.units[3], made.clients[0].units[0]
    momenta = [
        node.optimizer.state[p]["momentum_buffer"].clone()
        for node, unit in ((made.server, head), (made.clients[0], stem))
        for p in unit.parameters()
    ]
    assert all(m.abs().max() > 0 for m in momenta)
    made.move_cut(to, (0, 1, 2), SHARE)
    after = [
        node.optimizer.state[p]["momentum_buffer"]
        for node, unit in ((made.server, head), (made.clients[0], stem))
        for p in unit.parameters()
    ]
    assert_same(after, momenta)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_after_a_move_exactly_the_held_units_are_trained(optimizer: str) -> None:
    made = trained(cut=1, optimizer=optimizer)
    for cut in (3, 2):
        made.move_cut(cut, (0, 1, 2), SHARE)
        idle, active = held(made.server.units[:cut]), [held([unit]) for unit in made.server.units[cut:]]
        own = [[held([unit]) for unit in client.units] for client in made.clients]
        get("epsl").train(made, round_batch(SHARES, 8, 2, cut))
        assert_same(held(made.server.units[:cut]), idle)
        assert all(differs(held([u]), before) for u, before in zip(made.server.units[cut:], active, strict=True))
        for client, units in zip(made.clients, own, strict=True):
            assert len(client.units) == cut
            assert all(differs(held([u]), before) for u, before in zip(client.units, units, strict=True))
