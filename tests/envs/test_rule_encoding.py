"""`action="rule"`: a number means what a rule by hand decides; ids that need no argument; Python's phrase."""

import gymnasium as gym
import numpy as np
import pytest

import splitgym
from splitgym import schedulers
from splitgym.scenario import ScenarioError
from splitgym.types import Decision

RULES = ("round-robin-k", "fastest-k", "highest-loss-k", "loss-per-second-k")


def made(action="rule", **options):
    env = gym.make("SplitLearning-v0", **{"scenario": "toy", "learner": "surrogate", "action": action, **options})
    env.reset(seed=3)
    return env


def same(one: Decision, other: Decision) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("cut_layer", "assignment", "power_w_per_hz", "selected", "aggregation_ratio")
    )


@pytest.mark.parametrize("options", [{}, {"scenario": "iot"}, {"framework": "psl"}])
def test_a_number_is_what_the_rule_decides_by_hand(options):
    """Independent: the schedulers of these names, which the encoding does not use; loops count the numbers."""
    env = made(**options)
    world = env.unwrapped
    clients, number = world.scenario.clients.count, 0
    for rule in RULES:
        for k in range(1, clients + 1):
            for cut in range(1, world.cut_layers + 1):
                if number % 5 == 0:
                    expected = schedulers.make(rule, env, k=k, cut_layer=cut).decide(world.state)
                    assert same(world.decode(number), expected), (rule, k, cut)
                number += 1
    assert env.action_space == gym.spaces.Discrete(number)
    assert type(env.action_space.sample()) is np.int64


def test_the_vector_environment_decides_the_same():
    options = {"scenario": "toy", "learner": "surrogate", "action": "rule"}
    envs, single = gym.make_vec("SplitLearning-v0", 3, "vector_entry_point", **options), made()
    envs.reset(seed=3)
    assert envs.action_space.shape == (3,)
    for number in (0, 7, single.action_space.n - 1):
        found = envs.step(np.array([number, 1, 2]))
        alone = single.step(number)
        assert np.array_equal(found[0][0], alone[0])
        assert found[1][0] == alone[1]


def test_an_action_of_a_decision_of_its_own_is_itself():
    world = made().unwrapped
    for number in (0, 5, 11):
        again = world.decode(world.encode(world.decode(number)))
        assert np.array_equal(again.selected, world.decode(number).selected)
        assert again.cut_layer == world.decode(number).cut_layer


def test_masks_leave_out_numbers_of_clients_that_nobody_can_fill():
    env = made(clients={"dropout_probability": 0.5})
    world = env.unwrapped
    for _ in range(5):
        able = max(int(world.state.available.sum()), 1)
        shape = (len(RULES), world.scenario.clients.count, world.cut_layers)
        expected = [k < able for _, k, _ in np.ndindex(*shape)]
        assert world.action_masks().tolist() == expected
        *_, terminated, truncated, _ = env.step(0)
        if terminated or truncated:
            break


def test_private_labels_leave_rules_that_read_none():
    env = made(framework="u-shaped", learner="train", scenario="hospitals", task={"dataset": "digits", "model": "cnn"})
    assert env.unwrapped.codec().rules == RULES[:2]


@pytest.mark.parametrize("wrong", [-1, 10_000, 0.0, [0], None])
def test_a_number_that_is_none_of_the_space_is_refused(wrong):
    with pytest.raises(ValueError, match="not in the action space"):
        made().step(wrong)


def test_every_id_can_be_made_from_itself_alone():
    ids = [name for name in gym.registry if name.startswith("SplitLearning-") and "surrogate" in name]
    assert len(ids) == len(splitgym.CALIBRATED) * len(splitgym.ENCODINGS)
    for name in ids[::3]:
        env = gym.make(f"splitgym:{name}")
        env.reset(seed=0)
        assert env.observation_space.contains(env.step(env.action_space.sample())[0])
        assert f"SplitLearning-{env.unwrapped.scenario.name}-surrogate" in name


def test_an_unknown_argument_is_refused_in_the_phrase_of_python_and_by_the_scenario_error():
    phrase = "got an unexpected keyword argument 'frameskip'"
    for error in (TypeError, ScenarioError):
        with pytest.raises(error, match=phrase):
            gym.make("SplitLearning-v0", frameskip=4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'scenari', did you mean 'scenario'"):
        gym.make_vec("SplitLearning-v0", 2, "vector_entry_point", scenari="toy")
