"""The controller's environment: checkers, manual, reward and cost, ends, bad input, frames."""

import inspect
import json
import re
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from splitgym import schedulers
from splitgym.inputs import InputError
from splitgym.scenario import ScenarioError
from splitgym.slices import Shares, SliceRow, SplitLearningSlicesEnv, load, presets
from splitgym.slices.frames import render
from splitgym.slices.observation import FEATURES

HALVES = Shares(np.array([10, 10]), np.array([0.5, 0.5]))


def made(**arguments):
    return SplitLearningSlicesEnv(**{"learner": "surrogate", **arguments})


@pytest.mark.parametrize("check", [gymnasium_check, sb3_check])
def test_checkers_pass_without_any_warning(check):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(gym.make("SplitLearningSlices-v0", learner="surrogate").unwrapped)


def test_it_is_made_by_name_and_its_spec_is_json():
    env = gym.make("SplitLearningSlices-v0", learner="surrogate", slices=[SliceRow(name="one")])
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    json.loads(env.spec.to_json())
    first, second = (each.reset(seed=4)[0] for each in (env, again))
    np.testing.assert_array_equal(first, second)


def test_copies_run_in_one_vector():
    envs = gym.make_vec("SplitLearningSlices-v0", num_envs=2, learner="surrogate", vectorization_mode="sync")
    envs.reset(seed=1)
    for _ in range(3):
        observations, rewards, *_, infos = envs.step(np.zeros((2, 4), np.float32))
    single = made()
    single.reset(seed=2)
    for _ in range(3):
        observation, reward, _, _, info = single.step(np.zeros(4, np.float32))
    np.testing.assert_array_equal(observations[1], observation)
    assert rewards[1] == reward
    assert infos["cost"][1] == info["cost"]


def test_manual_says_the_features_the_arguments_and_the_info():
    manual = inspect.getdoc(SplitLearningSlicesEnv)
    env = made()
    _, info = env.reset(seed=0)

    def first_column(title):
        part = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", manual, re.MULTILINE | re.DOTALL)[1]
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        return re.findall(r"`(\w+)`", " ".join(rows))

    assert first_column("Observation Space") == [feature.name for feature in FEATURES]
    assert f"{len(FEATURES)} numbers of each slice" in " ".join(manual.split())
    keys = set(info["slices"]["machines"])
    assert set(first_column("Info")) == keys
    arguments = set(inspect.signature(SplitLearningSlicesEnv).parameters) - {"common"}
    assert set(first_column("Arguments")) == arguments | {"cell", "radio", "server"}
    assert len(env.observation_names) == env.observation_space.shape[0] == 2 * len(FEATURES)


def test_reward_is_progress_of_best_effort_and_cost_is_late_rounds():
    env = made()
    env.reset(seed=3)
    devices = env.slices[1]
    late, accuracy, rounds = 0, devices.accuracy, 0
    for _ in range(12):
        _, reward, terminated, truncated, info = env.play(HALVES)
        said = info["slices"]["machines"]
        expected = sum(latency_s > 4.0 for latency_s in said["latencies_s"])
        assert info["cost"] == expected == info["costs"]["machines"]
        assert info["costs"]["devices"] == 0
        late, rounds = late + expected, rounds + len(said["played"])
        if terminated or truncated:
            break
        # A period is 10 s of a budget of 600 s.
        assert reward == pytest.approx(10 * (devices.accuracy - accuracy) - 10 * 10 / 600)
        accuracy = devices.accuracy
    assert late > 0
    assert (said["violations"], said["rounds"]) == (late, rounds)
    assert said["violation_rate"] == late / rounds
    assert said["allowed_rate"] == 0.1


def test_return_of_one_slice_is_that_of_the_ordinary_environment():
    sliced, single = made(slices=[{"name": "only"}]), gym.make("SplitLearning-v0", learner="surrogate").unwrapped
    total, alone = 0.0, 0.0
    sliced.reset(seed=9)
    single.reset(seed=9)
    greedy, over = schedulers.make("greedy", single), False
    while not over:
        _, reward, *ends, _ = single.play(greedy.decide(single.state))
        alone, over = alone + reward, any(ends)
    over = False
    while not over:
        _, reward, *ends, _ = sliced.step(np.zeros(2))
        total, over = total + reward, any(ends)
    assert total == pytest.approx(alone)


def test_cost_changes_no_reward():
    strict, lax = (
        made(slices={**load("two-slices").model_dump(), "slices": rows})
        for rows in (
            [
                row.model_copy(update={"deadline_s": limit}) if row.deadline_s else row
                for row in load("two-slices").slices
            ]
            for limit in (0.1, 1e3)
        )
    )
    totals = []
    for env in (strict, lax):
        env.reset(seed=2)
        steps = [env.play(HALVES) for _ in range(8)]
        totals.append(([step[1] for step in steps], sum(step[4]["cost"] for step in steps)))
    (reward, cost), (same_reward, no_cost) = totals
    assert reward == same_reward
    assert cost > no_cost == 0


def test_what_is_on_its_way_is_not_seen_before_it_ends():
    """A round that goes on for many periods: state, accuracy and observation stay those of its start."""
    env = made(period_s=0.05)
    first, _ = env.reset(seed=1)
    names = env.observation_names
    moving = ("on_its_way", "time_left", "in_use")
    still = [index for index, name in enumerate(names) if not name.startswith(moving)]
    observation, reward, _, _, info = env.play(HALVES)
    assert all(each.running for each in env.slices)
    np.testing.assert_array_equal(observation[still], first[still])
    assert reward == pytest.approx(-10 * 0.05 / 600)
    assert info["slices"]["devices"]["rounds"] == 0
    assert observation[names.index("on_its_way[devices]")] > 0


def test_episode_ends_with_the_targets_of_best_effort():
    easy = {"episode": {"target_accuracy": 0.3}}
    env = made(slices=[{"name": "a", "overrides": easy}, {"name": "b", "overrides": easy}], radio={"subchannels": 16})
    env.reset(seed=0)
    while True:
        *_, terminated, truncated, info = env.step(np.zeros(4))
        of = info["slices"]
        if terminated:
            break
        assert not all(each["reached_target"] for each in of.values())
        if of["a"]["ended"]:  # What is left goes to the other one.
            assert env.decode(np.zeros(4)).subchannels.tolist() == [0, 16]
    assert not truncated
    assert all(each["accuracy"] >= 0.3 for each in of.values())
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(4))


def test_episode_ends_with_the_budget():
    short = {"episode": {"time_budget_s": 25.0}}
    env = made(slices=[{"name": "a", "overrides": short}])
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"slices": "three-slices"}, "did you mean 'two-slices'?"),
        ({"slices": 3}, "slices = 3, allowed"),
        ({"slices": []}, "slices"),
        ({"slices": [{"name": "a"}, {"name": "a"}]}, "slices: name 'a' is there 2 times, allowed: once"),
        ({"slices": [{"name": "a", "service": "gold"}]}, "service"),
        ({"slices": [{"name": "a", "service": "latency-critical"}]}, "deadline_s = None with service"),
        (
            {"slices": [{"name": "a", "deadline_s": 1.0}]},
            "deadline_s = 1.0 with service = 'best-effort', allowed: None",
        ),
        ({"slices": [{"name": "a", "deadlin_s": 1.0}]}, "did you mean 'deadline_s'?"),
        ({"slices": [{"name": "a", "scenario": "iott"}]}, "slice 'a': scenario 'iott'"),
        ({"slices": [{"name": "a", "overrides": {"clients": {"cout": 2}}}]}, "did you mean 'count'?"),
        ({"slices": [{"name": "a", "scheduler": "greedyy"}]}, "did you mean 'greedy'?"),
        ({"slices": [{"name": "a", "scheduler": 3}]}, "slice 'a': scheduler = 3, allowed"),
        (
            {"slices": [{"name": "a"}, {"name": "b", "scenario": "toy"}]},
            "slice 'b': cell.radius_m = 100.0, allowed: 500.0",
        ),
        ({"slices": [{"name": "a", "scenario": "iot-family"}]}, "slice 'a': family."),
        ({"radio": {"subchannels": 1}}, "radio.subchannels = 1, allowed: 2 or more"),
        ({"radio": 3}, "radio = 3, allowed: a mapping"),
        ({"clients": {"count": 3}}, "unknown argument 'clients'"),
        ({"period_s": 0.0}, "period_s = 0.0"),
        ({"learner": "oracle"}, "learner = 'oracle' is unknown"),
        ({"render_mode": "human"}, "render_mode = 'human', allowed"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, said):
    with pytest.raises((ScenarioError, InputError, ValueError)) as refused:
        made(**arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bad_actions_and_misuse_are_refused():
    env = made()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(4))
    env.reset(seed=0)
    for action in (np.zeros(3), np.full(4, 1.5), np.full(4, np.nan), np.array(["a"] * 4)):
        with pytest.raises(InputError, match=r"allowed: 4 numbers in -1\.\.1"):
            env.step(action)
    with pytest.raises(InputError, match="allowed: a splitgym"):
        env.play([8, 8])
    with pytest.raises(InputError, match="seed"):
        env.reset(seed=-1)
    with pytest.raises(gym.error.Error, match="render_mode"):
        env.render()
    env.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        env.reset()


@pytest.mark.parametrize(
    ("subchannels", "server_hz"), [([0, 8], 1e9), ([1, 1], 1e9), ([], 1e9), ([0], 0.0), ([0.5], 1e9)]
)
def test_a_part_that_is_not_there_is_refused(subchannels, server_hz):
    env = gym.make("SplitLearning-v0", learner="surrogate", action="schedule").unwrapped
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"(subchannels|server_hz) = .*allowed"):
        env.restrict(subchannels, server_hz)


@pytest.mark.parametrize("entries", [{"action": "discrete"}, {"action": "schedule", "observation": ["subchannel"]}])
def test_a_part_needs_actions_and_observations_that_fit_it(entries):
    env = gym.make("SplitLearning-v0", learner="surrogate", **entries).unwrapped
    env.reset(seed=0)
    with pytest.raises(InputError, match="allowed: another encoding than action = 'discrete'"):
        env.restrict([0, 1], 1e9)


def test_actions_and_episodes_of_a_part():
    """A part that stays is a smaller cell, also where fading makes its subchannels other ones than those of a cell."""
    env = gym.make("SplitLearning-v0", learner="surrogate", action="schedule").unwrapped
    env.restrict([2, 5, 6], 0.5e9)
    for seed in (0, 1):
        env.reset(seed=seed)
        assert env.state.channel_gain.shape == (8, 3)
        assert env.state.server_hz == 0.5e9
        np.testing.assert_array_equal(env.state.channel_gain, env.whole_state.channel_gain[:, [2, 5, 6]])
        _, _, _, _, info = env.step(np.array([0, 1, 1, 1, 0, 0, 0, 0, 0, 0])[: env.action_space.shape[0]])
        assert info["participants"].tolist() == [True] * 3 + [False] * 5


def test_presets_are_found_and_files_are_read(tmp_path):
    assert presets() == ("two-slices",)
    file = tmp_path / "mine.toml"
    file.write_text('period_s = 5.0\n[[slices]]\nname = "a"\nscenario = "toy"\n', encoding="utf-8")
    assert made(slices=file).setup.period_s == 5.0
    file.write_text("period_s = ", encoding="utf-8")
    with pytest.raises(ScenarioError, match="slices file"):
        made(slices=file)


def test_own_scheduler_by_function_and_by_object():
    class Same:
        """A scheduler of one's own."""

        def __init__(self, env):
            self.inner = schedulers.make("greedy", env)

        def decide(self, state):
            return self.inner.decide(state)

    own, usual = (made(slices=[{"name": "a", "scheduler": scheduler}]) for scheduler in (Same, "greedy"))
    for env in (own, usual):
        env.reset(seed=6)
    np.testing.assert_equal(own.step(np.zeros(2)), usual.step(np.zeros(2)))


def test_frames_show_who_has_what():
    env = made(render_mode="ansi")
    env.reset(seed=0)
    assert f"band    {'A' * 10}{'B' * 10}" in env.render()
    env.play(Shares(np.array([5, 15]), np.array([0.25, 0.75])))
    shown = env.render()
    assert f"band    {'A' * 5}{'B' * 15}" in shown
    assert f"server  {'A' * 15}{'B' * 45}" in shown
    assert "latency-critical" in shown
    assert re.search(r"late: \d+ of \d+", shown)


def test_pixels_show_shares_by_area_and_late_rounds_in_red():
    env = made()
    env.reset(seed=0)
    shares = Shares(np.array([5, 15]), np.array([0.25, 0.75]))
    before = render(env.setup, env.cell, "rgb_array")
    for _ in range(8):
        env.play(shares)
    frame = render(env.setup, env.cell, "rgb_array")
    assert frame.shape == before.shape == (720, 1280, 3)
    assert frame.dtype == np.uint8
    blue, orange, red = (np.array(colour) for colour in ((0, 114, 178), (230, 159, 0), (213, 94, 0)))
    server = frame[118]  # A row of pixels through the server's bar.
    counts = [np.all(server == colour, axis=1).sum() for colour in (blue, orange)]
    assert counts[0] / sum(counts) == pytest.approx(0.25, abs=0.02)
    assert env.slices[0].progress.violations > 0
    assert np.all(frame == red, axis=2).sum() > np.all(before == red, axis=2).sum()
