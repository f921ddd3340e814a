"""Channel gains and speeds of one's own."""

import gymnasium as gym
import numpy as np
import pytest

from splitgym.scenario import ScenarioError, build

GAINS = np.random.default_rng(0).uniform(1e-12, 1e-9, (3, 2, 2))
"""Of three rounds, the toy's two clients and two subchannels."""


def replaced(gain):
    """The gains with one that differs."""
    gains = GAINS.copy()
    gains[2, 1, 0] = gain
    return gains


def made(tmp_path, gains=GAINS, **options):
    np.savez(tmp_path / "trace.npz", gains=gains)
    options = {"learner": "surrogate", "action": "schedule", "radio": {"trace": str(tmp_path / "trace.npz")}, **options}
    return gym.make("SplitLearning-v0", scenario="toy", **options)


def test_rounds_have_the_gains_of_the_trace_and_begin_again_after_the_last(tmp_path):
    env = made(tmp_path)
    for seed in (0, 1):
        env.reset(seed=seed)
        for number in range(5):
            world = env.unwrapped
            assert np.array_equal(world.truth.channel_gain, GAINS[number % 3])
            assert np.array_equal(world.state.channel_gain, GAINS[number % 3])
            env.step(env.action_space.sample())


def test_episodes_take_traces_by_their_seed_and_a_vector_environment_the_same(tmp_path):
    several = np.stack([GAINS, 2 * GAINS, 3 * GAINS])
    env = made(tmp_path, several)
    options = {"learner": "surrogate", "action": "schedule", "radio": {"trace": str(tmp_path / "trace.npz")}}
    envs = gym.make_vec("SplitLearning-v0", 12, "vector_entry_point", scenario="toy", **options)
    observations, _ = envs.reset(seed=0)
    found = set()
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        assert np.array_equal(observation, observations[seed])
        (factor,) = set(np.round(env.unwrapped.truth.channel_gain / GAINS[0], 9).ravel())
        found.add(factor)
        env.reset(seed=seed)
        assert np.array_equal(env.unwrapped.truth.channel_gain, factor * GAINS[0])
    assert found == {1.0, 2.0, 3.0}


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        (GAINS[0], r"shape \(2, 2\), allowed: \[rounds, 2, 2\]"),
        (GAINS[:, :1], r"shape \(3, 1, 2\), allowed"),
        (-GAINS, r"gains\[0, 0, 0\] = -\S+, allowed: 1e-60 to 1e\+12"),
        (replaced(np.nan), r"gains\[2, 1, 0\] = nan, allowed: 1e-60"),
        (replaced(0.0), r"gains\[2, 1, 0\] = 0, allowed: 1e-60"),
        (replaced(np.inf), r"gains\[2, 1, 0\] = inf, allowed: 1e-60"),
        (replaced(5e-324), r"gains\[2, 1, 0\] = 4.94066e-324, allowed: 1e-60"),
        (GAINS > 0, "gains are bool, allowed: floats"),
    ],
)
def test_gains_that_do_not_fit_are_refused(tmp_path, gains, words):
    with pytest.raises(ScenarioError, match=words):
        made(tmp_path, gains)


@pytest.mark.parametrize("gain", [1e-60, 1e12])
def test_rounds_with_the_weakest_and_strongest_gains_are_numbers(tmp_path, gain):
    env = made(tmp_path, np.full((1, 2, 2), gain), episode={"stop_at_target": False})
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(5):
        observation, reward, _, _, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert np.isfinite([reward, info["energy_j"], info["round_latency_s"]]).all()
        assert info["traffic_bits"] >= 0


def test_what_a_trace_cannot_have_beside_it_is_refused(tmp_path):
    with pytest.raises(ScenarioError, match=r"knowledge.channel_delay_rounds = 1 with radio.trace, allowed: 0"):
        made(tmp_path, knowledge={"channel_delay_rounds": 1})
    with pytest.raises(ScenarioError, match=r"radio.trace = 'trace.csv': allowed: the path of an .npz file"):
        build("toy", {"radio": {"trace": "trace.csv"}})
    with pytest.raises(ScenarioError, match=r"nowhere.npz' cannot be read"):
        made(tmp_path, radio={"trace": str(tmp_path / "nowhere.npz")})


def test_clients_have_speeds_of_ones_own():
    speeds = {"compute_min_hz": 1e9, "compute_max_hz": 4e9, "speeds_hz": [3e9, 1.5e9], "load_max": 0.0}
    env = gym.make("SplitLearning-v0", scenario="toy", learner="surrogate", clients=speeds)
    for seed in range(3):
        env.reset(seed=seed)
        assert env.unwrapped.truth.client_hz.tolist() == [3e9, 1.5e9]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"speeds_hz": [1e9]}, "speeds_hz has 1 numbers, allowed: 2"),
        ({"speeds_hz": [1e3, 1e9]}, "speeds_hz has 1000, allowed: compute_min_hz"),
    ],
)
def test_speeds_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(ScenarioError, match=words):
        build("toy", {"clients": fields})
