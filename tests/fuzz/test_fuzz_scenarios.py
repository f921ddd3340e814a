"""Whatever a legal scenario says: every observation, reward and number of a round is finite, and nothing hangs."""

import gymnasium as gym
import numpy as np
import pytest
from cases import cases, watchdog
from hypothesis import given
from hypothesis import strategies as st
from worlds import limits, overrides

import splitgym  # noqa: F401 - registers the environment
from splitgym.envs.actions import CODECS
from splitgym.envs.rewards import REWARDS
from splitgym.frameworks import names

TINY = {"train_samples": 60, "evaluation_samples": 4}
"""Of real training."""


def numbers(value):
    """All numbers in nested dictionaries and arrays."""
    if isinstance(value, dict):
        return np.concatenate([numbers(each) for each in value.values()]) if value else np.zeros(0)
    return np.ravel(np.asarray(value, np.float64))


def play(case, seed, rounds, **arguments):
    """Plays rounds with actions by chance; everything in them is finite and in its space."""
    with watchdog(case):
        env = gym.make("SplitLearning-v0", **arguments).unwrapped
        observation, info = env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(rounds):
            assert env.observation_space.contains(observation), observation
            assert np.isfinite(numbers(info)).all(), info
            assert 0 <= numbers(env.state.accuracy) <= 1
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            assert np.isfinite(reward), info
            if terminated or truncated:
                observation, info = env.reset()


@given(
    preset=st.sampled_from([("iot", (4, 14)), ("toy", (2, 6)), ("bandwidth-limited", (5, 16))]),
    data=st.data(),
    framework=st.sampled_from(["epsl", "psl", "hierarchical"]),
    action=st.sampled_from(sorted(CODECS)),
    reward=st.sampled_from(sorted(REWARDS)),
    seed=st.integers(0, 2**32),
)
@cases(60)
def test_every_number_is_finite(preset, data, framework, action, reward, seed):
    name, clients = preset
    sections = data.draw(overrides(clients))
    # A cloud behind a network of a few units.
    sections["cloud"]["cut_layer"] = data.draw(st.integers(0, 2))
    play(
        (preset, sections, framework, action, reward, seed),
        seed % 1000,
        3,
        scenario=name,
        learner="surrogate",
        framework=framework,
        action=action,
        reward=reward,
        **sections,
    )


LEVELS = (
    ("radio", "client_power_max_dbm"),
    ("radio", "total_power_max_dbm"),
    ("radio", "downlink_psd_dbm_per_hz"),
    ("radio", "noise_psd_dbm_per_hz"),
    ("cell", "constant_loss_db"),
    ("radio", "rician_factor_db"),
    ("knowledge", "channel_error_db"),
)
"""Fields in dBm and dB."""


@given(framework=st.sampled_from(names()), data=st.data(), action=st.sampled_from(["schedule", "priority"]))
@cases(20, share=0.5)
def test_no_framework_hangs_at_the_edges_of_power_and_loss(framework, data, action):
    sections = {"cell": {}, "radio": {}, "knowledge": {}}
    for section, name in LEVELS:
        if data.draw(st.booleans()):
            sections[section][name] = data.draw(st.sampled_from(limits(section, name)))
    sections["radio"]["sharing"] = data.draw(st.sampled_from(["static", "on-demand"]))
    play(
        (framework, action, sections),
        0,
        2,
        scenario="toy",
        framework=framework,
        action=action,
        task=TINY,
        cloud={"cut_layer": 1},
        **sections,
    )


@pytest.mark.parametrize(
    "change", [{"scenario": "toy", "cell": {"constant_loss_db": 300}}, {"radio": {"total_power_max_dbm": -200}}]
)
def test_whom_nobody_hears_leaves_the_round_to_the_timeout(change):
    env = gym.make("SplitLearning-v0", framework="fl", action="schedule", **change).unwrapped
    env.reset(seed=0)
    everybody = np.array([0, *[1] * env.scenario.clients.count, 0])
    with watchdog(change):
        *_, info = env.step(everybody)
    assert info["round_latency_s"] == env.scenario.episode.round_timeout_s
    assert not info["participants"].any()


def test_a_large_scenario_says_how_large_it_is():
    with pytest.warns(
        RuntimeWarning, match=r"'toy' is large: .* are 1260000 channel gains in 1 worlds .*, about 202 MB"
    ):
        gym.make(
            "SplitLearning-v0",
            scenario="toy",
            clients={"count": 6},
            radio={"subchannels": 10_000},
            knowledge={"channel_delay_rounds": 20},
        )
