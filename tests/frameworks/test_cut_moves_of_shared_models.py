"""A cut that moves where all nodes hold the same network: only who trains a unit changes, never its weights."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from plain_programs import PlainProgram
from small_nodes import assert_close, assert_same, differs, held, nodes, one_by_one, round_batch, training
from torch import Tensor

from splitgym.frameworks import get
from splitgym.frameworks.node import Node
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

SHARES = (0.4, 0.1, 0.3, 0.2)
SHARE = np.array(SHARES)
WHO = ((0, 1, 2, 3), (0, 2), (1, 2, 3), (0, 3), (2,), (0, 1, 2, 3), (1, 3))
CUTS = (1, 3, 3, 2, 1, 2, 2)
SPLIT = ("sl", "sfl-v1", "sfl-v2", "cpsl")
MOMENTUM = "momentum_buffer"


def task_of(framework: str, seed: int, who: Sequence[int]) -> RoundBatch:
    slots: dict[str, list[tuple[int, ...]]] = {
        "sl": list(one_by_one(len(who))),
        "cpsl": [members for members in (tuple(range(0, len(who), 2)), tuple(range(1, len(who), 2))) if members],
    }
    return round_batch(SHARES, 6, 0, seed, who, slots.get(framework))


def run(framework: str, kind: str, cuts: Sequence[int], **fields: object) -> Nodes:
    made = nodes(kind, SHARES, training(6, **fields), cuts[0], framework)
    for seed, (who, cut) in enumerate(zip(WHO, cuts, strict=False)):
        made.move_cut(cut, who, SHARE)
        assert get(framework).train(made, task_of(framework, seed, who))
    return made


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", ["cnn", "norm"])
@pytest.mark.parametrize("framework", SPLIT)
def test_only_the_split_of_optimisers_changes(framework: str, kind: str, optimizer: str) -> None:
    """A node that takes up a unit begins without memory of it, one that gives it up forgets it: every client does."""
    rate = {"client_learning_rate": 0.01, "server_learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-2}
    made = nodes(kind, SHARES, training(6, optimizer=optimizer, **rate), CUTS[0], framework)
    plain = PlainProgram(made.server.units, made.training, len(SHARES), CUTS[0])
    units = len(made.server.units)
    for seed, (who, cut) in enumerate(zip(WHO, CUTS, strict=True)):
        before = held(made.server.units)
        made.move_cut(cut, who, SHARE)
        assert_same(held(made.server.units), before)
        plain.cut = cut
        for client in plain.client_optimisers:
            client.forget(range(cut, units))
        for server in (plain.server_optimiser, *plain.copy_optimisers):
            server.forget(range(cut))
        task = task_of(framework, seed, who)
        assert get(framework).train(made, task)
        torch.testing.assert_close(task.losses, plain.round(framework, task), rtol=1e-8, atol=1e-12)
        assert_close(held(made.server.units), plain.everything(), rtol=1e-8)


@pytest.mark.parametrize("kind", ["cnn", "norm"])
@pytest.mark.parametrize("framework", SPLIT)
def test_with_different_rates_the_cut_decides_which_one_a_unit_has(framework: str, kind: str) -> None:
    made = nodes(kind, SHARES, training(6, client_learning_rate=1e-12), 1, framework)
    for seed, cut in enumerate((1, 3, 2)):
        made.move_cut(cut, range(4), SHARE)
        before = [list(unit.parameters()) for unit in made.server.units]
        weights = [[p.detach().clone() for p in unit] for unit in before]
        assert get(framework).train(made, task_of(framework, seed, range(4)))
        moved = [differs(old, [p.detach() for p in unit]) for old, unit in zip(weights, before, strict=True)]
        assert moved == [False] * cut + [True] * (4 - cut)


@pytest.mark.parametrize("framework", ["sl", "sfl-v1", "cpsl"])
def test_without_memory_and_with_one_rate_the_cut_does_not_matter(framework: str) -> None:
    rate = {"client_learning_rate": 0.05, "server_learning_rate": 0.05, "weight_decay": 1e-2}
    moving, fixed, other = (run(framework, "cnn", cuts, **rate) for cuts in (CUTS, [2] * 7, [1] * 7))
    assert_close(held(moving.server.units), held(fixed.server.units), rtol=1e-8)
    assert_close(held(other.server.units), held(fixed.server.units), rtol=1e-8)


@pytest.mark.parametrize("kind", ["cnn", "norm"])
@pytest.mark.parametrize("framework", ["fl", "centralised"])
def test_a_network_that_is_not_cut_does_not_care_about_the_cut_to_the_bit(framework: str, kind: str) -> None:
    after = [run(framework, kind, cuts, momentum=0.9, weight_decay=1e-3) for cuts in (CUTS, [1] * 7, [3] * 7)]
    for made in after[1:]:
        assert_same(held(made.server.units), held(after[0].server.units))
    assert {made.cut_layer for made in after} == {0 if framework == "centralised" else 4}


@pytest.mark.parametrize("framework", SPLIT)
def test_a_cut_that_stays_changes_nothing_to_the_bit(framework: str) -> None:
    after = []
    for moves in (1, 3):
        made = nodes("norm", SHARES, training(6, momentum=0.9), 2, framework)
        for seed in range(3):
            for _ in range(moves):
                made.move_cut(2, (0, 1), SHARE)
            assert get(framework).train(made, task_of(framework, seed, (0, 1, 3)))
        after.append(held(made.server.units))
    assert_same(*after)


def remembered(node: Node, units: Sequence[int]) -> list[Tensor]:
    """Momenta of some units, by place in the network; zero where there is none."""
    weights = [p for u in units for p in node.units[u].parameters()]
    return [node.optimizer.state.get(p, {}).get(MOMENTUM, torch.zeros_like(p)).clone() for p in weights]


def without_memory(node: Node, units: Sequence[int]) -> bool:
    return not any(momentum.any() for momentum in remembered(node, units))


@pytest.mark.parametrize("framework", SPLIT)
def test_who_remembers_what_after_a_move(framework: str) -> None:
    made = run(framework, "cnn", [2, 2], momentum=0.9)  # everybody trained once, then clients 0 and 2
    servers = [made.server_of(i) for i in range(4)]
    head, stem = ([remembered(p, [u]) for p in node] for node, u in ((servers, 3), (made.clients, 0)))
    assert not any(without_memory(server, [3]) for server in servers)
    assert not any(without_memory(client, [1]) for client in made.clients)
    made.move_cut(3, (0,), SHARE)
    for client, before in zip(made.clients, stem, strict=True):
        assert_same(remembered(client, [0]), before)
        assert without_memory(client, [2])
    for server, before in zip(servers, head, strict=True):
        assert_same(remembered(server, [3]), before)
    made.move_cut(1, (0,), SHARE)
    for client, before in zip(made.clients, stem, strict=True):
        assert_same(remembered(client, [0]), before)
    for server, before in zip(servers, head, strict=True):
        assert_same(remembered(server, [3]), before)
        assert without_memory(server, [1, 2]), "both had been the clients' in between"
    made.move_cut(2, (0,), SHARE)
    for client in made.clients:
        assert without_memory(client, [1]), "given up in between"
