"""The checkers of Gymnasium and Stable-Baselines3, and what they leave out: determinism, copies, vectors."""

import copy
import json
import pickle
import warnings
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check
from rollouts import (
    ACTIONS,
    CASES,
    differences,
    fields_of,
    lasting,
    make,
    play_on,
    rollout,
    sampled_actions,
    walk_arrays,
)
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.vec_env import SubprocVecEnv

from splitgym.evaluation.processes import START_METHOD, worker_context
from splitgym.scenario import Clients, load

every_case = pytest.mark.parametrize(("preset", "framework", "action"), CASES)


@every_case
@pytest.mark.parametrize("check", [gymnasium_check, sb3_check])
def test_checker_passes_without_any_warning(check, preset, framework, action):
    env = make(preset, framework, action)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(env)


def test_gymnasium_checker_passes_through_make():
    env = gym.make("SplitLearning-v0", scenario="toy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium_check(env.unwrapped)
        env.reset(seed=1)
        env.step(env.action_space.sample())


@every_case
def test_same_seed_and_actions_agree_in_everything(preset, framework, action):
    first, second = lasting(preset, framework, action), lasting(preset, framework, action)
    actions = sampled_actions(first, 4)
    assert differences(rollout(first, 11, actions), rollout(second, 11, actions)) == []


@pytest.mark.parametrize("preset", ["toy", "iot"])
def test_reset_with_a_seed_repeats_the_episode_in_a_used_environment(preset):
    env = lasting(preset)
    actions = sampled_actions(env, 3)
    first = rollout(env, 5, actions)
    env.reset()
    assert differences(first, rollout(env, 5, actions)) == []


@pytest.mark.parametrize("preset", ["toy", "iot"])
def test_other_seed_other_episode(preset):
    env = lasting(preset)
    actions = sampled_actions(env, 2)
    assert differences(rollout(env, 1, actions)[-1], rollout(env, 2, actions)[-1]) != []


@pytest.mark.parametrize("preset", ["toy", "iot"])
def test_second_reset_without_seed_is_another_episode_and_repeatable(preset):
    first, second = lasting(preset), lasting(preset)
    actions = sampled_actions(first, 3)
    before = rollout(first, 7, actions)
    rollout(second, 7, actions)
    again, likewise = rollout(first, None, actions), rollout(second, None, actions)
    assert differences(again, likewise) == []
    assert differences(before, again) != []


def test_a_seed_makes_forget_what_was_played_before():
    first, second = lasting("iot"), lasting("iot")
    actions = sampled_actions(first, 2)
    rollout(first, 3, actions)
    first.reset()
    play_on(first, actions)
    assert differences(rollout(first, 4, actions), rollout(second, 4, actions)) == []
    assert differences(rollout(first, None, actions), rollout(second, None, actions)) == []


def test_global_generators_are_neither_used_nor_moved():
    import torch  # noqa: PLC0415

    env = lasting("iot")
    actions = sampled_actions(env, 2)
    expected = rollout(env, 3, actions)
    np.random.seed(123)  # noqa: NPY002 - it is the global generator that must not matter
    torch.manual_seed(123)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()  # noqa: NPY002
    assert differences(expected, rollout(env, 3, actions)) == []
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def through_pickle(env):
    return pickle.loads(pickle.dumps(env))


@pytest.mark.parametrize("duplicate", [through_pickle, copy.deepcopy])
@pytest.mark.parametrize(("preset", "action"), [("toy", "discrete"), ("iot", "continuous"), ("iot", "schedule")])
def test_copy_in_mid_episode_continues_identically_and_apart(duplicate, preset, action):
    env = lasting(preset, action=action)
    actions = sampled_actions(env, 6)
    rollout(env, 2, actions[:3])
    twin = duplicate(env)
    straight = lasting(preset, action=action)
    expected = rollout(straight, 2, actions)[4:]
    assert differences(play_on(twin, actions[3:]), expected) == []
    assert differences(play_on(env, actions[3:]), expected) == []
    assert differences(rollout(twin, None, actions[:1]), rollout(env, None, actions[:1])) == []


def test_wrapped_environment_can_be_pickled():
    env = gym.make("SplitLearning-v0", scenario="toy")
    env.reset(seed=1)
    twin = through_pickle(env)
    action = env.action_space.sample()
    assert differences(env.step(action), twin.step(action)) == []


def test_later_rounds_do_not_write_into_what_was_returned():
    env = lasting("iot")
    actions = sampled_actions(env, 3)
    env.reset(seed=4)
    returned = [env.step(actions[0]), fields_of(env.state), fields_of(env.truth)]
    before = copy.deepcopy(returned)
    play_on(env, actions)
    env.reset()
    assert differences(returned, before) == []


def test_writing_into_what_was_returned_does_not_change_the_environment():
    env, untouched = lasting("iot"), lasting("iot")
    actions = sampled_actions(env, 3)
    expected = rollout(untouched, 4, actions)
    got = []
    for step in (lambda: env.reset(seed=4), *(lambda a=action: env.step(a) for action in actions)):
        returned = step()
        got.append(copy.deepcopy(returned))
        for array in walk_arrays([returned, fields_of(env.state), fields_of(env.truth)]):
            array[...] = 0
    assert differences(got, expected) == []


def test_dictionaries_of_info_are_the_callers_own():
    env, untouched = lasting(), lasting()
    actions = sampled_actions(env, 2)
    expected = rollout(untouched, 4, actions)
    env.reset(seed=4)
    info = env.step(actions[0])[-1]
    info["stages"].clear()
    info["reward_terms"].clear()
    info.clear()
    assert differences(env.step(actions[1]), expected[2]) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_action_and_decision_are_not_mutated(action):
    env = lasting("iot", action=action)
    env.reset(seed=1)
    taken = sampled_actions(env, 1)[0]
    before = taken.copy()
    decision = env.decode(taken)
    kept = copy.deepcopy(decision)
    env.play(decision)
    env.step(taken)
    assert np.array_equal(taken, before)
    assert differences(vars(decision), vars(kept)) == []


SOURCES = {
    "name": lambda folder: "toy",
    "path as text": lambda folder: str(folder / "toy.toml"),
    "path": lambda folder: folder / "toy.toml",
    "mapping": lambda folder: load("toy").model_dump(),
    "scenario": lambda folder: load("toy"),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "overrides",
    [{}, {"clients": {"count": 3}}, {"clients": Clients(count=3)}],
    ids=["as it is", "override", "section as override"],
)
def test_specification_goes_through_json(tmp_path, source, overrides):
    (tmp_path / "toy.toml").write_text(load("toy").to_toml(), encoding="utf-8")
    scenario = SOURCES[source](tmp_path)
    env = gym.make("SplitLearning-v0", scenario=scenario, action="schedule", **overrides)
    text = env.spec.to_json()
    json.loads(text)
    again = gym.make(EnvSpec.from_json(text))
    assert again.unwrapped.scenario == env.unwrapped.scenario
    assert again.action_space == env.action_space
    actions = sampled_actions(env, 1)
    assert differences(rollout(env.unwrapped, 1, actions), rollout(again.unwrapped, 1, actions)) == []


def test_specification_of_the_caller_is_left_alone():
    scenario = load("toy")
    gym.make("SplitLearning-v0", scenario=scenario)
    assert gym.spec("SplitLearning-v0").kwargs == {}


def test_async_vector_environment_agrees_with_single_ones():
    worker_context()  # its server, which the workers are forked from, has imported what they need
    vector = gym.make_vec(
        "splitgym:SplitLearning-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": START_METHOD},
        scenario="toy",
        action="schedule",
    )
    try:
        singles = [make(action="schedule") for _ in range(2)]
        observations, infos = vector.reset(seed=30)
        actions = [sampled_actions(singles[0], 3, seed) for seed in (0, 1)]
        for i, env in enumerate(singles):
            observation, info = env.reset(seed=30 + i)
            assert np.array_equal(observation, observations[i])
            assert info["accuracy"] == infos["accuracy"][i]
        for now in range(3):
            step = vector.step(np.stack([actions[0][now], actions[1][now]]))
            for i, env in enumerate(singles):
                observation, reward, terminated, truncated, info = env.step(actions[i][now])
                assert np.array_equal(observation, step[0][i])
                assert (reward, terminated, truncated) == (step[1][i], step[2][i], step[3][i])
                for key in ("round_latency_s", "loss", "accuracy", "traffic_bits", "energy_j", "cut_layer"):
                    assert info[key] == step[4][key][i], key
                assert np.array_equal(info["participants"], step[4]["participants"][i])
                assert info["stages"]["uplink"] == step[4]["stages"]["uplink"][i]
    finally:
        vector.close()


@pytest.mark.parametrize(("start_method", "count"), [("spawn", 1), (START_METHOD, 2)])
def test_sb3_subprocesses_agree_with_single_environments(start_method, count):
    """A process that is spawned has imported nothing."""
    worker_context()
    maker = partial(gym.make, "splitgym:SplitLearning-v0", scenario="toy", action="discrete", learner="surrogate")
    vector = SubprocVecEnv([maker] * count, start_method=start_method)
    try:
        vector.seed(50)
        observations = vector.reset()
        singles = [make(learner="surrogate") for _ in range(count)]
        for i, env in enumerate(singles):
            assert np.array_equal(env.reset(seed=50 + i)[0], observations[i])
        actions = [sampled_actions(singles[0], 3, seed) for seed in range(count)]
        masks = vector.env_method("action_masks")
        for now in range(3):
            observations, rewards, dones, infos = vector.step(np.stack([each[now] for each in actions]))
            for i, env in enumerate(singles):
                observation, reward, terminated, truncated, info = env.step(actions[i][now])
                assert np.array_equal(observation, observations[i])
                assert reward == rewards[i]
                assert (terminated or truncated) == dones[i]
                theirs = {key: value for key, value in infos[i].items() if key != "TimeLimit.truncated"}
                assert differences(info, theirs) == []
        assert np.array_equal(masks[0], singles[0].action_masks())
    finally:
        vector.close()


def test_scenario_path_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(load("toy").to_toml())
    assert make("mine.toml").scenario == load("toy")
