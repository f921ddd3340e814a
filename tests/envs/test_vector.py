"""The vector environment, against Gymnasium's own vector environment around single ones: equal in every bit."""

import json

import gymnasium as gym
import numpy as np
import pytest
from drawn import drawn
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from rollouts import ACTIONS, differences, make

from splitgym.envs import SplitLearningVectorEnv
from splitgym.scenario import ScenarioError, presets

SHORT = {"max_rounds": 4, "stop_at_target": False}
FAMILY = {
    "clients": {"count": 5, "dropout_probability": 0.2},
    "cell": {"speed_m_per_s": 2.0},
    "knowledge": {"channel_delay_rounds": 1, "channel_error_db": 1.0, "compute_delay_rounds": 1},
    "family": {
        "clients": [4, 5],
        "compute_factor": [0.5, 2.0],
        "radius_m": [100.0, 500.0],
        "subchannel_hz": [1e5, 1e6],
        "dirichlet_alpha": [0.2, 0.9],
    },
}


def made(num_envs, vectorization_mode="vector_entry_point", **settings):
    return gym.make_vec(
        "SplitLearning-v0", num_envs=num_envs, vectorization_mode=vectorization_mode, **settings
    ).unwrapped


def of_singles(num_envs, **settings):
    return SyncVectorEnv([lambda: make(**settings)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def assert_same_step(mine, expected):
    """Returns how many episodes ended."""
    final_obs = [out[4].pop("final_obs", None) for out in (mine, expected)]
    assert not differences(mine, expected)
    if final_obs[1] is None:
        return 0
    assert not differences(list(final_obs[0]), list(final_obs[1]))
    return expected[4]["_final_obs"].sum()


def assert_equal_rollouts(num_envs, steps, seed=11, threads=None, **settings):
    """Ends of episodes included."""
    ours, theirs = made(num_envs, threads=threads, **settings), of_singles(num_envs, **settings)
    assert (ours.action_space, ours.observation_space) == (theirs.action_space, theirs.observation_space)
    assert not differences(ours.reset(seed=seed), theirs.reset(seed=seed))
    ours.action_space.seed(seed)
    ended = 0
    for _ in range(steps):
        actions = ours.action_space.sample()
        ended += assert_same_step(ours.step(actions), theirs.step(actions))
    assert ended > 0
    ours.close()


@pytest.mark.parametrize(("preset", "action"), drawn(6, ["toy", "iot", "bandwidth-limited"], ACTIONS))
def test_real_training(preset, action):
    assert_equal_rollouts(2, 5, scenario=preset, action=action, episode=SHORT)


@pytest.mark.parametrize(
    ("preset", "action"), drawn(14, sorted({*presets()} - {"narrowband", "boards", "lora"}), ACTIONS)
)
def test_surrogate(preset, action):
    episode = SHORT | {"max_rounds": 7}
    assert_equal_rollouts(5, 16, scenario=preset, action=action, learner="surrogate", episode=episode, threads=2)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("learner", ["train", "surrogate"])
def test_a_family(learner, action):
    steps = 5 if learner == "train" else 40
    assert_equal_rollouts(3, steps, scenario="iot", action=action, learner=learner, episode=SHORT, **FAMILY)


@pytest.mark.parametrize("framework", ["psl", "psl-drop", "epsl-pt", "sl", "cpsl", "sfl-v1"])
def test_other_frameworks(framework):
    assert_equal_rollouts(2, 5, framework=framework, scenario="toy", action="schedule", episode=SHORT)


def test_on_demand():
    assert_equal_rollouts(
        2, 9, scenario="iot", learner="surrogate", action="continuous", episode=SHORT, radio={"sharing": "on-demand"}
    )


def test_episodes_that_reach_the_target_end_there():
    settings = {"scenario": "iot", "learner": "surrogate", "action": "schedule", "episode": {"target_accuracy": 0.3}}
    assert_equal_rollouts(4, 60, **settings)
    envs = made(4, **settings)
    envs.reset(seed=0)
    everybody = np.tile([0] + [1] * 8 + [0], (4, 1))
    for _ in range(100):
        *_, terminated, truncated, info = envs.step(everybody)
        if terminated.any():
            assert not (terminated & truncated).any()
            assert (info["final_info"]["accuracy"][terminated] >= 0.3).all()
            return
    pytest.fail("nobody reached the target")


def test_results_do_not_depend_on_threads():
    outs = []
    for threads in (1, 2, 5):
        envs = made(7, threads=threads, learner="surrogate", action="continuous", episode=SHORT)
        envs.action_space.seed(0)
        outs.append([envs.reset(seed=3), *(envs.step(envs.action_space.sample()) for _ in range(9))])
        for out in outs[-1][1:]:
            out[4].pop("final_obs", None)
        envs.close()
    assert not differences(outs[0], outs[1])
    assert not differences(outs[0], outs[2])


def test_the_same_seed_gives_the_same_worlds_and_another_one_others():
    envs = made(3, learner="surrogate", action="continuous")
    first, _ = envs.reset(seed=5)
    again, _ = envs.reset(seed=5)
    other, _ = envs.reset(seed=6)
    unseeded, _ = envs.reset()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[1:], other[:-1])
    assert not np.array_equal(other, unseeded)
    listed, _ = envs.reset(seed=[7, 5, None])
    np.testing.assert_array_equal(listed[:2], [other[1], first[0]])
    assert envs.np_random_seed[:2] == (7, 5)


def test_some_worlds_begin_anew_in_the_middle():
    episode = SHORT | {"max_rounds": 50}
    settings = {"scenario": "iot", "learner": "surrogate", "action": "continuous", "episode": episode}
    ours, theirs = made(3, **settings), of_singles(3, **settings)
    ours.reset(seed=1), theirs.reset(seed=1)
    ours.action_space.seed(0)
    for number in range(30):
        actions = ours.action_space.sample()
        assert_same_step(ours.step(actions), theirs.step(actions))
        if number in (4, 17):
            mask = np.array([number == 17, True, False])
            seed = 40 if number == 4 else None
            mine = ours.reset(seed=seed, options={"reset_mask": mask.copy()})
            assert not differences(mine, theirs.reset(seed=seed, options={"reset_mask": mask.copy()}))


def test_what_was_handed_out_stays():
    envs = made(2, learner="surrogate", action="discrete", episode=SHORT)
    envs.action_space.seed(0)
    handed_out = [envs.reset(seed=0)]
    kept = [[handed_out[0][0].copy(), {k: v.copy() for k, v in handed_out[0][1].items()}]]
    for _ in range(6):
        handed_out.append(envs.step(envs.action_space.sample()))
        kept.append([a.copy() for a in handed_out[-1][:4]])
    assert not differences(list(handed_out[0]), kept[0])
    for out, copies in zip(handed_out[1:], kept[1:], strict=True):
        assert not differences(list(out[:4]), copies)


def test_masks_are_those_of_the_single_environments():
    settings = {"scenario": "iot", "clients": {"dropout_probability": 0.5}, "learner": "surrogate"}
    for action in ("discrete", "schedule"):
        envs, singles = made(3, action=action, **settings), [make(action=action, **settings) for _ in range(3)]
        envs.reset(seed=2)
        envs.action_space.seed(0)
        for i, single in enumerate(singles):
            single.reset(seed=2 + i)
        for _ in range(3):
            actions = envs.action_space.sample()
            envs.step(actions)
            for single, action_of_one in zip(singles, actions, strict=True):
                single.step(action_of_one)
            masks = envs.action_masks()
            np.testing.assert_array_equal(masks, [single.action_masks() for single in singles])
        assert not masks.all()
    with pytest.raises(gym.error.ResetNeeded):
        made(2, action="schedule", **settings).action_masks()
    envs = made(2, action="continuous", **settings)
    with pytest.raises(AttributeError, match="has no masks"):
        envs.action_masks()


def test_make_vec_declares_what_gymnasium_wants():
    envs = made(2, learner="surrogate", action="schedule")
    assert isinstance(envs, SplitLearningVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.spec.kwargs["num_envs"] == 2
    assert json.loads(envs.spec.to_json())["id"] == "SplitLearning-v0"
    envs.close()
    envs.close()


def test_mistakes_are_explained():
    for wrong in (0, -1, 1.5, True, "2", None, 10**30):
        with pytest.raises(ValueError, match=f"num_envs = {wrong!r}, allowed: whole numbers from 1 to"):
            made(wrong)
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match=f"threads = {wrong!r}, allowed: whole numbers from 1"):
            made(2, threads=wrong)
    with pytest.raises(ScenarioError, match="'surrogat' is unknown, did you mean 'surrogate'"):
        made(2, learner="surrogat")
    envs = made(2, learner="surrogate", action="schedule")
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step(envs.action_space.sample())
    with pytest.raises(gym.error.ResetNeeded, match="of all environments"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match="seed has 3 values, allowed: one for each of 2"):
        envs.reset(seed=[1, 2, 3])
    envs.reset(seed=0)
    for mask in (np.array([True]), np.zeros(2, bool), [True, False], np.ones(2, int)):
        with pytest.raises(ValueError, match="allowed: an array of 2 booleans, at least one true"):
            envs.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="for each of 2 environments"):
        envs.step(np.zeros((3, 10), int))
    with pytest.raises(ValueError, match="not in the action space"):
        envs.step(np.full((2, 10), 9))
