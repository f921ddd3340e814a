"""What `reset` takes, and what is said after `close`: of the single, the vector and Stable-Baselines3's environment."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import differences, make

from splitgym.envs import SB3VecEnv, SplitLearningVectorEnv
from splitgym.inputs import InputError
from splitgym.scenario import ScenarioError

SETTINGS = {"scenario": "toy", "action": "schedule", "learner": "surrogate"}
ACTION = np.array([0, 1, 1, 0])
WHOLE = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
NO_SEEDS = [3.0, np.float64(3.0), -1, np.int64(-1), True, np.True_, "3", b"3", {3}, {3: 3}, 3j, np.array(3), object]
"""For one environment."""


def many(count=3):
    return SplitLearningVectorEnv(count, **SETTINGS)


def message(call, *arguments, error=InputError, **options):
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Seeds -------------------------------------------------------------------------------------------------------------


@settings(max_examples=16)
@given(kind=st.sampled_from(WHOLE), seed=st.integers(0, 127))
def test_whole_numbers_of_numpy_are_seeds_like_those_of_python(kind, seed):
    assert not differences(make(**SETTINGS).reset(seed=kind(seed)), make(**SETTINGS).reset(seed=seed))
    ours, expected = many(), many()
    assert not differences(ours.reset(seed=kind(seed)), expected.reset(seed=seed))
    assert ours.np_random_seed == expected.np_random_seed == (seed, seed + 1, seed + 2)
    assert {type(own) for own in ours.np_random_seed} == {int}
    learner, other = SB3VecEnv(3, **SETTINGS), SB3VecEnv(3, **SETTINGS)
    assert learner.seed(kind(seed)) == other.seed(seed)
    np.testing.assert_array_equal(learner.reset(), other.reset())


@settings(max_examples=20)
@given(st.integers(0, 2**200))
def test_seeds_have_no_largest_value(seed):
    single = make(**SETTINGS).reset(seed=seed)[0]
    np.testing.assert_array_equal(many(2).reset(seed=seed)[0][0], single)


@pytest.mark.parametrize("seeds", [[5, 7, 6], (5, 7, 6), np.array([5, 7, 6]), np.array([5, 7, 6], np.uint8)])
def test_sequences_of_any_kind_are_seeds_of_each(seeds):
    observation, _ = many().reset(seed=seeds)
    expected = [make(**SETTINGS).reset(seed=seed)[0] for seed in (5, 7, 6)]
    np.testing.assert_array_equal(observation, expected)
    np.testing.assert_array_equal(many(3).reset(seed=range(5, 8))[0], many(3).reset(seed=5)[0])


@pytest.mark.parametrize("seed", NO_SEEDS, ids=repr)
def test_what_is_no_seed_is_named_with_what_is_allowed(seed):
    for envs in (make(**SETTINGS), many(2)):
        text = message(envs.reset, seed=seed)
        assert text.startswith(f"seed = {seed!r}, allowed: None, or whole numbers from 0")
    envs = SB3VecEnv(2, **SETTINGS)
    assert message(envs.seed, seed).startswith(f"seed = {seed!r}, allowed: ")


@pytest.mark.parametrize("seed", NO_SEEDS, ids=repr)
def test_what_is_no_seed_in_a_sequence_is_named_with_its_place(seed):
    assert message(many(2).reset, seed=[1, seed]).startswith(f"seed[1] = {seed!r}, allowed: ")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([], "seed has 0 values, allowed: one for each of 2 environments"),
        ([1], "seed has 1 values"),
        ((1, 2, 3), "seed has 3 values"),
        (np.arange(3), "seed has 3 values"),
        ("ab", "seed = 'ab', allowed"),
        ({1, 2}, "seed = {1, 2}, allowed"),
        ({0: 1, 1: 2}, "seed = {0: 1, 1: 2}, allowed"),
        (np.zeros((2, 2), int), "seed = array("),
        (np.array([1.0, 2.0]), "seed[0] = np.float64(1.0), allowed"),
        (np.array([True, False]), "seed[0] = np.True_, allowed"),
        ([[1], [2]], "seed[0] = [1], allowed"),
        ([[1], [2, 3]], "seed[0] = [1], allowed"),
    ],
    ids=str,
)
def test_sequences_that_do_not_fit_are_refused(seeds, words):
    envs = many(2)
    assert words in message(envs.reset, seed=seeds)
    assert words in message(envs.reset, seed=seeds, options={"reset_mask": np.ones(2, bool)})


def test_a_seed_that_is_refused_changes_nothing():
    envs, untouched = many(2), many(2)
    envs.reset(seed=1), untouched.reset(seed=1)
    for seed in (-1, [1], [1, -2]):
        message(envs.reset, seed=seed)
    assert not differences(envs.step(np.stack([ACTION] * 2))[:4], untouched.step(np.stack([ACTION] * 2))[:4])


def test_an_environment_goes_on_drawing_without_a_seed():
    env, vector = make(**SETTINGS), many(1)
    first, _ = env.reset(seed=3)
    second, _ = env.reset(seed=None)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(vector.reset(seed=3)[0][0], first)
    np.testing.assert_array_equal(vector.reset(seed=[None])[0][0], second)


def test_an_episode_whose_data_are_gone_has_not_begun(tmp_path):
    path = tmp_path / "own.npz"
    settings = {**SETTINGS, "learner": "train", "task": {"dataset": str(path), "train_samples": None}}
    content = {"images": np.zeros((40, 8, 8), np.uint8), "labels": np.arange(40) % 2, "classes": ["a", "b"]}
    np.savez(path, **content)
    for envs, action in ((make(**settings), ACTION), (SplitLearningVectorEnv(2, **settings), np.stack([ACTION] * 2))):
        for _ in range(2):
            np.savez(path, **content)
            envs.reset(seed=0)
            envs.step(action)
            path.unlink()
            message(envs.reset)
            message(envs.step, action, error=gym.error.ResetNeeded)


# Options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"typo": 1}, {"reset_mask": np.ones(2, bool)}, {3: 4}])
def test_the_single_environment_has_no_options(options):
    text = message(make(**SETTINGS).reset, seed=0, options=options)
    assert text == f"options[{next(iter(options))!r}] is unknown, allowed: none"


@pytest.mark.parametrize("options", [{"typo": 1}, {"reset_mask": np.ones(2, bool), "typo": 1}, {3: 4}])
def test_the_vector_environment_has_one_option(options):
    text = message(many(2).reset, seed=0, options=options)
    assert text.startswith("options[")
    assert text.endswith("is unknown, allowed: 'reset_mask'")


@pytest.mark.parametrize("options", [[1], "typo", 3, {"typo"}, True])
def test_options_are_a_dictionary(options):
    for envs in (make(**SETTINGS), many(2)):
        assert message(envs.reset, options=options).startswith(f"options = {options!r}, allowed: None, or a dictionary")


def test_stable_baselines_can_set_no_options():
    envs = SB3VecEnv(2, **SETTINGS)
    envs.set_options(None), envs.set_options({}), envs.set_options([{}, {}])
    assert message(envs.set_options, {"typo": 1}) == "options['typo'] is unknown, allowed: none"
    assert message(envs.set_options, [{}, {"typo": 1}]) == "options['typo'] is unknown, allowed: none"


@pytest.mark.parametrize("options", [None, {}])
def test_no_options_are_fine(options):
    env, envs = make(**SETTINGS), many(2)
    np.testing.assert_array_equal(env.reset(seed=0, options=options)[0], envs.reset(seed=0, options=options)[0][0])


# Close -------------------------------------------------------------------------------------------------------------


def test_a_closed_environment_says_so_whatever_it_is_asked():
    env = make(render_mode="ansi", **SETTINGS)
    env.reset(seed=0)
    env.close()
    env.close()
    calls = [
        (env.reset, ()),
        (env.step, (ACTION,)),
        (env.render, ()),
        (env.observe, ()),
        (env.action_masks, ()),
        (env.decode, (ACTION,)),
        (env.fork, ()),
        (lambda: env.state, ()),
    ]
    for call, arguments in calls:
        assert message(call, *arguments, error=gym.error.ClosedEnvironmentError).startswith("the environment is closed")


def test_a_closed_vector_environment_says_so_whatever_it_is_asked():
    for threads in (1, 2):
        envs = SplitLearningVectorEnv(3, threads=threads, **SETTINGS)
        envs.reset(seed=0)
        envs.step(np.stack([ACTION] * 3))
        envs.close()
        envs.close()
        for call, arguments in (
            (envs.reset, ()),
            (envs.step, (np.stack([ACTION] * 3),)),
            (envs.render, ()),
            (envs.action_masks, ()),
        ):
            text = message(call, *arguments, error=gym.error.ClosedEnvironmentError)
            assert text.startswith("the environment is closed")


def test_a_closed_environment_of_stable_baselines_says_so():
    envs = SB3VecEnv(2, **SETTINGS)
    envs.reset()
    envs.close()
    envs.close()
    for call in (envs.reset, lambda: envs.step(np.stack([ACTION] * 2))):
        message(call, error=gym.error.ClosedEnvironmentError)


def test_environments_close_behind_wrappers_and_contexts():
    with gym.make("SplitLearning-v0", **SETTINGS) as env:
        env.reset(seed=0)
    message(env.reset, error=gym.error.ClosedEnvironmentError)
    envs = gym.make_vec("SplitLearning-v0", num_envs=2, **SETTINGS)
    envs.close()
    message(envs.reset, error=gym.error.ClosedEnvironmentError)


def test_a_vector_environment_renders_nothing():
    envs = many(2)
    assert message(envs.render, error=gym.error.Error) == (
        "a vector environment renders nothing, allowed: gym.make(..., render_mode=...)"
    )


# Length of an episode ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [3, None, -1])
def test_the_vector_environment_says_how_to_limit_an_episode(steps):
    text = message(
        gym.make_vec,
        "SplitLearning-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        max_episode_steps=steps,
        error=ScenarioError,
        **SETTINGS,
    )
    assert text == f'max_episode_steps = {steps} is no argument, allowed: episode={{"max_rounds": ...}}'


def test_what_it_says_limits_episodes_as_gymnasium_limits_those_of_the_single_environment():
    envs = gym.make_vec("SplitLearning-v0", num_envs=2, episode={"max_rounds": 3, "target_accuracy": 1.0}, **SETTINGS)
    env = gym.make("SplitLearning-v0", max_episode_steps=3, episode={"target_accuracy": 1.0}, **SETTINGS)
    envs.reset(seed=0), env.reset(seed=0)
    for number in range(3):
        ends = envs.step(np.stack([ACTION] * 2))[3]
        assert ends.all() == env.step(ACTION)[3] == (number == 2)
