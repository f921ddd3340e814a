"""The observation, index by index as the manual has it, worked out anew from `env.unwrapped.state`."""

import math

import gymnasium as gym
import numpy as np
import pytest
from rollouts import ACTIONS, make, sampled_actions

UNCERTAIN = {"channel_delay_rounds": 1, "channel_error_db": 3.0, "compute_delay_rounds": 1}


def squashed(value, reference):
    return value / (value + reference)


def as_the_manual_says(env, past):
    """`past`: who took part, round by round; phi and latency of the last round."""
    state, scenario = env.state, env.scenario
    radio, episode, clients = scenario.radio, scenario.episode, scenario.clients
    count, cuts = clients.count, env.cut_layers
    p_max = 10 ** (radio.client_power_max_dbm / 10) / 1000
    noise = 10 ** (radio.noise_psd_dbm_per_hz / 10) / 1000
    psd = p_max / (radio.subchannels * radio.subchannel_hz)
    estimate = [
        [squashed(math.log2(1 + psd * state.channel_gain[i, k] / noise), 4.0) for k in range(radio.subchannels)]
        for i in range(count)
    ]
    history, phi, latency = past
    participants = history[-1] if history else [False] * count
    absence = [next((n for n, who in enumerate(reversed(history)) if who[i]), len(history)) for i in range(count)]
    values = [sum(row) / len(row) for row in estimate]
    values += [
        squashed(hz, math.exp((math.log(clients.compute_min_hz) + math.log(clients.compute_max_hz)) / 2))
        for hz in state.client_hz
    ]
    values += [squashed(loss, math.log(10)) for loss in state.client_loss]
    values += [squashed(share * count, 1.0) for share in state.data_share]
    values += [float(flag) for flag in state.available]
    values += [float(flag) for flag in participants]
    values += [cut / cuts for cut in state.client_cut_layer]
    values += [squashed(rounds, 4.0) for rounds in absence]
    values += [squashed(sum(who[i] for who in history), 16.0) for i in range(count)]
    shares = state.class_share.tolist()
    taught = [
        sum((0.5 + sum(who[i] for who in history)) * state.data_share[i] * shares[i][k] for i in range(count))
        for k in range(10)
    ]
    values += [1 / (10 * sum(p * p for p in share)) for share in shares]
    values += [
        squashed(sum(p / (10 * t / sum(taught) + 0.05) for p, t in zip(share, taught, strict=True)), 1.0)
        for share in shares
    ]
    values += [state.accuracy, state.cut_layer / cuts, phi]
    values += [squashed(latency, episode.time_budget_s / episode.max_rounds)]
    values += [1 - state.round / episode.max_rounds, max(0.0, 1 - state.elapsed_s / episode.time_budget_s)]
    if env.action_space.shape[0] == 2 * radio.subchannels + count + 2 and hasattr(env.action_space, "nvec"):
        values += [value for row in estimate for value in row]
    return values


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("toy", {}),
        ("iot", {}),
        ("iot", {"knowledge": UNCERTAIN, "clients": {"dropout_probability": 0.4}}),
        ("bandwidth-limited", {"episode": {"max_rounds": 5, "time_budget_s": 60.0}}),
    ],
    ids=["toy", "iot", "uncertain iot", "bandwidth-limited"],
)
def test_observation_is_what_the_manual_says(preset, overrides, action):
    env = make(preset, action=action, **overrides)
    observation, _ = env.reset(seed=9)
    history = []
    assert observation.dtype == np.float32
    np.testing.assert_allclose(observation, as_the_manual_says(env, ([], 0.0, 0.0)), rtol=2e-7, atol=0)
    for sampled in sampled_actions(env, 4):
        observation, _, _, _, info = env.step(sampled)
        history.append(info["participants"])
        past = history, info["aggregation_ratio"], info["round_latency_s"]
        np.testing.assert_allclose(observation, as_the_manual_says(env, past), rtol=2e-7, atol=1e-9)
        assert env.observation_space.contains(observation)
        assert observation.min() >= 0
        assert observation.max() <= 1


@pytest.mark.parametrize("action", ["discrete", "priority"])
def test_it_is_a_function_of_what_rules_know(action):
    """A state that was copied and kept gives its own observation, whatever the environment has done since."""
    family = {"clients": [4, 6], "subchannel_hz": [9e4, 3.6e5]}
    env = make("iot", action=action, learner="surrogate", family=family, clients={"dropout_probability": 0.3})
    seen, kept = [env.reset(seed=3)[0]], [env.state]
    for _ in range(5):
        seen.append(env.step(env.action_space.sample())[0])
        kept.append(env.state)
    encode = env._simulation.observations.encode
    for observation, state in zip(seen, kept, strict=True):
        assert np.array_equal(encode(state.batch(), np.arange(1))[0], observation)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("preset", ["toy", "iot", "epsl"])
def test_every_index_has_its_own_name(preset, action):
    env = make(preset, action=action)
    names = env.observation_names
    clients, subchannels = env.scenario.clients.count, env.scenario.radio.subchannels
    assert len(names) == len(set(names)) == env.observation_space.shape[0]
    assert len(names) == 11 * clients + 6 + (clients * subchannels if action == "discrete" else 0)


def test_names_stand_where_their_values_are():
    env = make("iot")
    observation, _ = env.reset(seed=8)
    at = dict(zip(env.observation_names, observation, strict=True))
    for i, share in enumerate(env.state.data_share):
        assert at[f"data_share[{i}]"] == pytest.approx(8 * share / (8 * share + 1))
    assert at["accuracy"] == pytest.approx(env.state.accuracy)
    assert at["rounds_left"] == at["time_left"] == 1
    row = [at[f"subchannel[3,{k}]"] for k in range(8)]
    assert at["channel[3]"] == pytest.approx(np.mean(row), rel=1e-6)


def test_toy_observation_by_hand():
    """1 W over 2 MHz, gain 1e-10, noise 1e-16 W/Hz: log2(1.5) bit/s/Hz; equal shares; nothing known yet.

    Classes lie nearly evenly: 10 effective ones, each of novelty 1 / 1.05.
    """
    env = make(action="schedule")
    observation, info = env.reset(seed=0)
    channel = math.log2(1.5) / (math.log2(1.5) + 4)
    expected = [channel] * 2 + [0.5] * 6 + [1, 1] + [0] * 8 + [1, 1, 1 / 2.05, 1 / 2.05]
    expected += [info["accuracy"], 0, 0, 0, 1, 1]
    np.testing.assert_allclose(np.delete(observation, range(18, 22)), np.delete(expected, range(18, 22)), rtol=1e-6)
    np.testing.assert_allclose(observation[18:22], expected[18:22], rtol=0.2)


def test_absence_and_experience_count_rounds():
    env = make("iot", action="schedule", learner="surrogate")
    env.reset(seed=0)
    absence, experience = np.zeros(8), np.zeros(8)
    env.action_space.seed(0)
    for _ in range(4):
        action = env.action_space.sample()
        action[0] = 0
        observation, _, _, _, info = env.step(action)
        took_part = info["participants"]
        absence, experience = np.where(took_part, 0, absence + 1), experience + took_part
        at = dict(zip(env.observation_names, observation, strict=True))
        for i in range(8):
            assert at[f"absence[{i}]"] == pytest.approx(absence[i] / (absence[i] + 4))
            assert at[f"experience[{i}]"] == pytest.approx(experience[i] / (experience[i] + 16))
    assert absence.max() >= 2
    observation, _ = env.reset()
    at = dict(zip(env.observation_names, observation, strict=True))
    assert at["absence[0]"] == at["experience[0]"] == 0


@pytest.mark.parametrize("action", ACTIONS)
def test_it_can_be_asked_for_again(action):
    env = make("iot", action=action, learner="surrogate")
    with pytest.raises(gym.error.ResetNeeded):
        env.observe()
    seen = [env.reset(seed=0)[0]]
    assert np.array_equal(env.observe(), seen[0])
    for _ in range(3):
        seen.append(env.step(env.action_space.sample())[0])
        assert np.array_equal(env.observe(), seen[-1])
    assert not np.array_equal(seen[0], seen[-1])


def test_observation_stays_in_the_box_beyond_the_time_budget():
    env = make(action="schedule", episode={"time_budget_s": 0.01})
    env.reset(seed=0)
    observation, _, _, truncated, _ = env.step(np.array([0, 1, 1, 0]))
    assert truncated
    assert env.observation_space.contains(observation)
    assert observation[env.observation_names.index("time_left")] == 0


def test_a_family_shows_who_is_there_and_the_bandwidth():
    family = {"clients": [4, 6], "subchannel_hz": [9e4, 3.6e5]}
    env = make("iot", action="discrete", learner="surrogate", family=family)
    counts, bands = set(), set()
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        for _ in range(2):
            at, state = dict(zip(env.observation_names, observation, strict=True)), env.state
            present = [at[f"present[{i}]"] for i in range(8)]
            count = int(sum(present))
            assert present == [1] * count + [0] * (8 - count)
            assert at["bandwidth"] == pytest.approx(squashed(state.subchannel_hz[0], 180e3), rel=1e-6)
            for i in range(8):
                own = [value for name, value in at.items() if f"[{i}]" in name or f"[{i}," in name]
                assert any(own) == (i < count)
                share = squashed(state.data_share[i] * count, 1.0)
                assert at[f"data_share[{i}]"] == pytest.approx(share, rel=1e-6)
            psd = env.scenario.radio.client_power_max_w / state.subchannel_hz.sum()
            snr = psd * state.channel_gain[0, 3] / env.scenario.radio.noise_psd_w_per_hz
            assert at["subchannel[0,3]"] == pytest.approx(squashed(math.log2(1 + snr), 4.0), rel=1e-6)
            counts.add(count)
            bands.add(float(state.subchannel_hz[0]))
            observation, *_ = env.step(env.action_space.sample())
    assert counts == {4, 5, 6}
    assert len(bands) == 12
    assert min(bands) < 1.5e5
    assert max(bands) > 2.5e5
