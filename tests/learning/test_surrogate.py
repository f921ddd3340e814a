"""The surrogate learner: what it says before and after rounds, and worlds that do not hear of each other."""

import math
from dataclasses import fields

import numpy as np
import pytest

from splitgym.frameworks import get
from splitgym.learning.surrogate import Surrogate
from splitgym.random import Streams
from splitgym.scenario import Scenario, build
from splitgym.types import Decision, RoundOutcome


def surrogate(worlds: int = 3, clients: int | None = None, scenario: Scenario | str = "iot", framework: str = "epsl"):
    scenario = build(scenario)
    made = Played(scenario, framework, worlds)
    made.next_episodes(range(worlds), [clients or scenario.clients.count] * worlds)
    return made


class Played(Surrogate):
    """With streams of its own, world i seeded with `first_seed` + i."""

    def __init__(self, scenario: Scenario | str, framework: str, worlds: int, first_seed: int = 0) -> None:
        super().__init__(build(scenario), get(framework), worlds)
        self.alpha, self.streams = build(scenario).task.dirichlet_alpha, Streams.empty(worlds)
        self.generators = [np.random.default_rng(first_seed + i) for i in range(worlds)]

    def next_episodes(self, which, clients) -> None:
        """Next episodes in these worlds, with so many clients each."""
        which = np.array(which)
        own = [self.generators[i] for i in which]
        self.streams.begin_episodes(which, own)
        self.reset(which, own, self.streams, np.array(clients), np.full(len(which), self.alpha))

    def play(self, selected, cut: int = 1, phi: float = 0.0) -> None:
        """One round, alike in all worlds."""
        selected = np.broadcast_to(np.asarray(selected, bool), self.data_share.shape).copy()
        self.streams.round[:] += 1
        worlds, nothing = len(selected), np.full((len(selected), 1), -1)
        decision = Decision(np.full(worlds, cut), nothing, np.zeros((worlds, 1)), selected, np.full(worlds, phi))
        self.round(decision, selected, self.streams)


def contents(outcome: RoundOutcome) -> dict[str, np.ndarray]:
    return {field.name: getattr(outcome, field.name).copy() for field in fields(outcome)}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], ours=slice(None), theirs=slice(None)) -> None:
    for name in one:
        np.testing.assert_array_equal(one[name][ours], other[name][theirs], err_msg=name)


def test_before_the_first_round_all_guess():
    made = surrogate(worlds=50)
    assert made.outcome.accuracy.mean() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_array_equal(made.outcome.loss, math.log(10))
    np.testing.assert_array_equal(made.outcome.client_loss, math.log(10))
    np.testing.assert_array_equal(made.outcome.client_accuracy, made.outcome.accuracy[:, None] * np.ones(8))
    np.testing.assert_allclose(made.data_share.sum(1), 1)
    assert made.outcome.evaluated.all()
    assert not made.outcome.cut_layer.any()
    assert not made.outcome.client_cut_layer.any()
    assert np.isnan(made.outcome.prescribed_ratio).all()


def test_a_round_changes_the_losses_of_those_who_took_part():
    made = surrogate()
    made.play([1, 1, 0, 0, 0, 0, 0, 0])
    assert np.all(made.outcome.client_loss[:, :2] != math.log(10))
    np.testing.assert_array_equal(made.outcome.client_loss[:, 2:], math.log(10))
    weight = made.data_share[:, :2] / made.data_share[:, :2].sum(1, keepdims=True)
    np.testing.assert_allclose(made.outcome.loss, (weight * made.outcome.client_loss[:, :2]).sum(1))
    assert made.outcome.trained.all()
    before = made.outcome.loss.copy()
    made.play(np.zeros(8))
    assert not made.outcome.trained.any()
    np.testing.assert_array_equal(made.outcome.loss, before)


def test_accuracy_is_a_mean_of_measurements():
    made = surrogate(worlds=20, clients=5)
    for _ in range(40):
        made.play([1, 1, 1, 1, 1, 0, 0, 0])
    measured = made.outcome.client_accuracy[:, :5] * made.outcome.evaluation_samples[0]
    np.testing.assert_allclose(measured, np.rint(measured), atol=1e-9)
    np.testing.assert_allclose(made.outcome.accuracy, (made.outcome.client_accuracy * made.data_share).sum(1))
    np.testing.assert_allclose(made.outcome.worst_accuracy, made.outcome.client_accuracy[:, :5].min(1))
    assert (made.outcome.evaluation_samples == 100).all()
    assert made.outcome.accuracy.mean() > 0.4
    np.testing.assert_array_equal(made.data_share[:, 5:], 0)
    np.testing.assert_array_equal(made.outcome.client_cut_layer[:, 5:], 0)


def test_accuracy_is_measured_every_so_many_rounds():
    made = surrogate(scenario=build("iot", {"task": {"evaluate_every": 3}}))
    seen = []
    for _ in range(6):
        made.play(np.ones(8))
        seen.append((bool(made.outcome.evaluated.all()), made.outcome.accuracy.copy()))
    assert [evaluated for evaluated, _ in seen] == [False, False, True, False, False, True]
    np.testing.assert_array_equal(seen[2][1], seen[4][1])


def test_the_outcome_of_the_round_before_is_kept():
    made = surrogate(worlds=4, scenario=build("iot", {"task": {"evaluate_every": 2}}))
    arrays = [made.outcome, made.before]
    assert_same(contents(made.before), contents(made.outcome))
    for selected in (np.ones(8), np.zeros(8), np.arange(8) < 3):
        last = contents(made.outcome)
        made.play(selected, cut=2)
        assert_same(contents(made.before), last)
        assert not np.array_equal(made.outcome.evaluated, made.before.evaluated)
    last = contents(made.before), contents(made.outcome)
    made.next_episodes([2], [8])
    assert_same(contents(made.before), contents(made.outcome), [2], [2])
    others = [0, 1, 3]
    assert_same(contents(made.before), last[0], others, others)
    assert_same(contents(made.outcome), last[1], others, others)
    assert made.outcome is arrays[0]
    assert made.before is arrays[1]


def test_a_reset_world_begins_anew_and_leaves_the_others_alone():
    """Also for clients who were there in the episode before, and are not now."""
    made = surrogate()
    for _ in range(5):
        made.play(np.ones(8))
    before, lasting = contents(made.outcome), made.class_share.copy()
    made.next_episodes([0], [6])
    assert_same(contents(made.outcome), before, [1, 2], [1, 2])
    np.testing.assert_array_equal(made.class_share[1:], lasting[1:])
    fresh = Played("iot", "epsl", 1)
    fresh.generators[0].bit_generator.random_raw()
    fresh.next_episodes([0], [6])
    for _ in range(3):
        assert_same(contents(made.outcome), contents(fresh.outcome), [0])
        np.testing.assert_array_equal(made.data_share[0], fresh.data_share[0])
        np.testing.assert_array_equal(made.class_share[0], fresh.class_share[0])
        assert not made.class_share[0, 6:].any()
        for each in (made, fresh):
            each.play(np.arange(8) < 6, 2, 0.5)


def test_worlds_are_those_of_a_single_learner_to_the_bit():
    many, ones = Played("iot", "epsl", 7), [Played("iot", "epsl", 1, first_seed=key) for key in range(7)]
    clients = np.array([8, 4, 5, 8, 6, 7, 4])
    many.next_episodes(range(7), clients)
    for one, count in zip(ones, clients, strict=True):
        one.next_episodes([0], [count])
    for number in range(12):
        selected = np.random.default_rng(number).random((7, 8)) < 0.6
        selected &= np.arange(8) < clients[:, None]
        many.play(selected, 1 + number % 3, 0.5)
        for world, one in enumerate(ones):
            one.play(selected[world], 1 + number % 3, 0.5)
            assert_same(contents(many.outcome), contents(one.outcome), [world], [0])


@pytest.mark.parametrize("scenario", ["iot", "toy", "epsl"])
def test_data_are_drawn_anew_in_every_episode(scenario):
    """With partition='dirichlet' and 'iid'."""
    made = surrogate(worlds=2, scenario=scenario)
    first, sizes = made.class_share.copy(), made.calibration.train_samples
    np.testing.assert_allclose(first.sum(2), 1)
    # All samples together are those of the task.
    everything = (made.data_share[..., None] * first).sum(1)
    np.testing.assert_allclose(everything, np.tile(sizes / sizes.sum(), (2, 1)), atol=1e-12)
    made.next_episodes([1], [made.class_share.shape[1]])
    np.testing.assert_array_equal(made.class_share[0], first[0])
    assert not np.array_equal(made.class_share[1], first[1])
    assert not np.array_equal(first[0], first[1])


def test_runs_differ_by_what_is_drawn_for_them():
    """Of equal decisions and data that are nearly so, but not by which world it is."""
    made = surrogate(worlds=400, scenario="toy")
    for _ in range(30):
        made.play(np.ones(2))
    accuracy = made.outcome.accuracy
    assert 0.01 < accuracy.std() < 0.2
    assert abs(np.corrcoef(accuracy[:-1], accuracy[1:])[0, 1]) < 0.2
    assert abs(accuracy[:200].mean() - accuracy[200:].mean()) < 5 * accuracy.std() / 10
