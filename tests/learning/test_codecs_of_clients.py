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


def learner(framework: str, model: str = "mlp", seed: int = 3, samples: int = 40) -> Learner:
    task = {"model": model, "evaluation_samples": samples}
    return Learner(scenario(plan=OPEN, task=task), framework, seed, "cpu")


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
    made = learner(framework, model, samples=150)
    used = np.zeros(CLIENTS, np.int64)
    for each in ROUNDS:
        used = np.where(each.selected, each.codec, used)
        found = made.round(each).client_accuracy
        expected = [_accuracy(made, i, CODECS[used[i]]) for i in range(CLIENTS)]
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["uniform-2", "c3:4"])
def test_accuracy_does_not_depend_on_how_many_samples_are_in_a_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for pixels in (64, 2**12, 2**20):
        monkeypatch.setattr("splitgym.learning.accuracy.PIXELS_AT_ONCE", {"cpu": pixels})
        made = learner("psl", "cnn", samples=300)
        for _ in range(5):
            outcome = made.round(replace(decision(cut=1), codec=CODECS.index(name)))
        found.append(outcome.client_accuracy.tolist())
    assert found[0] == found[1] == found[2]


def test_where_it_is_measured_matters() -> None:
    """Guards the test above."""
    made = learner("psl", "cnn")
    for _ in range(20):
        made.round(replace(decision(cut=1), codec=1))
    assert any(_accuracy(made, i, "uniform-2") != _accuracy(made, i, "none") for i in range(CLIENTS))


def _accuracy(made: Learner, client: int, name: str) -> float:
    """Test images are encoded 128 at a time, without chance."""
    nodes, chosen = made.nodes, codec(name)
    x: Tensor = made.evaluator._images
    with torch.no_grad():
        for unit in nodes.clients[client].units:
            x = unit(x)
        x = torch.cat([chosen.decode(chosen.encode(part).payload, part.shape).smashed for part in x.split(128)])
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
