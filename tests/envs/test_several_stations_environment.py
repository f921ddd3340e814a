"""Environments with several stations: what they show, that vector and single agree, that all frameworks play."""

from copy import deepcopy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees

from splitgym import frameworks, schedulers
from splitgym.allocation import equal_shares
from splitgym.scenario import ScenarioError
from splitgym.timing import round_cost
from splitgym.types import Plan

TOY_STATIONS = {
    "stations": [
        {"name": "left", "position_m": (-60.0, 10.0), "node": "server"},
        {"name": "right", "position_m": (60.0, 10.0)},
    ],
    "links": [{"name": "wire", "ends": ("left", "right"), "bits_per_s": 1e6}],
    "cell": {"mobility": "road", "path_loss": "umi"},
    "road": {"length_m": 240.0},
    "radio": {"carrier_hz": 3.5e9},
}

LONG = {"time_budget_s": 1e6, "stop_at_target": False}
"""No episode ends."""


@pytest.mark.parametrize("preset", ["highway", "campus"])
def test_vector_agrees(preset):
    names = ("station", "handovers", "traffic_bits", "round_latency_s")
    vector = assert_vector_agrees(3, 8, names, scenario=preset, learner="surrogate", action="continuous", episode=LONG)
    names = vector.single_observation_space.names
    assert {"station[9]", "interruption[9]", "wired[9]"} <= set(names)


def test_handovers_are_told():
    env = gym.make("SplitLearning-v0", scenario="highway", learner="surrogate", action="schedule", episode=LONG)
    greedy, (seen, info) = schedulers.make("greedy", env), env.reset(seed=1)
    names, counted = env.unwrapped.observation_names, 0
    assert info["handovers"] == 0
    for _ in range(25):
        before = info["station"]
        seen, _, _, _, info = env.step(greedy.act(seen, info))
        changed = info["station"] != before
        counted += changed.sum()
        assert info["handovers"] == changed.sum()
        shown = np.array([seen[names.index(f"interruption[{i}]")] for i in range(10)])
        np.testing.assert_array_equal(shown > 0, changed)
        stations = [seen[names.index(f"station[{i}]")] for i in range(10)]
        np.testing.assert_allclose(stations, info["station"] / 4, rtol=1e-6)
    assert counted > 5


@pytest.mark.parametrize("action", ["discrete", "priority"])
def test_one_row_beside_the_server_changes_no_bit(action):
    row = {"name": "only", "position_m": (0.0, 0.0), "node": "server"}
    settings = {"learner": "surrogate", "action": action, "cell": {"speed_m_per_s": 1.5}, "episode": LONG}
    plain, with_row = (gym.make("SplitLearning-v0", scenario="iot", stations=rows, **settings) for rows in ((), (row,)))
    assert with_row.observation_space == plain.observation_space
    np.testing.assert_array_equal(with_row.reset(seed=2)[0], plain.reset(seed=2)[0])
    plain.action_space.seed(0)
    for _ in range(10):
        drawn = plain.action_space.sample()
        seen, reward, _, _, info = plain.step(drawn)
        seen_with_row, reward_with_row, _, _, info_with_row = with_row.step(drawn)
        np.testing.assert_array_equal(seen_with_row, seen)
        assert reward_with_row == reward
        assert info_with_row.keys() == info.keys()
        for name in ("round_latency_s", "energy_j", "traffic_bits", "server_energy_j", "stages"):
            assert info_with_row[name] == info[name]


def test_a_copy_goes_the_same_way():
    env = gym.make(
        "SplitLearning-v0", scenario="highway", learner="surrogate", action="schedule", episode=LONG
    ).unwrapped
    env.reset(seed=4)
    everybody = np.array([0, *[1] * 10, 0])
    for _ in range(3):
        env.step(everybody)
    copy, changes = deepcopy(env), 0
    for _ in range(10):
        seen, _, _, _, info = env.step(everybody)
        seen_by_copy, _, _, _, info_of_copy = copy.step(everybody)
        np.testing.assert_array_equal(seen, seen_by_copy)
        np.testing.assert_array_equal(info["station"], info_of_copy["station"])
        changes += info["handovers"]
    assert changes > 0


@pytest.mark.parametrize("framework", frameworks.names())
def test_every_framework_trains_between_stations(framework):
    env = gym.make("SplitLearning-v0", scenario="toy", framework=framework, action="schedule", **TOY_STATIONS)
    seen, info = env.reset(seed=3)
    greedy = schedulers.make("greedy", env)
    for _ in range(3):
        seen, _, _, _, info = env.step(greedy.act(seen, info))
        assert info["finite"]
        assert sum(info["stages"].values()) == pytest.approx(info["round_latency_s"], rel=1e-9)


def test_asynchronous_clients_wait_for_handovers_and_wires():
    """Two equal clients, one of them behind a wire or handed over: it delivers later, by what that takes."""
    env = gym.make("SplitLearning-v0", scenario="toy", framework="async-psl", action="schedule", **TOY_STATIONS)
    env.reset(seed=3)
    truth = env.unwrapped.truth
    truth = replace(
        truth,
        channel_gain=np.full_like(truth.channel_gain, 1e-9),
        wired_s_per_bit=np.zeros((2, 1)),
        station=np.zeros(2, int),
        interruption_s=np.zeros(2),
    )
    decision = equal_shares(truth, Plan(1, 0.0), np.ones(2, bool))
    plain = round_cost(truth, decision)
    later = round_cost(replace(truth, interruption_s=np.array([0.0, 0.25])), decision)
    behind = round_cost(replace(truth, station=np.array([0, 1]), wired_s_per_bit=np.array([[0.0], [1e-6]])), decision)
    assert later.latency_s == pytest.approx(plain.latency_s + 0.25, rel=1e-9)
    assert later.stage_s.sum() == pytest.approx(later.latency_s, rel=1e-9)
    sent = plain.traffic_bits / 2
    assert behind.latency_s == pytest.approx(plain.latency_s + sent * 1e-6, rel=1e-9)
    assert behind.traffic_bits == pytest.approx(plain.traffic_bits + sent, rel=1e-9)
    np.testing.assert_allclose(behind.client_energy_j, plain.client_energy_j, rtol=1e-9)
    np.testing.assert_allclose(later.client_energy_j, plain.client_energy_j, rtol=1e-9)


def test_delays_are_refused_where_mini_batches_are_in_flight():
    slow = {**TOY_STATIONS, "links": [{**TOY_STATIONS["links"][0], "delay_s": 0.01}]}
    with pytest.raises(ScenarioError, match=r"row 'wire': delay_s above 0 .* 'async-psl', .* allowed: 0"):
        gym.make("SplitLearning-v0", scenario="toy", framework="async-psl", **slow)


def test_features_of_stations_need_several():
    with pytest.raises(ScenarioError, match="feature 'wired', allowed: with several rows of stations"):
        gym.make("SplitLearning-v0", scenario="iot", learner="surrogate", observation=["standard", "wired"])
