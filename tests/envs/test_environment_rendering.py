"""Rendering through the environment: the modes, and that looking changes nothing."""

import copy
import pickle
import sys
import warnings
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo
from rollouts import differences, lasting, make, rollout, sampled_actions

from splitgym.envs import SplitLearningEnv
from splitgym.scenario import ScenarioError


def test_frames_are_pixels():
    env = make("iot", render_mode="rgb_array")
    env.reset(seed=1)
    frames = [env.render()]
    env.step(sampled_actions(env, 1)[0])
    frames += [env.render(), env.render()]
    assert all(frame.shape == (720, 1280, 3) and frame.dtype == np.uint8 for frame in frames)
    assert not np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], frames[2])


def test_text_holds_the_numbers_of_info():
    env = make("toy", render_mode="ansi", action="schedule")
    env.reset(seed=1)
    assert "no round has been played yet" in env.render()
    *_, info = env.step(np.array([0, 1, 1, 2]))
    shown = env.render()
    assert f"round {info['round']} of" in shown
    assert f"{100 * info['accuracy']:.1f} %" in shown
    assert f"took {1e3 * info['round_latency_s']:.1f} ms" in shown
    assert f"phi: {info['aggregation_ratio']:g}" in shown
    assert f"traffic: {info['traffic_bits'] / 1e3:.1f} kbit" in shown


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
def test_looking_changes_nothing(mode):
    env, seen = lasting("iot"), lasting("iot", render_mode=mode)
    actions = sampled_actions(env, 3)
    expected = rollout(env, 5, actions)
    got = [seen.reset(seed=5)]
    for action in actions:
        seen.render()
        got.append(seen.step(action))
    assert differences(expected, got) == []


def test_frames_of_mobile_clients_are_those_of_the_round():
    """The frame after a round shows the cell on which it ran: the places before it, not those after it."""
    env = make("iot", render_mode="ansi", cell={"speed_m_per_s": 30.0}, action="schedule")
    env.reset(seed=2)
    everybody = np.array([0, *np.ones(8, int), 0])
    where = [line.split()[5] for line in env.render().splitlines() if line[:1].isdigit()]
    env.step(everybody)
    assert where == [line.split()[line.split().index("dB") + 1] for line in env.render().splitlines() if "dB" in line]
    env.step(everybody)
    assert where != [line.split()[line.split().index("dB") + 1] for line in env.render().splitlines() if "dB" in line]


def test_an_episode_begins_with_an_empty_curve():
    env = make("toy", render_mode="rgb_array")
    env.reset(seed=3)
    first = env.render()
    env.step(env.action_space.sample())
    env.reset(seed=3)
    assert np.array_equal(first, env.render())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_renders_the_same(duplicate):
    env = make("toy", render_mode="rgb_array")
    env.reset(seed=3)
    env.step(env.action_space.sample())
    assert np.array_equal(duplicate(env).render(), env.render())


def test_unknown_mode_names_those_that_are_allowed():
    with pytest.raises(ScenarioError, match=r"^render_mode = 'human', allowed: None, rgb_array, ansi$"):
        SplitLearningEnv(scenario="toy", render_mode="human")


def test_vector_environment_renders_nothing():
    with pytest.raises(ScenarioError, match=r"^render_mode = 'rgb_array', allowed: None$"):
        gym.make_vec(
            "SplitLearning-v0",
            num_envs=2,
            vectorization_mode="vector_entry_point",
            scenario="toy",
            learner="surrogate",
            render_mode="rgb_array",
        )


def test_without_a_mode_the_error_says_what_to_do():
    env = make("toy")
    env.reset(seed=0)
    with pytest.raises(gym.error.Error, match=r"allowed: gym\.make.*'rgb_array' or 'ansi'"):
        env.render()


def test_before_reset_there_is_nothing_to_render():
    with pytest.raises(gym.error.ResetNeeded):
        make("toy", render_mode="ansi").render()


def test_an_environment_that_does_not_render_loads_no_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    env = make("toy", render_mode="ansi")
    env.reset(seed=0)
    assert env.render()


def test_without_pillow_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("splitgym.rendering.", "PIL"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    env = make("toy", render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(ImportError, match=r"Pillow, pip install 'splitgym\[render\]'"):
        env.render()


def test_gymnasium_checker_passes_with_every_mode():
    env = gym.make("SplitLearning-v0", scenario="toy", render_mode="rgb_array").unwrapped
    assert set(env.metadata["render_modes"]) == {"rgb_array", "ansi"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)


@pytest.fixture
def clips(monkeypatch):
    """Stands in for moviepy, which brings a video encoder: keeps what would be encoded."""
    made = []

    class ImageSequenceClip:
        def __init__(self, frames, fps):
            made.append((np.stack(frames), fps))

        def write_videofile(self, path, **options):
            pass

    package = "moviepy.video.io.ImageSequenceClip"
    for depth in range(1, 5):
        name = ".".join(package.split(".")[:depth])
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[package].ImageSequenceClip = ImageSequenceClip
    return made


def test_videos_are_recorded(tmp_path, clips):
    env = gym.make("SplitLearning-v0", scenario="toy", render_mode="rgb_array", episode={"max_rounds": 3})
    env = RecordVideo(env, str(tmp_path / "videos"), episode_trigger=lambda episode: True)
    env.reset(seed=0)
    done = False
    while not done:
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        done = terminated or truncated
    env.close()
    ((frames, fps),) = clips
    assert frames.shape == (4, 720, 1280, 3)
    assert fps == env.metadata["render_fps"]
