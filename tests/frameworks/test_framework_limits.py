"""Where two frameworks must be the same, they are."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from drawn import drawn
from small_nodes import (
    assert_close,
    assert_same,
    differs,
    everything,
    held,
    network,
    nodes,
    one_by_one,
    round_batch,
    training,
)
from torch import Tensor, nn

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.scenario import Training

EQUAL, UNEQUAL = (0.25, 0.25, 0.25, 0.25), (0.4, 0.1, 0.3, 0.2)
RATE = {"client_learning_rate": 0.05, "server_learning_rate": 0.05}
ALL_ALIKE = ("centralised", "fl", "sl", "sfl-v1", "sfl-v2", "cpsl", "psl", "epsl", "psl-drop", "hierarchical")


def trained(
    framework: str,
    kind: str,
    shares: Sequence[float],
    settings: Training,
    cut: int,
    task: Callable[[int], RoundBatch],
    rounds: int = 4,
) -> tuple[Nodes, list[Tensor]]:
    """Nodes after some rounds that all began with the same network, and the losses."""
    made = nodes(kind, shares, settings, cut, framework)
    for client in made.clients if made.own_units else ():
        for unit, same in zip(client.units, network(kind).units, strict=False):
            unit.load_state_dict(same.state_dict())
    losses = []
    for seed in range(rounds):
        one = task(seed)
        assert get(framework).train(made, one)
        losses.append(one.losses)
    return made, losses


def whole(made: Nodes, client: int = 0) -> list[Tensor]:
    """The whole network as a client uses it."""
    own = made.clients[client].units if made.own_units else []
    return held([*own, *made.server.units[len(own) :]])


@pytest.mark.parametrize(
    ("framework", "kind_and_cut", "optimizer"),
    drawn(33, ALL_ALIKE, [("cnn", 2), ("norm", 1), ("norm", 3)], ["sgd", "adam"]),
)
def test_with_one_client_every_framework_is_plain_training(
    framework: str, kind_and_cut: tuple[str, int], optimizer: str
) -> None:
    kind, cut = kind_and_cut
    settings = training(8, momentum=0.9, weight_decay=1e-3, optimizer=optimizer, **RATE)
    made, losses = trained(framework, kind, (1.0,), settings, cut, lambda seed: round_batch((1.0,), 8, 0, seed))
    net = nn.Sequential(*network(kind).units)
    torch_optimizer = (
        torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
        if optimizer == "sgd"
        else torch.optim.Adam(net.parameters(), lr=0.05, betas=(0.9, 0.999), weight_decay=1e-3)
    )
    for seed in range(4):
        task = round_batch((1.0,), 8, 0, seed)
        torch_optimizer.zero_grad()
        loss = F.cross_entropy(net(task.images[0]), task.labels[0])
        torch.testing.assert_close(losses[seed], loss.detach().view(1), rtol=1e-8, atol=0)
        loss.backward()
        torch_optimizer.step()
    assert_close(whole(made), list(net.state_dict().values()), rtol=1e-7)


@pytest.mark.parametrize("framework", ["fl", "sfl-v1", "cpsl"])
@pytest.mark.parametrize(("kind", "cut"), [("cnn", 2), ("mlp", 1), ("linear", 2)])
@pytest.mark.parametrize("shares", [EQUAL, UNEQUAL])
def test_averaging_after_each_step_is_training_on_the_large_batch(
    shares: Sequence[float], kind: str, cut: int, framework: str
) -> None:
    """Everybody takes part, no batch norm, momentum: the mean of the steps is the step of the mean loss."""
    settings = training(8, momentum=0.9, **RATE)
    made, losses = trained(framework, kind, shares, settings, cut, lambda seed: round_batch(shares, 8, 0, seed))
    central, of_central = trained(
        "centralised", kind, shares, settings, cut, lambda seed: round_batch(shares, 8, 0, seed)
    )
    assert_close(losses, of_central, rtol=1e-8)
    assert_close(whole(made), whole(central), rtol=1e-7)
    if shares == EQUAL:
        net = nn.Sequential(*network(kind).units)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        for seed in range(4):
            task = round_batch(shares, 8, 0, seed)
            optimizer.zero_grad()
            F.cross_entropy(net(task.images.flatten(0, 1)), task.labels.flatten()).backward()
            optimizer.step()
        assert_close(whole(central), list(net.state_dict().values()), rtol=1e-7)


@pytest.mark.parametrize("who", [None, (0, 1, 3)])
@pytest.mark.parametrize(("kind", "statistics"), [("cnn", "joint"), ("mlp", "joint"), ("norm", "per-client")])
def test_one_cluster_is_split_federated_learning(kind: str, statistics: str, who: tuple[int, ...] | None) -> None:
    """With momentum only while the same clients take part: else each server copy remembers rounds of its own."""
    settings = training(8, momentum=0.9, batch_statistics=statistics)
    after = [
        trained(framework, kind, UNEQUAL, settings, 2, lambda seed: round_batch(UNEQUAL, 8, 0, seed, who))
        for framework in ("sfl-v1", "cpsl")
    ]
    assert_close(after[0][1], after[1][1], rtol=1e-8)
    assert_close(whole(after[0][0]), whole(after[1][0]), rtol=1e-7)


@pytest.mark.parametrize("who", [(0, 1, 2, 3), (1, 3)])
@pytest.mark.parametrize("statistics", ["joint", "per-client"])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_clusters_of_one_client_are_vanilla_split_learning(kind: str, statistics: str, who: tuple[int, ...]) -> None:
    settings = training(8, momentum=0.9, weight_decay=1e-3, batch_statistics=statistics)
    after = [
        trained(
            framework,
            kind,
            UNEQUAL,
            settings,
            2,
            lambda seed: round_batch(UNEQUAL, 8, 0, seed, who, one_by_one(len(who))),
        )
        for framework in ("sl", "cpsl")
    ]
    assert_close(after[0][1], after[1][1], rtol=1e-8)
    assert_close(whole(after[0][0]), whole(after[1][0]), rtol=1e-7)


def test_order_of_turns_is_that_of_the_exercise() -> None:
    """Clusters of one client, but the last first: another model."""
    settings, after = training(8, momentum=0.9), []
    for slots in ([(0,), (1,), (2,), (3,)], [(3,), (2,), (1,), (0,)]):
        made, _ = trained(
            "cpsl", "cnn", UNEQUAL, settings, 2, lambda seed, t=slots: round_batch(UNEQUAL, 8, 0, seed, slots=t)
        )
        after.append(whole(made))
    assert differs(*after)


@pytest.mark.parametrize("framework", ["centralised", "fl", "sl", "sfl-v1", "sfl-v2", "cpsl"])
def test_after_a_round_all_clients_are_the_same_model(framework: str) -> None:
    settings = training(8, momentum=0.9)
    made, _ = trained(framework, "norm", UNEQUAL, settings, 2, lambda seed: round_batch(UNEQUAL, 8, 0, seed, (0, 2)))
    units = {"centralised": 0, "fl": 4}.get(framework, 2)
    for client in made.clients:
        assert len(client.units) == units
        assert_same(held(client.units), held(made.server.units[:units]))
    assert made.client_cut_layer.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("framework", ["sl", "sfl-v1", "sfl-v2"])
def test_frameworks_with_a_sequence_do_not_agree_with_several_clients(framework: str) -> None:
    """Guards the tests above: where they may differ, they do."""
    settings = training(8, momentum=0.9, **RATE)
    made, _ = trained(
        framework, "cnn", UNEQUAL, settings, 2, lambda seed: round_batch(UNEQUAL, 8, 0, seed, (0, 2, 3)), 2
    )
    for name in {"sl", "sfl-v1", "sfl-v2"} - {framework}:
        other, _ = trained(
            name, "cnn", UNEQUAL, settings, 2, lambda seed: round_batch(UNEQUAL, 8, 0, seed, (0, 2, 3)), 2
        )
        assert differs(whole(made), whole(other))


@pytest.mark.parametrize("statistics", ["joint", "per-client"])
@pytest.mark.parametrize("m", [0, 1, 3, 6])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_rows_left_out_are_the_last(kind: str, m: int, statistics: str) -> None:
    settings, after = training(8, momentum=0.9, batch_statistics=statistics), []
    for framework, rows in (("psl-drop", 8), ("psl", 8 - m)):
        made = nodes(kind, UNEQUAL, settings, 1, framework)
        for seed in range(3):
            task = round_batch(UNEQUAL, 8, m if framework == "psl-drop" else 0, seed, (0, 1, 3))
            short = round_batch(UNEQUAL, rows, task.aggregated_rows, seed, (0, 1, 3))
            short.images.copy_(task.images[:, :rows])
            short.labels.copy_(task.labels[:, :rows])
            assert get(framework).train(made, short)
        after.append([*everything(made), short.losses])
    assert_same(*after)


@pytest.mark.parametrize("reading", ["virtual", "inject"])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_without_aggregation_all_of_the_family_are_psl_to_the_bit(kind: str, reading: str) -> None:
    after = []
    for framework in ("psl", "epsl", "psl-drop", "epsl-pt"):
        made = nodes(kind, UNEQUAL, training(8, momentum=0.9, aggregation_reading=reading), 2, framework)
        for seed in range(3):
            assert get(framework).train(made, round_batch(UNEQUAL, 8, 0, seed))
        after.append(everything(made))
    for other in after[1:]:
        assert_same(after[0], other)
