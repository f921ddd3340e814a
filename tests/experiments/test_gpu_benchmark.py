"""The check of a GPU: it runs on a processor as well, says what is not right, and what is missing."""

import sys

import numpy as np
import pytest

from experiments.benchmarks import gpu
from experiments.benchmarks.gpu import Task, goes_on_after_restoring, main, same_on_both, write_random_images
from experiments.running import history, provenance, stale
from splitgym import data
from splitgym.inputs import InputError
from splitgym.learning import Learner

SMALL = Task("cnn", "digits", 4)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--quick", "--device", "cpu", "--out", str(tmp_path)])
    return tmp_path


def test_the_short_form_writes_checks_and_times(quick):
    main()
    text = (quick / "gpu.md").read_text(encoding="utf-8")
    assert text.count(": yes.") == len(gpu.CHECKS) == 2
    rows = (quick / "gpu.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["2", "0"], ["2", "1"], ["3", "0"], ["3", "1"]]
    made_by = provenance.saved(quick)
    assert made_by["experiment"] == "benchmarks.gpu"
    assert made_by["command"] == f"python -m experiments benchmarks.gpu --quick --device cpu --out {quick}"
    assert made_by["settings"] == {"device": "cpu", "clients": [2, 3], "batch": 4, "rounds": 2, "quick": True}
    assert [result.reason for result in stale.results(quick, history.tree_of_project())] == [""]
    for row in rows[1:]:
        _, _, round_s, rows_per_s, *_ = row.split(",")
        assert float(rows_per_s) * float(round_s) == pytest.approx(4 * int(row[0]), rel=1e-3)


class OtherWeights(Task):
    """On the second device a learner begins with other weights."""

    made = 0

    def learner(self, clients, device, evaluate_every=1):
        OtherWeights.made += 1
        return Learner(self.scenario(clients, evaluate_every), "epsl", OtherWeights.made, device)


def test_another_start_is_no_chance():
    assert same_on_both(SMALL, "cpu") == ""
    assert "losses of the first round are" in same_on_both(OtherWeights("cnn", "digits", 4), "cpu")


def test_accuracies_that_part_are_no_chance(monkeypatch):
    rounds = iter(range(100))

    def train(self, learner, ratio=0.5):
        outcome = Task.train(self, learner, ratio)
        number, device = divmod(next(rounds), 2)
        accuracy = 0.5 + 0.2 * device * (number == 1)
        object.__setattr__(outcome, "accuracy", accuracy)
        return outcome

    wrong = type("Wrong", (Task,), {"train": train})("cnn", "digits", 4)
    assert "accuracy after 2 rounds is 0.7000 on cpu, 0.5000 on the cpu" in same_on_both(wrong, "cpu")


def test_a_state_that_is_not_restored_is_said_and_ends_with_status_1(quick, monkeypatch):
    assert goes_on_after_restoring(SMALL, "cpu") == ""
    monkeypatch.setattr(Learner, "load_state_dict", lambda self, state: None)
    assert "client_loss of round 2 is" in goes_on_after_restoring(SMALL, "cpu")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "without restoring" in (quick / "gpu.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda:99"], "device = 'cuda:99' is not there"),
        (["--device", "gpu"], "device = 'gpu' is not there"),
        (["--device", "cpu", "--clients", "5", "0"], "--clients 5 0, allowed: numbers of 1 or more"),
        (["--device", "cpu", "--rounds", "0"], "--rounds 0, allowed: 1 or more"),
    ],
)
def test_what_is_missing_or_not_allowed_is_one_line(arguments, message, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", *arguments])
    with pytest.raises(InputError, match=message) as refused:
        main()
    assert len(str(refused.value).splitlines()) == 1


def test_random_images_have_the_shape_of_the_data_that_they_stand_for(tmp_path):
    write_random_images(tmp_path / "random.npz")
    assert data.dimensions(str(tmp_path / "random.npz")) == data.dimensions("ham10000")
    loaded = data.load(str(tmp_path / "random.npz"), np.random.default_rng(0))
    assert len(loaded.train_labels) + len(loaded.test_labels) == gpu.IMAGES
