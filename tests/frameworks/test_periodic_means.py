"""Split federated learning whose fed server averages in some rounds only, against the plain program."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import drawn
from plain_federation import PlainFederation
from small_nodes import assert_close, assert_same, differs, held, network, round_batch, training
from torch import Tensor

from splitgym.frameworks import get
from splitgym.frameworks.exchange import Exchange
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.frameworks.segments import averaged_later
from splitgym.scenario import Training

SHARES = (0.4, 0.1, 0.3, 0.2)
WHO = ((0, 1, 2, 3), (0, 2), (1, 2, 3), (0, 3), (2,), (0, 1, 2, 3), (1, 2), (0, 1))
ROWS = 6
SHARE = np.array(SHARES)


def nodes_of(framework: str, settings: Training, kind: str, later: bool = True) -> Nodes:
    segments = get(framework).segments
    return Nodes(network(kind), len(SHARES), settings, averaged_later(segments) if later else segments)


def batches() -> list[RoundBatch]:
    return [round_batch(SHARES, ROWS, 0, seed, who) for seed, who in enumerate(WHO)]


def play(framework: str, made: Nodes, batch: RoundBatch, mean: bool, cut: int) -> None:
    fetched = not made.client_cut_layer.any()
    made.move_cut(cut, batch.participants, SHARE)
    assert get(framework).train(made, replace(batch, exchange=Exchange(fetched=fetched, averaged=mean)))


def of_client(made: Nodes, i: int) -> list[Tensor]:
    return held(made.clients[i].units) + held(made.server_of(i).units[len(made.clients[i].units) :])


@pytest.mark.parametrize(
    ("framework", "interval", "network", "optimizer"),
    drawn(
        24,
        ["sfl-v1", "sfl-v2"],
        [2, 3, 10**9],
        [("cnn", 1), ("mlp", 2), ("norm", 1), ("norm", 2), ("norm", 3)],
        ["sgd", "adam"],
    ),
)
def test_rounds_are_those_of_the_plain_program(
    framework: str, interval: int, network: tuple[str, int], optimizer: str
) -> None:
    """Without an end to the interval: parallel split learning with a server model for each client, or one for all."""
    kind, cut = network
    rates = {"client_learning_rate": 0.01, "server_learning_rate": 0.003} if optimizer == "adam" else {}
    settings = training(ROWS, momentum=0.9, weight_decay=1e-2, optimizer=optimizer, **rates)
    made = nodes_of(framework, settings, kind)
    plain = PlainFederation(made.server.units, settings, len(SHARES), cut, copies=framework == "sfl-v1")
    start = of_client(made, 1)
    for number, batch in enumerate(batches(), start=1):
        mean = number % interval == 0
        play(framework, made, batch, mean, cut)
        torch.testing.assert_close(batch.losses, plain.round(batch, mean), rtol=1e-8, atol=1e-12)
        for i in range(len(SHARES)):
            assert_close(of_client(made, i), plain.of_client(i), rtol=1e-8)
        assert made.client_cut_layer.tolist() == [0 if mean else cut] * len(SHARES)
    assert differs(of_client(made, 1), start)
    assert differs(of_client(made, 1), of_client(made, 2)) == (interval > len(WHO) or len(WHO) % interval > 0)


@pytest.mark.parametrize("kind", ["cnn", "norm"])
@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
def test_a_mean_in_every_round_is_sfl_to_the_bit(framework: str, kind: str) -> None:
    """Parts of their own and copies that are averaged give what one network in all places gives."""
    settings = training(ROWS, momentum=0.9, weight_decay=1e-2)
    shared, own = (nodes_of(framework, settings, kind, later) for later in (False, True))
    for batch, same in zip(batches(), batches(), strict=True):
        play(framework, shared, batch, True, 2)
        play(framework, own, same, True, 2)
        assert torch.equal(batch.losses, same.losses)
        assert batch.traffic.bits == same.traffic.bits
        for i in range(len(SHARES)):
            assert_same(of_client(own, i), held(shared.server.units))


@pytest.mark.parametrize("cut", [1, 3])
def test_with_copies_a_cut_that_moves_changes_no_network(cut: int) -> None:
    """Units go from the client to its copy, or back."""
    made = nodes_of("sfl-v1", training(ROWS), "norm")
    play("sfl-v1", made, round_batch(SHARES, ROWS, 0, 0), False, 2)
    before = [of_client(made, i) for i in range(len(SHARES))]
    made.move_cut(cut, (0, 2, 3), SHARE)
    assert made.client_cut_layer.tolist() == [cut, 2, cut, cut]
    for i in range(len(SHARES)):
        assert_same(of_client(made, i), before[i])


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_after_a_mean_all_fetch_it_whatever_the_cut(framework: str, cut: int) -> None:
    """Also those that were away, and units that one end had before and the other has now."""
    made = nodes_of(framework, training(ROWS, momentum=0.9), "norm")
    play(framework, made, round_batch(SHARES, ROWS, 0, 0, (0, 1)), False, 2)
    play(framework, made, round_batch(SHARES, ROWS, 0, 1, (1, 3)), True, 2)
    mean = held(made.server.units)
    made.move_cut(cut, (0, 2), SHARE)
    assert made.client_cut_layer.tolist() == [cut] * 4
    for i in range(len(SHARES)):
        assert_same(of_client(made, i), mean)


@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
def test_a_round_that_is_not_finite_changes_nothing(framework: str) -> None:
    made = nodes_of(framework, training(ROWS, momentum=0.9), "norm")
    play(framework, made, round_batch(SHARES, ROWS, 0, 0), False, 2)
    before = [of_client(made, i) for i in range(len(SHARES))]
    bad = round_batch(SHARES, ROWS, 0, 1, (0, 1, 3))
    bad.images[2, 0] = torch.nan
    assert not get(framework).train(made, replace(bad, exchange=Exchange(fetched=False, averaged=True)))
    for i in range(len(SHARES)):
        assert_same(of_client(made, i), before[i])
    assert made.client_cut_layer.tolist() == [2] * 4


@pytest.mark.parametrize("mean_last", [False, True])
@pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])
def test_nodes_go_on_from_what_was_saved(framework: str, mean_last: bool) -> None:
    settings = training(ROWS, momentum=0.9)
    made, other = (nodes_of(framework, settings, "norm") for _ in range(2))
    first, second, third, fourth = batches()[:4]
    play(framework, made, first, False, 2)
    play(framework, made, second, mean_last, 2)
    other.load_state_dict(made.state_dict())
    assert other.client_cut_layer.tolist() == made.client_cut_layer.tolist()
    for nodes in (made, other):
        play(framework, nodes, third, True, 2)
        play(framework, nodes, fourth, False, 3)
    for i in range(len(SHARES)):
        assert_same(of_client(made, i), of_client(other, i))
