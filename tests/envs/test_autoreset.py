"""How the next episode starts, against Gymnasium's vector environment around single ones: equal in every bit."""

import json
from copy import deepcopy
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import (
    ClipReward,
    FlattenObservation,
    NormalizeObservation,
    NormalizeReward,
    RecordEpisodeStatistics,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import differences, make

from splitgym.envs import SB3VecEnv, SplitLearningVectorEnv
from splitgym.inputs import InputError

SETTINGS = {
    "scenario": "iot",
    "action": "continuous",
    "clients": {"count": 4, "dropout_probability": 0.2},
    "family": {"clients": [3, 4], "dirichlet_alpha": [0.2, 0.9]},
    "knowledge": {"channel_error_db": 1.0},
}
CALIBRATED = {**SETTINGS, "clients": {"dropout_probability": 0.2}, "family": {"clients": [6, 8]}}
MODES = list(AutoresetMode)


def pair(count, mode, threads=None, **options):
    """Ours, and Gymnasium's around single environments."""
    ours = SplitLearningVectorEnv(count, threads=threads, autoreset_mode=mode, **options)
    return ours, SyncVectorEnv([partial(make, **options)] * count, autoreset_mode=mode)


def assert_same_step(mine, expected):
    final = [out[4].pop("final_obs", None) for out in (mine, expected)]
    assert not differences(mine, expected)
    assert (final[0] is None) == (final[1] is None)
    assert final[0] is None or not differences(list(final[0]), list(final[1]))


def assert_equal_rollouts(ours, theirs, steps, seed, mode):
    """Returns how many episodes ended."""
    assert not differences(ours.reset(seed=seed), theirs.reset(seed=seed))
    ours.action_space.seed(seed)
    ended = 0
    for _ in range(steps):
        actions = ours.action_space.sample()
        mine, expected = ours.step(actions), theirs.step(actions)
        assert_same_step(mine, expected)
        done = mine[2] | mine[3]
        ended += done.sum()
        if mode is AutoresetMode.DISABLED and done.any():
            options = {"reset_mask": done}
            assert not differences(ours.reset(options=dict(options)), theirs.reset(options=dict(options)))
    return ended


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_real_training(mode):
    ours, theirs = pair(2, mode, episode={"max_rounds": 3}, **SETTINGS)
    assert assert_equal_rollouts(ours, theirs, 9, 11, mode) >= 4


@settings(max_examples=15)
@given(
    mode=st.sampled_from(MODES),
    count=st.integers(1, 6),
    threads=st.integers(1, 3),
    rounds=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_surrogate(mode, count, threads, rounds, seed):
    episode = {"max_rounds": rounds, "target_accuracy": 0.13}
    ours, theirs = pair(count, mode, threads, learner="surrogate", episode=episode, **CALIBRATED)
    assert assert_equal_rollouts(ours, theirs, 40, seed, mode) > 0
    ours.close()


def test_some_begin_anew_in_the_middle():
    ours, theirs = pair(3, AutoresetMode.NEXT_STEP, learner="surrogate", episode={"max_rounds": 4}, **CALIBRATED)
    ours.reset(seed=1), theirs.reset(seed=1)
    ours.action_space.seed(0)
    for number in range(20):
        actions = ours.action_space.sample()
        assert_same_step(ours.step(actions), theirs.step(actions))
        if number in (3, 6, 11):
            # In round 3 all have ended, and wait for the next step.
            seed, mask = (40, [True, False, True]) if number == 6 else (None, [False, True, False])
            options = [{"reset_mask": np.array(mask)} for _ in range(2)]
            assert not differences(
                ours.reset(seed=seed, options=options[0]), theirs.reset(seed=seed, options=options[1])
            )


def test_the_step_in_which_an_episode_begins_ignores_the_action_and_gives_nothing():
    envs = SplitLearningVectorEnv(
        2,
        learner="surrogate",
        autoreset_mode="NextStep",
        episode={"max_rounds": 2, "target_accuracy": 1.0},
        **CALIBRATED,
    )
    others = deepcopy(envs)
    for each in (envs, others):
        each.reset(seed=0)
        each.action_space.seed(0)
        for _ in range(2):
            _, _, _, truncated, _ = each.step(each.action_space.sample())
        assert truncated.all()
    mine, other = envs.step(envs.action_space.sample()), others.step(np.ones_like(others.action_space.sample()))
    assert not differences(mine, other)
    observation, reward, terminated, truncated, info = mine
    assert not np.stack([reward, terminated, truncated]).any()
    assert not info["round"].any()
    assert "reward_terms" not in info
    again, expected = envs.step(envs.action_space.sample()), others.step(envs.action_space.sample())
    assert again[4]["round"].all() == expected[4]["round"].all() == 1
    assert not np.array_equal(again[0], observation)


def test_an_episode_that_nothing_resets_has_to_be_reset():
    envs = SplitLearningVectorEnv(
        3, learner="surrogate", autoreset_mode="Disabled", episode={"max_rounds": 2}, **CALIBRATED
    )
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    done = np.logical_or(*envs.step(envs.action_space.sample())[2:4])
    assert done.tolist() == [True, False, True]
    for mask in (None, np.array([True, False, False])):
        if mask is not None:
            envs.reset(options={"reset_mask": mask})
        ended = np.flatnonzero(done & ~(mask if mask is not None else False)).tolist()
        with pytest.raises(gym.error.ResetNeeded, match=rf"environments \{ended} have ended: call reset\(options="):
            envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([False, False, True])})
    envs.step(envs.action_space.sample())


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_metadata_and_spec_say_the_mode(mode):
    for name in (mode, mode.value, mode.name):
        envs = gym.make_vec("SplitLearning-v0", num_envs=2, learner="surrogate", autoreset_mode=name)
        assert envs.metadata["autoreset_mode"] is mode
        written = json.loads(envs.unwrapped.spec.to_json())
        assert written["kwargs"]["autoreset_mode"] in (mode.value, mode.name)
        again = gym.make_vec(gym.envs.registration.EnvSpec.from_json(envs.unwrapped.spec.to_json()))
        assert again.metadata["autoreset_mode"] is mode
    assert SplitLearningVectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert SB3VecEnv(1, learner="surrogate").envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@pytest.mark.parametrize("mode", ["NextSteps", "next step", "", None, 1, ["NextStep"], {}])
def test_a_mode_that_is_none_is_refused(mode):
    with pytest.raises(InputError, match=r"autoreset_mode = .* is unknown, (did you mean|allowed)") as caught:
        SplitLearningVectorEnv(2, learner="surrogate", autoreset_mode=mode)
    assert "\n" not in str(caught.value)


def test_stable_baselines_needs_the_same_step():
    for mode in ("NextStep", AutoresetMode.DISABLED):
        with pytest.raises(InputError, match=r"autoreset_mode = .*, allowed: 'SameStep'"):
            SB3VecEnv(2, learner="surrogate", autoreset_mode=mode)
    SB3VecEnv(2, learner="surrogate", autoreset_mode="SameStep")


# Gymnasium's wrappers ----------------------------------------------------------------------------------------------

WRAPPERS = {
    "statistics": RecordEpisodeStatistics,
    "observation": NormalizeObservation,
    "reward": NormalizeReward,
    "clipped": lambda envs: ClipReward(envs, -0.1, 0.1),
    "flat": FlattenObservation,
    "all": lambda envs: NormalizeReward(NormalizeObservation(RecordEpisodeStatistics(envs))),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_see_what_they_see_around_single_environments(wrap):
    episode = {"max_rounds": 5, "target_accuracy": 0.13}
    envs = pair(3, AutoresetMode.NEXT_STEP, learner="surrogate", episode=episode, **CALIBRATED)
    ours, theirs = map(wrap, envs)
    assert not differences(ours.reset(seed=2), theirs.reset(seed=2))
    envs[0].action_space.seed(0)
    episodes = 0
    for _ in range(25):
        actions = envs[0].action_space.sample()
        mine, expected = ours.step(actions), theirs.step(actions)
        for out in (mine, expected):
            if "episode" in out[4]:
                episodes += out[4]["_episode"].sum()
                out[4]["episode"].pop("t"), out[4]["episode"].pop("_t", None)
        assert not differences(mine, expected)
    assert (episodes > 0) == ("RecordEpisodeStatistics" in str(ours))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_statistics_are_those_of_the_episodes(mode):
    """Returns and lengths, added up by hand."""
    if mode is AutoresetMode.SAME_STEP and gym.__version__.startswith("1.2."):
        pytest.skip("the wrapper of Gymnasium 1.2 does not know this mode")
    episode = {"max_rounds": 4, "target_accuracy": 0.13}
    envs = RecordEpisodeStatistics(
        SplitLearningVectorEnv(3, learner="surrogate", autoreset_mode=mode, episode=episode, **CALIBRATED)
    )
    envs.reset(seed=0)
    envs.action_space.seed(0)
    returns, lengths, ended = np.zeros(3), np.zeros(3, int), np.zeros(3, bool)
    for _ in range(20):
        _, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
        returns += reward
        lengths += ~ended
        done = terminated | truncated
        if done.any():
            np.testing.assert_allclose(info["episode"]["r"][done], returns[done])
            np.testing.assert_array_equal(info["episode"]["l"][done], lengths[done])
        returns[done], lengths[done] = 0.0, 0
        ended = done if mode is AutoresetMode.NEXT_STEP else np.zeros(3, bool)
        if mode is AutoresetMode.DISABLED and done.any():
            envs.reset(options={"reset_mask": done.copy()})


# Streams -----------------------------------------------------------------------------------------------------------


def rewards_of_rounds(mode: AutoresetMode, rounds: int, seed: int) -> list[list[tuple[float, bool]]]:
    """Reward and end of so many rounds of three worlds, each with actions of its own, round after round."""
    episode = {"max_rounds": 4, "target_accuracy": 0.11}
    envs = SplitLearningVectorEnv(3, learner="surrogate", autoreset_mode=mode, episode=episode, **CALIBRATED)
    envs.reset(seed=seed)
    envs.action_space.seed(0)
    actions, seen = [envs.action_space.sample() for _ in range(rounds)], [[], [], []]
    waits = np.zeros(3, bool)
    while min(map(len, seen)) < rounds:
        action = np.stack([actions[len(own) % rounds][world] for world, own in enumerate(seen)])
        _, reward, terminated, truncated, _ = envs.step(action)
        done = terminated | truncated
        for world in np.flatnonzero(~waits):
            seen[world].append((float(reward[world]), bool(done[world])))
        waits = done & (mode is AutoresetMode.NEXT_STEP)
        if mode is AutoresetMode.DISABLED and done.any():
            envs.reset(options={"reset_mask": done})
    return [own[:rounds] for own in seen]


@pytest.mark.parametrize("seed", [0, 1])
def test_rounds_are_the_same_however_episodes_begin(seed):
    """So a world that waits for its next episode misses no number, and none is drawn twice."""
    same_step, next_step, disabled = (
        rewards_of_rounds(mode, 15, seed)
        for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)
    )
    assert same_step == next_step == disabled
    # Episodes of a world differ, and their ends are not all at the same time.
    assert len({reward for own in same_step for reward, _ in own}) == 45
    assert len({tuple(done for _, done in own) for own in same_step}) > 1
