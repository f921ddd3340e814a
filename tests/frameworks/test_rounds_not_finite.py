"""A round with a NaN in it: nobody's weights or statistics change, the outcome says so, and training goes on."""

from collections.abc import Sequence

import pytest
import torch
from drawn import drawn
from small_nodes import assert_same, differs, held, nodes, one_by_one, round_batch, training
from torch import Tensor

from splitgym.frameworks import get, names
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch

SHARES = (0.4, 0.1, 0.3, 0.2)
ROWS = 6


def task_of(framework: str, seed: int, who: Sequence[int] | None = None, steps: int = 1) -> RoundBatch:
    n = len(SHARES if who is None else who)
    slots: dict[str, list[tuple[int, ...]]] = {
        "sl": list(one_by_one(n)),
        "cpsl": [tuple(range(0, n, 2)), tuple(range(1, n, 2))],
    }
    m = {"psl-drop": 2, "epsl": 2, "epsl-pt": ROWS}.get(framework, 0)
    return round_batch(SHARES, ROWS * steps, m, seed, who, slots.get(framework))


def everything(made: Nodes) -> list[Tensor]:
    return [
        *held(made.server.units),
        *(value for client in (*made.clients, *made.tails) for value in held(client.units)),
    ]


def prepared(framework: str, kind: str, optimizer: str = "sgd", **fields: object) -> Nodes:
    """Nodes that have trained for two rounds, so that statistics and optimisers hold something."""
    made = nodes(kind, SHARES, training(ROWS, momentum=0.9, optimizer=optimizer, **fields), 2, framework)
    for seed in range(2):
        assert get(framework).train(
            made, task_of(framework, seed, steps=made.training.local_steps * (framework == "fl") or 1)
        )
    return made


@pytest.mark.parametrize(
    ("framework", "kind", "client", "optimizer"), drawn(55, names(), ["cnn", "norm"], [0, 1, 3], ["sgd", "adam"])
)
def test_a_bad_image_of_any_client_changes_nothing(framework: str, kind: str, client: int, optimizer: str) -> None:
    made = prepared(framework, kind, optimizer)
    before = everything(made)
    bad = task_of(framework, 2)
    bad.images[client, 1, 0, 3, 4] = torch.nan
    assert get(framework).train(made, bad) is False
    assert_same(everything(made), before)
    for seed in (3, 4):
        task = task_of(framework, seed, (0, 2, 3))
        assert get(framework).train(made, task)
        assert torch.isfinite(task.losses).all()
    after = everything(made)
    assert all(torch.isfinite(value).all() for value in after)
    assert differs(after, before)


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("client", [0, 3])
def test_a_bad_image_in_any_local_step_changes_nothing(client: int, step: int) -> None:
    made = prepared("fl", "norm", local_steps=3)
    before = everything(made)
    bad = task_of("fl", 2, steps=3)
    bad.images[client, step * ROWS + 2, 0, 3, 4] = torch.nan
    assert get("fl").train(made, bad) is False
    assert_same(everything(made), before)
    assert get("fl").train(made, task_of("fl", 3, steps=3))
    assert all(torch.isfinite(value).all() for value in everything(made))


@pytest.mark.parametrize("framework", ["psl", "psl-drop", "epsl", "epsl-pt", "cpsl", "hierarchical"])
def test_with_batch_statistics_per_client_too(framework: str) -> None:
    made = prepared(framework, "norm", batch_statistics="per-client")
    before = everything(made)
    bad = task_of(framework, 2)
    bad.images[3, 1, 0, 3, 4] = torch.nan
    assert get(framework).train(made, bad) is False
    assert_same(everything(made), before)
    assert get(framework).train(made, task_of(framework, 3))


@pytest.mark.parametrize("framework", ["centralised", "psl", "psl-drop", "epsl", "epsl-pt", "hierarchical"])
def test_where_nobody_has_stepped_yet_optimisers_keep_their_memory(framework: str) -> None:
    spoilt, other = prepared(framework, "norm"), prepared(framework, "norm")
    bad = task_of(framework, 2)
    bad.images[3, 1, 0, 3, 4] = torch.nan
    assert get(framework).train(spoilt, bad) is False
    for made in (spoilt, other):
        assert get(framework).train(made, task_of(framework, 3))
    assert_same(everything(spoilt), everything(other))


@pytest.mark.parametrize("framework", ["fl", "sl", "sfl-v1", "sfl-v2", "cpsl"])
def test_where_somebody_has_stepped_who_took_part_begins_anew(framework: str) -> None:
    """And only they: the others' optimisers, which were not touched, remember."""
    spoilt, fresh = prepared(framework, "norm"), prepared(framework, "norm")
    who = (0, 2, 3)
    bad = task_of(framework, 2, who)
    bad.images[2, 1, 0, 3, 4] = torch.nan
    assert get(framework).train(spoilt, bad) is False
    kept = fresh.clients[1].optimizer.state_dict()["state"]
    assert kept
    for place, value in spoilt.clients[1].optimizer.state_dict()["state"].items():
        assert torch.equal(value["momentum_buffer"], kept[place]["momentum_buffer"])
    for i in who:
        for node in (fresh.clients[i], fresh.server_of(i)):
            node.optimizer.state.clear()
    for made in (spoilt, fresh):
        for seed in (3, 4):
            assert get(framework).train(made, task_of(framework, seed))
    assert_same(everything(spoilt), everything(fresh))
