"""Learners with codecs: what is saved, and that accuracy is that of the network behind each client's codec."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import drawn
from small_learners import CLIENTS, assert_equal_outcomes, assert_same, decision, memories, scenario, weights
from torch import Tensor

from splitgym.frameworks import codec
from splitgym.learning import Learner
from splitgym.types import Decision

CODECS = ("none", "uniform-2", "random-top-k:0.1", "c3:4")
OPEN = {"codecs": CODECS, "codec": "by-client"}
ROUNDS = (
    decision((0, 1, 2, 3, 4), 1),
    replace(decision((1, 3, 4), 2), codec=np.array([0, 1, 1, 2, 3])),
    replace(decision((0, 2), 2), codec=1),
    replace(decision((0, 1, 2, 3, 4), 1), codec=np.array([3, 2, 1, 0, 1])),
)


def learner(framework: str, model: str = "mlp", seed: int = 3) -> Learner:
    return Learner(scenario(plan=OPEN, task={"model": model}), framework, seed, "cpu")


@pytest.mark.parametrize(
    ("framework", "model", "saved_after"),
    drawn(9, ["epsl", "psl", "sl", "sfl-v2", "cpsl", "hierarchical"], ["mlp", "cnn"], [0, 2, 3]),
)
def test_a_saved_learner_goes_on_to_the_bit(framework: str, model: str, saved_after: int) -> None:
    """Also with what is drawn for random rounding, and with codecs of clients that have taken part no more."""
    one, other = learner(framework, model), learner(framework, model)
    for each in ROUNDS[:saved_after]:
        one.round(each)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.nodes.codecs == one.nodes.codecs
    for each in (*ROUNDS[saved_after:], replace(decision((2,), 1), codec=2)):
        assert_equal_outcomes(one.round(each), other.round(each))
        assert_same(weights(one), weights(other))
        assert_same(memories(one), memories(other))


@pytest.mark.parametrize(
    ("framework", "model"), drawn(8, ["epsl", "psl", "sl", "sfl-v1", "cpsl", "hierarchical"], ["mlp", "cnn"])
)
def test_accuracy_is_measured_behind_the_codec_that_a_client_used_last(framework: str, model: str) -> None:
    made = learner(framework, model)
    used = np.zeros(CLIENTS, np.int64)
    for each in ROUNDS:
        used = np.where(each.selected, each.codec, used)
        found = made.round(each).client_accuracy
        expected = [_accuracy(made, i, CODECS[used[i]]) for i in range(CLIENTS)]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_where_it_is_measured_matters() -> None:
    """Guards the test above."""
    made = learner("psl", "cnn")
    for _ in range(20):
        made.round(replace(decision(cut=1), codec=1))
    assert any(_accuracy(made, i, "uniform-2") != _accuracy(made, i, "none") for i in range(CLIENTS))


def _accuracy(made: Learner, client: int, name: str) -> float:
    """Mini-batches of 128 test images, of which there are 40: one payload, packed without chance."""
    nodes, chosen = made.nodes, codec(name)
    x: Tensor = made.evaluator._images
    with torch.no_grad():
        for unit in nodes.clients[client].units:
            x = unit(x)
        x = chosen.decode(chosen.encode(x).payload, x.shape).smashed
        for unit in nodes.server.units[len(nodes.clients[client].units) :]:
            x = unit(x)
    return float((x.argmax(1) == made.evaluator._labels).double().mean())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codec": 4}, "Decision.codec = 4, allowed: 0..3"),
        ({"codec": 1.0}, "Decision.codec = 1.0, allowed: whole numbers"),
        ({"codec": np.array([0, 1])}, r"Decision.codec has shape \(2,\)"),
        ({"codec": np.array([0, 1, 1, 1, 1]), "aggregation_ratio": 0.5}, "allowed: one for all with aggregation_ratio"),
        ({"codec": 2, "aggregation_ratio": 0.5}, "Decision.codec = 2, allowed with aggregation_ratio > 0"),
    ],
)
def test_decisions_that_do_not_fit(wrong: dict[str, object], message: str) -> None:
    made = learner("epsl")
    before = weights(made)
    bad: Decision = replace(decision(), **wrong)
    with pytest.raises(ValueError, match=message):
        made.round(bad)
    assert_same(before, weights(made))
