"""A learner that is saved and loaded goes on to the bit, with every framework."""

import io
from typing import Any

import pytest
import torch
from drawn import drawn
from small_learners import SCHEDULE, assert_equal_outcomes, assert_same, memories, play, scenario, weights

from splitgym.frameworks import names
from splitgym.learning import Learner
from splitgym.scenario import Scenario

ROUNDS = len(SCHEDULE)


def through_a_file(learner: Learner) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(learner.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_goes_on(settings: Scenario, framework: str, saved_after: int, rounds: int = ROUNDS) -> None:
    learner = Learner(settings, framework, 3, "cpu")
    play(learner, range(saved_after))
    state = through_a_file(learner)
    loaded = Learner(settings, framework, 3, "cpu")
    loaded.load_state_dict(state)
    assert_equal_outcomes(learner.outcome, loaded.outcome)
    assert_same(weights(learner), weights(loaded))
    assert_same(memories(learner), memories(loaded))
    for step in range(saved_after, saved_after + rounds):
        assert_equal_outcomes(play(learner, [step])[0], play(loaded, [step])[0])
        assert_same(weights(learner), weights(loaded))
        assert_same(memories(learner), memories(loaded))


@pytest.mark.parametrize(("framework", "saved_after", "optimizer"), drawn(33, names(), [0, 2, 5], ["sgd", "adam"]))
def test_a_saved_learner_goes_on_to_the_bit(framework: str, saved_after: int, optimizer: str) -> None:
    """Also before the first round, between two moves of the cut, and with clients that have not followed it."""
    assert_goes_on(scenario(training={"optimizer": optimizer}), framework, saved_after)


@pytest.mark.parametrize("framework", ["epsl", "sfl-v1", "fl", "cpsl"])
def test_also_with_convolutions_and_their_memory_format(framework: str) -> None:
    assert_goes_on(scenario(task={"model": "cnn"}), framework, 3, 3)


@pytest.mark.parametrize("framework", ["psl", "sl", "centralised"])
def test_also_with_a_schedule_of_learning_rates_and_rare_evaluation(framework: str) -> None:
    cycle = {"learning_rate_schedule": "one-cycle", "schedule_rounds": 12}
    assert_goes_on(scenario(training=cycle, task={"evaluate_every": 3}), framework, 4)


@pytest.mark.parametrize("fields", [{"switch_round": 3}, {"plateau_rounds": 1}], ids=str)
def test_the_phased_schedule_keeps_its_switch(fields: dict[str, object]) -> None:
    settings = scenario(training={**fields, "client_learning_rate": 1e-6, "server_learning_rate": 1e-6})
    learner = Learner(settings, "epsl-pt", 3, "cpu")
    prescribed = []
    for step in range(ROUNDS):
        loaded = Learner(settings, "epsl-pt", 3, "cpu")
        loaded.load_state_dict(through_a_file(learner))
        assert loaded.prescribed_ratio == learner.prescribed_ratio == learner.outcome.prescribed_ratio
        prescribed.append(learner.prescribed_ratio)
        play(learner, [step])
    assert prescribed[0] == 1
    assert prescribed[-1] == 0


@pytest.mark.parametrize("framework", names())
def test_a_learner_that_went_another_way_comes_back(framework: str) -> None:
    """It had held other units, and its optimisers remember other things."""
    settings = scenario()
    learner, other = Learner(settings, framework, 3, "cpu"), Learner(settings, framework, 3, "cpu")
    play(learner, [0, 1])
    state = through_a_file(learner)
    play(other, [3, 0, 5])
    other.load_state_dict(state)
    for step in (2, 3, 4, 5):
        assert_equal_outcomes(play(learner, [step])[0], play(other, [step])[0])
    assert_same(weights(learner), weights(other))
    assert_same(memories(learner), memories(other))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("framework", ["epsl", "sl", "sfl-v1"])
def test_a_state_that_was_never_in_a_file_stays_as_it_was(framework: str, optimizer: str) -> None:
    """Going on does not write into it, and two learners that loaded it do not write into each other."""
    settings = scenario(training={"optimizer": optimizer})
    learner = Learner(settings, framework, 3, "cpu")
    play(learner, [0, 1])
    state, expected = learner.state_dict(), weights(learner)
    others = [Learner(settings, framework, 3, "cpu") for _ in range(2)]
    play(learner, [2, 3])
    for other in others:
        other.load_state_dict(state)
        assert_same(weights(other), expected)
    ends = [[*play(other, [2, 3, 5]), weights(other)] for other in others]
    assert_same(ends[0][-1], ends[1][-1])


def test_what_is_saved_is_tensors_and_plain_values() -> None:
    learner = Learner(scenario(), "epsl", 3, "cpu")
    play(learner, [0, 1])

    def check(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert type(key) in {str, int}
                check(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                check(inner)
        else:
            assert value is None or type(value) in {int, float, bool, str, torch.Tensor}, type(value)

    check(through_a_file(learner))
