"""The learner: who trains on what, what the outcome says, and that everything can be repeated."""

import copy
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from splitgym import data
from splitgym.frameworks import Framework, get
from splitgym.frameworks.nodes import Nodes
from splitgym.frameworks.round_batch import RoundBatch
from splitgym.learning import Learner
from splitgym.scenario import Scenario, build
from splitgym.types import Decision, RoundOutcome

torch.set_num_threads(1)


def scenario(clients: int = 3, **sections: dict[str, object]) -> Scenario:
    """Digits with few samples and the small multi-layer perceptron, non-IID."""
    fields = {
        "clients": {"count": clients},
        "task": {"partition": "dirichlet", "dirichlet_alpha": 0.5, "train_samples": 240, "evaluation_samples": 90},
        "training": {"momentum": 0.9},
    }
    for name, section in sections.items():
        fields[name] = {**fields.get(name, {}), **section}
    return build("toy", fields)


def decision(selected: object = (1, 1, 1), cut: int = 1, phi: float = 0.5) -> Decision:
    """Of this a learner reads cut layer, selection and aggregation ratio."""
    return Decision(cut, np.zeros(2, np.int64), np.zeros(2), np.array(selected, bool), phi)


def weights(learner: Learner) -> list[torch.Tensor]:
    made = learner.nodes
    units = [*(u for client in made.clients for u in client.units), *made.server.units[made.cut_layer :]]
    return [value.clone() for unit in units for value in unit.state_dict().values()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def assert_equal_outcomes(one: RoundOutcome, other: RoundOutcome) -> None:
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


SCHEDULE = [
    decision((1, 1, 0), 1, 0.5),
    decision((0, 1, 1), 2, 1.0),
    decision((1, 1, 1), 2, 0.0),
    decision((1, 0, 0), 1, 0.25),
    decision((0, 0, 0), 2, 0.25),
    decision((0, 1, 1), 1, 0.5),
    decision((1, 0, 1), 2, 0.75),
]


class Spy:
    """EPSL that notes its round_batches, and the nodes before each."""

    def __init__(self) -> None:
        self.round_batches: list[RoundBatch] = []
        self.before: list[Nodes] = []
        epsl = get("epsl")
        self.framework = Framework("spy", epsl.phases, self._train, aggregates=True)

    def _train(self, nodes: Nodes, round_batch: RoundBatch) -> bool:
        self.before.append(copy.deepcopy(nodes))
        trained = get("epsl").train(nodes, round_batch)
        self.round_batches.append(round_batch)
        return trained


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_psl_and_epsl_without_aggregation_agree_to_the_bit(model: str) -> None:
    psl, epsl = (Learner(scenario(task={"model": model}), name, 3, "cpu") for name in ("psl", "epsl"))
    for one in SCHEDULE:
        assert_equal_outcomes(*(learner.round(replace(one, aggregation_ratio=0.0)) for learner in (psl, epsl)))
    assert same(weights(psl), weights(epsl))


def test_the_same_seed_repeats_everything_and_another_does_not() -> None:
    one, two, other = (Learner(scenario(), "epsl", seed, "cpu") for seed in (5, 5, 6))
    assert_equal_outcomes(one.outcome, two.outcome)
    for step in SCHEDULE:
        assert_equal_outcomes(one.round(step), two.round(step))
        other.round(step)
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))
    assert not np.array_equal(one.data_share, other.data_share)


def test_nothing_depends_on_the_global_generators() -> None:
    torch.manual_seed(1)
    one = Learner(scenario(), "epsl", 5, "cpu")
    one.round(SCHEDULE[0])
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002
    two = Learner(scenario(), "epsl", 5, "cpu")
    two.round(SCHEDULE[0])
    assert same(weights(one), weights(two))


def test_a_pickled_learner_goes_on_as_the_original() -> None:
    learner = Learner(scenario(), "epsl", 0, "cpu")
    for step in SCHEDULE[:3]:
        learner.round(step)
    kept = pickle.loads(pickle.dumps(learner))
    deep = copy.deepcopy(learner)
    for step in SCHEDULE[3:]:
        outcome = learner.round(step)
        assert_equal_outcomes(outcome, kept.round(step))
        assert_equal_outcomes(outcome, deep.round(step))
    assert same(weights(learner), weights(kept))
    assert same(weights(learner), weights(deep))


def test_exercise_and_losses_are_of_those_who_take_part() -> None:
    spy = Spy()
    learner = Learner(scenario(), spy.framework, 1, "cpu")
    share, known = learner.data_share, learner.outcome.client_loss
    assert share.sum() == pytest.approx(1)
    assert len(set(share)) > 1
    assert known == pytest.approx([math.log(10)] * 3)
    for step in [SCHEDULE[i] for i in (0, 1, 2, 3, 5)]:
        outcome = learner.round(step)
        round_batch, before = spy.round_batches[-1], spy.before[-1]
        who = np.flatnonzero(step.selected)
        assert round_batch.participants == tuple(who)
        lambdas = share[who] / share[who].sum()
        np.testing.assert_allclose(round_batch.weights, lambdas, rtol=1e-6)
        assert round_batch.aggregated_rows == math.ceil(step.aggregation_ratio * 8)
        losses = []
        for i, x, y in zip(who, round_batch.images, round_batch.labels, strict=True):
            net = nn.Sequential(*before.clients[i].units, *before.server.units[before.cut_layer :])
            losses.append(F.cross_entropy(net(x), y).item())
        expected = known.copy()
        expected[who] = losses
        np.testing.assert_allclose(outcome.client_loss, expected, rtol=1e-5)
        assert outcome.loss == pytest.approx(lambdas @ losses, rel=1e-5)
        known = outcome.client_loss
        assert (outcome.trained, outcome.finite, outcome.cut_layer) == (True, True, step.cut_layer)


def test_every_client_sees_all_of_its_own_data_once_before_any_of_it_again() -> None:
    spy = Spy()
    learner = Learner(scenario(task={"partition": "iid"}), spy.framework, 1, "cpu")
    assert learner.data_share == pytest.approx([1 / 3] * 3)  # 80 samples each, ten mini-batches of 8
    for _ in range(20):
        learner.round(decision())
    for client in range(3):
        seen = [image.numpy().tobytes() for e in spy.round_batches for image in e.images[client]]
        first, second = seen[:80], seen[80:]
        assert len(set(first)) == 80
        assert set(first) == set(second)
        assert first != second
    others = [{i.numpy().tobytes() for e in spy.round_batches for i in e.images[client]} for client in range(3)]
    assert not others[0] & others[1]


def test_who_does_not_take_part_neither_trains_nor_draws() -> None:
    spies = Spy(), Spy()
    one, other = (Learner(scenario(), spy.framework, 1, "cpu") for spy in spies)
    one.round(decision())
    other.round(decision())
    units = [value.clone() for unit in one.nodes.clients[1].units for value in unit.state_dict().values()]
    for _ in range(3):
        one.round(decision((1, 0, 1)))
    assert same(units, [v for unit in one.nodes.clients[1].units for v in unit.state_dict().values()])
    one.round(decision())
    other.round(decision())
    torch.testing.assert_close(
        spies[0].round_batches[-1].images[1], spies[1].round_batches[-1].images[1], rtol=0, atol=0
    )


def plain_accuracy(learner: Learner, test: data.Dataset, samples: int) -> list[float]:
    made, accuracy = learner.nodes, []
    for client in made.clients:
        net = nn.Sequential(*copy.deepcopy([*client.units, *made.server.units[len(client.units) :]])).eval()
        with torch.no_grad():
            predicted = torch.stack([net(torch.from_numpy(x[None]))[0].argmax() for x in test.test_images[:samples]])
        accuracy.append(float(np.mean(predicted.numpy() == test.test_labels[:samples])))
    return accuracy


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_accuracy_is_that_of_each_clients_composed_network(model: str) -> None:
    """Also of clients that are behind a cut that has moved, and whose activations are kept between evaluations."""
    learner = Learner(scenario(task={"model": model}), "epsl", 4, "cpu")
    test = data.load("digits", np.random.default_rng(4), test_fraction=0.2, train_samples=240)
    outcomes = [learner.outcome]
    for step in SCHEDULE + SCHEDULE:
        outcomes.append(learner.round(step))
        expected = plain_accuracy(learner, test, 90)
        np.testing.assert_allclose(outcomes[-1].client_accuracy, expected, atol=1e-12)
        assert outcomes[-1].accuracy == pytest.approx(learner.data_share @ expected)
        assert outcomes[-1].worst_accuracy == pytest.approx(min(expected))
        assert outcomes[-1].evaluation_samples == 90
    assert len({outcome.accuracy for outcome in outcomes}) > 3


def test_absent_evaluation_samples_mean_the_whole_test_set() -> None:
    fields = scenario().model_dump()
    fields["task"]["evaluation_samples"] = None
    assert Learner(build(fields), "epsl", 0, "cpu").outcome.evaluation_samples == pytest.approx(1797 * 0.2, abs=5)


def test_between_evaluations_the_last_accuracy_stands() -> None:
    learner = Learner(scenario(task={"evaluate_every": 3}), "epsl", 0, "cpu")
    always = Learner(scenario(), "epsl", 0, "cpu")
    assert learner.outcome.evaluated
    last = learner.outcome
    for number, step in enumerate(SCHEDULE + SCHEDULE, start=1):
        outcome, measured = learner.round(step), always.round(step)
        assert outcome.evaluated == (number % 3 == 0)
        assert measured.evaluated
        expected = measured if outcome.evaluated else last
        np.testing.assert_array_equal(outcome.client_accuracy, expected.client_accuracy)
        assert outcome.loss == measured.loss
        last = outcome


def test_with_nobody_selected_nothing_changes() -> None:
    learner = Learner(scenario(), "epsl", 0, "cpu")
    learner.round(decision())
    before, outcome = weights(learner), learner.outcome
    after = learner.round(decision((0, 0, 0), cut=2))
    assert same(weights(learner), before)
    assert (after.trained, after.finite) == (False, True)
    assert after.cut_layer == 1
    assert after.client_cut_layer.tolist() == [1, 1, 1]
    assert (after.accuracy, after.loss) == (outcome.accuracy, outcome.loss)
    np.testing.assert_array_equal(after.client_loss, outcome.client_loss)


def test_before_the_first_round_there_is_no_cut() -> None:
    learner = Learner(scenario(), "epsl", 0, "cpu")
    for _ in range(2):
        assert (learner.outcome.cut_layer, learner.outcome.trained) == (0, False)
        assert learner.outcome.client_cut_layer.tolist() == [0, 0, 0]
        learner.round(decision((0, 0, 0), cut=2))


def test_a_round_that_is_not_finite_leaves_the_models_and_says_so() -> None:
    rates = {"client_learning_rate": 1e25, "server_learning_rate": 1e25}
    learner = Learner(scenario(training=rates), "epsl", 0, "cpu")
    for _ in range(5):
        before, last = weights(learner), learner.outcome
        outcome = learner.round(decision())
        if not outcome.finite:
            break
    assert (outcome.trained, outcome.finite) == (False, False)
    assert same(weights(learner), before)
    np.testing.assert_array_equal(outcome.client_loss, last.client_loss)
    assert outcome.loss == last.loss
    assert np.isfinite(outcome.accuracy)


@pytest.mark.parametrize(
    ("framework", "wrong", "named"),
    [
        ("epsl", decision(cut=0), "cut_layer"),
        ("epsl", decision(cut=3), "cut_layer"),
        ("epsl", decision((1, 1)), "selected"),
        ("epsl", decision(phi=1.01), "aggregation_ratio"),
        ("epsl", decision(phi=-0.1), "aggregation_ratio"),
        ("epsl", decision(phi=math.nan), "aggregation_ratio"),
        ("psl", decision(phi=0.5), "aggregation_ratio"),
    ],
)
def test_a_decision_that_does_not_fit_is_refused_and_changes_nothing(
    framework: str, wrong: Decision, named: str
) -> None:
    learner = Learner(scenario(), framework, 0, "cpu")
    before = weights(learner)
    with pytest.raises(ValueError, match=named):
        learner.round(wrong)
    assert same(weights(learner), before)
    assert learner.outcome.cut_layer == 0


def test_outcomes_of_the_past_stay_as_they_were() -> None:
    learner = Learner(scenario(), "epsl", 0, "cpu")
    outcomes, copies = [learner.outcome], [copy.deepcopy(learner.outcome)]
    for step in SCHEDULE:
        outcomes.append(learner.round(step))
        copies.append(copy.deepcopy(outcomes[-1]))
    for outcome, kept in zip(outcomes, copies, strict=True):
        assert_equal_outcomes(outcome, kept)
