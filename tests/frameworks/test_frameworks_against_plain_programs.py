"""Rounds of every framework against the plain programs of plain_programs.py, in double precision."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from drawn import drawn
from plain_programs import PlainProgram
from small_nodes import assert_close, differs, everything, held, nodes, one_by_one, round_batch, training
from torch import Tensor

from splitgym.frameworks import get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

SHARES = (0.4, 0.1, 0.3, 0.2)
WHO = ((0, 1, 2, 3), (0, 2), (1, 2, 3), (0, 3), (2,), (0, 1, 2, 3))
"""Who takes part, round by round."""
ROWS = 6
SHARED = ("centralised", "fl", "sl", "sfl-v1", "sfl-v2", "cpsl")
OWN = ("psl", "psl-drop", "epsl", "epsl-pt", "hierarchical", "async-psl")


def program_of(made: Nodes) -> PlainProgram:
    own = [client.units for client in made.clients] if made.own_units else None
    return PlainProgram(made.server.units, made.training, len(made.clients), made.cut_layer, own)


def held_by(made: Nodes) -> list[Tensor]:
    """All weights and statistics, in the order of `PlainProgram.everything`."""
    return everything(made) if made.own_units else held(made.server.units)


def slots_of(framework: str, who: Sequence[int], clusters: int) -> list[tuple[int, ...]] | None:
    """Positions among the participants by slot; in clusters, clients are dealt out like cards."""
    if framework == "sl":
        return list(one_by_one(len(who)))
    if framework != "cpsl":
        return None
    dealt = [tuple(k for k, i in enumerate(who) if i % clusters == cluster) for cluster in range(clusters)]
    return [members for members in dealt if members]


def round_batches(framework: str, m: int = 0, steps: int = 1, clusters: int = 2) -> list[RoundBatch]:
    return [
        replace(round_batch(SHARES, ROWS * steps, m, seed, who, slots_of(framework, who, clusters)), steps=steps)
        for seed, who in enumerate(WHO)
    ]


def assert_trains_as_the_plain_program(framework: str, made: Nodes, tasks: Sequence[RoundBatch]) -> None:
    """Losses of every round, and all weights and statistics after every round."""
    plain = program_of(made)
    start = held_by(made)
    for task in tasks:
        assert get(framework).train(made, task)
        torch.testing.assert_close(task.losses, plain.round(framework, task), rtol=1e-8, atol=1e-12)
        assert_close(held_by(made), plain.everything(), rtol=1e-8)
    assert differs(held_by(made), start)


@pytest.mark.parametrize(
    ("framework", "network"),
    drawn(
        33,
        [*SHARED, *OWN],
        [("cnn", 1), ("cnn", 3), ("mlp", 2), ("linear", 1), ("norm", 1), ("norm", 2)],
    ),
)
def test_rounds_with_momentum_and_weight_decay(framework: str, network: tuple[str, int]) -> None:
    kind, cut = network
    made = nodes(kind, SHARES, training(ROWS, momentum=0.9, weight_decay=1e-2), cut, framework)
    m = {"psl-drop": 2, "epsl": 3, "epsl-pt": ROWS}.get(framework, 0)
    assert_trains_as_the_plain_program(framework, made, round_batches(framework, m))


@pytest.mark.parametrize("kind", ["mlp", "norm"])
@pytest.mark.parametrize("framework", [*SHARED, *OWN])
def test_rounds_with_adam(framework: str, kind: str) -> None:
    rates = {"client_learning_rate": 0.01, "server_learning_rate": 0.003, "momentum": 0.8, "weight_decay": 1e-2}
    made = nodes(kind, SHARES, training(ROWS, optimizer="adam", **rates), 2, framework)
    assert_trains_as_the_plain_program(framework, made, round_batches(framework))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_federated_learning_with_three_local_steps(kind: str, optimizer: str) -> None:
    settings = training(
        ROWS, momentum=0.9, weight_decay=1e-2, local_steps=3, optimizer=optimizer, client_learning_rate=0.03
    )
    assert_trains_as_the_plain_program("fl", nodes(kind, SHARES, settings, 1, "fl"), round_batches("fl", steps=3))


@pytest.mark.parametrize("clusters", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
def test_clusters_one_after_the_other(kind: str, clusters: int) -> None:
    made = nodes(kind, SHARES, training(ROWS, momentum=0.9), 2, "cpsl")
    assert_trains_as_the_plain_program("cpsl", made, round_batches("cpsl", clusters=clusters))


@pytest.mark.parametrize("clusters", [1, 2])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_clusters_with_batch_statistics_per_client(cut: int, clusters: int) -> None:
    made = nodes("norm", SHARES, training(ROWS, momentum=0.9, batch_statistics="per-client"), cut, "cpsl")
    assert_trains_as_the_plain_program("cpsl", made, round_batches("cpsl", clusters=clusters))


def test_without_turns_all_clients_are_one_cluster() -> None:
    after = []
    for slots in (None, [(0, 1, 2, 3)]):
        made = nodes("mlp", SHARES, training(ROWS, momentum=0.9), 1, "cpsl")
        for seed in range(3):
            assert get("cpsl").train(made, round_batch(SHARES, ROWS, 0, seed, slots=slots))
        after.append(held_by(made))
    assert_close(*after, rtol=0)


@pytest.mark.parametrize(
    ("cut", "m", "reading", "statistics"),
    drawn(24, [1, 2, 3], [0, 2, 4, ROWS], ["virtual", "inject"], ["joint", "per-client"]),
)
def test_aggregation_with_batch_norm(cut: int, m: int, reading: str, statistics: str) -> None:
    settings = training(ROWS, momentum=0.9, aggregation_reading=reading, batch_statistics=statistics)
    assert_trains_as_the_plain_program("epsl", nodes("norm", SHARES, settings, cut), round_batches("epsl", m))


@pytest.mark.parametrize("statistics", ["joint", "per-client"])
@pytest.mark.parametrize("reading", ["virtual", "inject"])
@pytest.mark.parametrize("m", [1, ROWS - 1])
def test_a_single_row_may_be_aggregated_or_left(m: int, reading: str, statistics: str) -> None:
    """With one row of each client batch norm by itself has nothing to normalise, but the round must go on."""
    settings = training(ROWS, momentum=0.9, aggregation_reading=reading, batch_statistics=statistics)
    made = nodes("norm", SHARES, settings, 1)
    for seed, who in enumerate(WHO):
        assert get("epsl").train(made, round_batch(SHARES, ROWS, m, seed, who))
    assert all(torch.isfinite(value).all() for value in held_by(made))


@pytest.mark.parametrize("framework", ["psl", "psl-drop", "hierarchical"])
def test_parallel_split_learning_with_batch_statistics_per_client(framework: str) -> None:
    made = nodes("norm", SHARES, training(ROWS, momentum=0.9, batch_statistics="per-client"), 1, framework)
    assert_trains_as_the_plain_program(framework, made, round_batches(framework, 2 * (framework == "psl-drop")))


@pytest.mark.parametrize("framework", ["psl", "epsl"])
def test_where_batch_statistics_are_taken_matters(framework: str) -> None:
    """Guards the tests above."""
    after = []
    for statistics in ("joint", "per-client"):
        made = nodes("norm", SHARES, training(ROWS, batch_statistics=statistics), 1)
        get(framework).train(made, round_batch(SHARES, ROWS, 3, 0))
        after.append(held_by(made))
    assert differs(*after)


@pytest.mark.parametrize("reading", ["virtual", "inject"])
@pytest.mark.parametrize("correction", ["none", "unbiased"])
@pytest.mark.parametrize(("kind", "m"), [("cnn", 4), ("mlp", 1), ("mlp", ROWS)])
def test_aggregation_over_several_rounds(kind: str, m: int, correction: str, reading: str) -> None:
    settings = training(ROWS, momentum=0.9, aggregation_reading=reading, aggregation_correction=correction)
    assert_trains_as_the_plain_program("epsl", nodes(kind, SHARES, settings, 2), round_batches("epsl", m))
