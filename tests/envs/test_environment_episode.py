"""What a round does, costs, earns and reports, and how episodes end."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from rollouts import ACTIONS, LASTING, lasting, make, sampled_actions

from splitgym.allocation import equal_shares, project_power
from splitgym.envs.rewards import REWARDS
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan

FULL = 1e-6  # W/Hz on a subchannel of the toy: a client's whole budget of 1 W over 1 MHz
BOTH_IN = np.array([0, 0, 1, 4, 4, 1, 1, 2])
"""Toy, discrete: cut 1, a subchannel each at full power, both in, phi 0.5."""
PROGRESS = {
    "round": int,
    "elapsed_s": float,
    "accuracy": float,
    "worst_accuracy": float,
    "balanced_accuracy": float,
    "loss": float,
    "evaluated": bool,
    "evaluation_samples": int,
    "cost": float,
    "costs": dict,
}
ACCOUNT = {
    "round_latency_s": float,
    "stages": dict,
    "cut_layer": int,
    "aggregation_ratio": float,
    "selected": np.ndarray,
    "participants": np.ndarray,
    "without_subchannel": np.ndarray,
    "unavailable": np.ndarray,
    "timed_out": np.ndarray,
    "energy_j": float,
    "client_energy_j": np.ndarray,
    "server_energy_j": float,
    "traffic_bits": float,
    "migration_bits": float,
    "projected": bool,
    "finite": bool,
    "trained": bool,
    "reward_terms": dict,
}
STAGES = {"migration", "client_fp", "uplink", "server_fp", "server_bp", "broadcast", "unicast", "client_bp"}


def started(*arguments, seed=0, **options):
    env = make(*arguments, **options)
    env.reset(seed=seed)
    return env


def decision(cut=1, assignment=(0, 1), psd=(FULL, FULL), selected=(True, True), phi=0.5):
    return Decision(cut, np.array(assignment), np.array(psd, float), np.array(selected), phi)


def everybody(env, cut=1, phi=0.0):
    state = env.state
    return equal_shares(state, Plan(cut, phi), np.ones(len(state.available), bool))


# Information -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "framework"), [("toy", "epsl"), ("iot", "epsl"), ("iot", "psl")])
@pytest.mark.parametrize("action", ACTIONS)
def test_info_has_all_keys_in_plain_types(preset, framework, action):
    env = lasting(preset, framework, action)
    count = env.scenario.clients.count
    _, info = env.reset(seed=3)
    assert {key: type(value) for key, value in info.items()} == PROGRESS
    for sampled in sampled_actions(env, 3):
        _, reward, terminated, truncated, info = env.step(sampled)
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
        assert {key: type(value) for key, value in info.items()} == PROGRESS | ACCOUNT
        for key in ("selected", "participants", "without_subchannel", "unavailable", "timed_out"):
            assert (info[key].dtype, info[key].shape) == (bool, (count,)), key
        assert (info["client_energy_j"].dtype, info["client_energy_j"].shape) == (np.float64, (count,))
        assert set(info["stages"]) == STAGES
        assert {type(value) for value in (*info["stages"].values(), *info["reward_terms"].values())} == {float}
        assert all(np.isfinite(value) for value in info.values() if isinstance(value, float))


@pytest.mark.parametrize("preset", ["toy", "iot"])
@pytest.mark.parametrize("action", ACTIONS)
def test_parts_add_up_to_their_sums(preset, action):
    env = lasting(preset, action=action)
    _, info = env.reset(seed=6)
    elapsed = info["elapsed_s"]
    assert (elapsed, info["round"]) == (0.0, 0)
    for number, sampled in enumerate(sampled_actions(env, 6), 1):
        *_, info = env.step(sampled)
        assert sum(info["stages"].values()) == pytest.approx(info["round_latency_s"], rel=1e-12)
        elapsed += info["round_latency_s"]
        assert info["elapsed_s"] == pytest.approx(elapsed, rel=1e-12)
        assert info["round"] == number
        assert info["energy_j"] == pytest.approx(info["client_energy_j"].sum() + info["server_energy_j"], rel=1e-12)
        absent = info["without_subchannel"] | info["unavailable"] | info["timed_out"]
        assert np.array_equal(info["selected"], info["participants"] | absent)
        assert not (info["participants"] & absent).any()
        assert (env.state.round, env.state.elapsed_s) == (info["round"], info["elapsed_s"])
        assert env.state.accuracy == info["accuracy"]


def test_toy_round_by_hand():
    """The latency, joules and bits of `tests/timing/test_toy_round.py`, counted there."""
    env = started()
    _, _, _, _, info = env.step(BOTH_IN)
    assert info["round_latency_s"] == pytest.approx(0.085504)
    assert info["stages"]["uplink"] == pytest.approx(0.008192)
    assert info["client_energy_j"] == pytest.approx([0.073728, 0.073728])
    assert info["traffic_bits"] == pytest.approx(2 * 8192 + 4096 + 2 * 4096)
    assert (info["cut_layer"], info["aggregation_ratio"]) == (1, 0.5)
    assert info["participants"].tolist() == [True, True]
    assert not info["projected"]
    assert info["migration_bits"] == 0


def test_accuracy_is_a_share_of_the_evaluated_samples():
    env = started()
    *_, info = env.step(BOTH_IN)
    assert info["evaluation_samples"] == 100
    assert 0 <= info["worst_accuracy"] <= info["accuracy"] <= 1
    assert round(100 * info["worst_accuracy"], 9).is_integer()


def test_accuracy_is_measured_only_every_so_many_rounds():
    env = started(task={"evaluate_every": 3})
    measured = [env.step(BOTH_IN)[-1] for _ in range(6)]
    assert [info["evaluated"] for info in measured] == [False, False, True] * 2
    assert measured[0]["accuracy"] == measured[1]["accuracy"]
    assert measured[2]["accuracy"] == measured[3]["accuracy"]


def test_training_lowers_the_loss():
    env = started()
    losses = [env.play(everybody(env))[-1]["loss"] for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


# Rounds that go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["toy", "iot"])
def test_nobody_selected_lets_the_timeout_pass_and_teaches_nothing(preset):
    env = started(preset, action="schedule")
    env.play(everybody(env))
    before = env.state
    action = np.zeros(env.action_space.shape, int)
    _, _, _, _, info = env.step(action)
    timeout = env.scenario.episode.round_timeout_s
    assert info["round_latency_s"] == pytest.approx(timeout)
    assert sum(info["stages"].values()) == pytest.approx(timeout)
    assert (info["trained"], info["finite"]) == (False, True)
    assert info["accuracy"] == before.accuracy
    assert (info["traffic_bits"], info["energy_j"]) == (0, 0)
    assert not info["participants"].any()
    assert np.array_equal(env.state.client_loss, before.client_loss)
    assert env.state.cut_layer == before.cut_layer


def test_client_without_a_subchannel_is_listed_and_takes_no_part():
    env = started()
    _, _, _, _, info = env.play(decision(assignment=(0, 0), psd=(FULL / 2, FULL / 2)))
    assert info["without_subchannel"].tolist() == [False, True]
    assert info["participants"].tolist() == [True, False]


def test_client_that_is_too_slow_is_left_out_at_the_timeout():
    env = started(episode={"round_timeout_s": 0.05})
    # At a hundredth of the power the rate is log2(1.01) = 0.01436 Mbit/s: 8192 bits need 0.57 s.
    _, _, _, _, info = env.play(decision(psd=(FULL, FULL / 100)))
    assert info["timed_out"].tolist() == [False, True]
    assert info["participants"].tolist() == [True, False]
    assert info["stages"]["client_fp"] + info["stages"]["uplink"] == pytest.approx(0.05)


def test_power_beyond_the_budget_is_scaled_down_and_says_so():
    """Both subchannels at full power are 2 W: halved, the rate is 2 Mbit/s x log2(1 + 1/2)."""
    env = started()
    _, _, _, _, info = env.step(np.array([0, 0, 0, 4, 4, 1, 0, 0]))
    assert info["projected"]
    assert info["stages"]["uplink"] == pytest.approx(8192 / (2e6 * np.log2(1.5)))
    assert info["client_energy_j"][0] == pytest.approx(65536e-6 + 8192 / (2e6 * np.log2(1.5)))


def test_total_power_budget_is_kept_too():
    """1 W in all for two clients: half a watt each."""
    env = started(radio={"total_power_max_dbm": 30.0})
    _, _, _, _, info = env.step(BOTH_IN)
    assert info["projected"]
    assert info["stages"]["uplink"] == pytest.approx(8192 / (1e6 * np.log2(1.5)))


def test_power_of_who_is_out_counts_for_nothing():
    env = started()
    _, _, _, _, info = env.step(np.array([0, 0, 1, 4, 4, 1, 0, 0]))
    assert not info["projected"]
    assert info["client_energy_j"][1] == 0


def test_moved_cut_moves_bits_in_its_own_stage():
    """From cut 1 to 2 the 32 x 16 weights and 16 biases of the second unit go to both clients at 1 Mbit/s each."""
    env = started()
    env.play(decision(cut=1))
    _, _, _, _, down = env.play(decision(cut=2))
    _, _, _, _, stay = env.play(decision(cut=2))
    _, _, _, _, up = env.play(decision(cut=1))
    unit_bits = 32 * (32 * 16 + 16)
    assert [info["migration_bits"] for info in (down, stay, up)] == pytest.approx([2 * unit_bits, 0, 2 * unit_bits])
    seconds = [info["stages"]["migration"] for info in (down, stay, up)]
    assert seconds == pytest.approx([unit_bits / 1e6, 0, unit_bits / 1e6])
    assert down["traffic_bits"] - stay["traffic_bits"] == pytest.approx(2 * unit_bits)


def test_a_client_catches_up_with_the_cut_when_it_is_next_in():
    env = started()
    env.play(decision(cut=1))
    env.play(decision(cut=2, selected=(True, False)))
    assert env.state.client_cut_layer.tolist() == [2, 1]
    _, _, _, _, info = env.play(decision(cut=2))
    assert info["migration_bits"] == pytest.approx(32 * (32 * 16 + 16))
    assert env.state.client_cut_layer.tolist() == [2, 2]


# Belief and truth --------------------------------------------------------------------------------------------------


def test_round_runs_on_the_truth_and_is_decided_on_the_belief():
    env = started("iot", episode=LASTING, seed=2, knowledge={"channel_delay_rounds": 2, "channel_error_db": 4.0})
    for _ in range(4):
        state, truth = env.state, env.truth
        assert not np.allclose(state.channel_gain, truth.channel_gain, atol=0)
        chosen = everybody(env, cut=2)
        expected = round_cost(truth, project_power(chosen, truth)[0])
        believed = round_cost(state, project_power(chosen, state)[0])
        _, _, _, _, info = env.play(chosen)
        assert info["round_latency_s"] == pytest.approx(float(expected.latency_s), rel=1e-12)
        assert info["traffic_bits"] == pytest.approx(float(expected.traffic_bits), rel=1e-12)
        assert np.array_equal(info["participants"], expected.participants)
        assert info["round_latency_s"] != pytest.approx(float(believed.latency_s), rel=1e-9)


@pytest.mark.parametrize("delay", [1, 3])
def test_believed_channel_is_the_truth_of_so_many_rounds_ago(delay):
    env = started("iot", episode=LASTING, knowledge={"channel_delay_rounds": delay, "compute_delay_rounds": delay})
    truths = [env.truth]
    for _ in range(5):
        env.play(everybody(env))
        truths.append(env.truth)
        old = truths[max(0, len(truths) - 1 - delay)]
        assert np.array_equal(env.state.channel_gain, old.channel_gain)
        assert np.array_equal(env.state.client_hz, old.client_hz)


def test_with_perfect_knowledge_belief_is_truth():
    env = started("iot", episode=LASTING)
    env.play(everybody(env))
    for name, value in vars(env.truth).items():
        if name != "system":
            free = name == "prescribed_ratio"  # NaN: nothing is prescribed
            assert np.array_equal(getattr(env.state, name), value, equal_nan=free), name


def test_observation_does_not_leak_the_truth():
    """Two worlds that differ in the truth only: what is believed, and therefore seen, is the same."""
    env = started("iot", episode=LASTING, knowledge={"channel_delay_rounds": 50}, seed=1)
    observation, _, _, _, _ = env.play(everybody(env))
    later, _, _, _, _ = env.play(everybody(env))
    names = env.observation_names
    channel = [i for i, name in enumerate(names) if name.startswith(("channel", "subchannel"))]
    assert np.array_equal(observation[channel], later[channel])
    assert not np.allclose(env.truth.channel_gain, env.state.channel_gain, atol=0)


def test_clients_that_dropped_out_are_listed():
    env = started(clients={"dropout_probability": 1.0, "return_probability": 1.0})
    _, _, _, _, first = env.step(BOTH_IN)
    assert first["participants"].all()
    assert env.state.available.all(), "who has just vanished is still believed to be there"
    assert not env.truth.available.any()
    _, _, _, _, info = env.step(BOTH_IN)
    assert info["unavailable"].tolist() == [True, True]
    assert not info["trained"]
    assert info["round_latency_s"] == pytest.approx(2.0)
    assert not env.state.available.any()


# Rewards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", sorted(REWARDS))
def test_reward_is_the_weighted_sum_of_terms_that_are_worked_out_here(reward):
    env = make("toy", reward=reward, episode={"target_accuracy": 0.3, "stop_at_target": False, "max_rounds": 200})
    weights = {
        "gain-latency": (10, 10, 0, 0),
        "time-to-target": (0, 10, 0, 10),
        "gain-latency-energy": (10, 10, 0.1, 0),
    }[reward]
    _, info = env.reset(seed=0)
    best, reached = info["accuracy"], []
    for _ in range(60):
        before = info["accuracy"]
        _, got, _, _, info = env.play(everybody(env))
        target = float(best < 0.3 <= info["accuracy"])
        reached.append(target)
        terms = (info["accuracy"] - before, -info["round_latency_s"] / 20.0, -info["energy_j"], target)
        names = ("accuracy_gain", "latency", "energy", "target_reached")
        assert info["reward_terms"] == pytest.approx(dict(zip(names, terms, strict=True)))
        assert got == pytest.approx(sum(w * t for w, t in zip(weights, terms, strict=True)))
        best = max(best, info["accuracy"])
    assert best >= 0.3
    assert sum(reached) >= 1


def test_target_counts_once_even_if_accuracy_crosses_it_again():
    """1 in *the* round that reaches the target: an agent must not earn more by falling back below it."""
    wobbling = {"client_learning_rate": 1.0, "server_learning_rate": 1.0}
    episode = {"target_accuracy": 0.2, "stop_at_target": False, "max_rounds": 400, "time_budget_s": 100.0}
    env = make(training=wobbling, episode=episode)
    env.reset(seed=0)
    played = [env.play(everybody(env))[-1] for _ in range(80)]
    accuracy = np.array([info["accuracy"] for info in played])
    crossings = np.sum((accuracy[1:] >= 0.2) & (accuracy[:-1] < 0.2))
    assert crossings >= 2, "the episode must cross the target more than once for this test to say anything"
    assert sum(info["reward_terms"]["target_reached"] for info in played) == 1


def test_toy_reward_by_hand():
    env = make("toy", reward="gain-latency-energy")
    _, start = env.reset(seed=0)
    _, reward, _, _, info = env.step(BOTH_IN)
    energy = 2 * 0.073728 + 0.05632 + 0.004096 + 0.008192
    gain = info["accuracy"] - start["accuracy"]
    assert reward == pytest.approx(10 * gain - 10 * 0.085504 / 20 - 0.1 * energy)


# Ends --------------------------------------------------------------------------------------------------------------


def until_the_end(env, limit=1000):
    for _ in range(limit):
        *_, terminated, truncated, info = env.play(everybody(env))
        if terminated or truncated:
            return terminated, truncated, info
    raise AssertionError("no end")


@pytest.mark.parametrize("seed", range(3))
def test_toy_reaches_its_target_within_its_budgets_with_everybody_in(seed):
    env = started(seed=seed)
    terminated, truncated, info = until_the_end(env)
    assert info["accuracy"] >= 0.8
    assert (terminated, truncated) == (True, False)


def test_target_terminates_and_does_not_truncate():
    env = started(episode={"target_accuracy": 0.2})
    terminated, truncated, info = until_the_end(env)
    assert (terminated, truncated) == (True, False)
    assert info["accuracy"] >= 0.2
    assert info["reward_terms"]["target_reached"] == 1


def test_target_reached_in_the_last_round_still_terminates():
    rounds = until_the_end(started(episode={"target_accuracy": 0.2}))[-1]["round"]
    env = started(episode={"target_accuracy": 0.2, "max_rounds": rounds})
    terminated, truncated, info = until_the_end(env)
    assert (terminated, truncated, info["round"]) == (True, False, rounds)


def test_without_stop_at_target_the_episode_goes_on_to_its_budget():
    env = started(episode={"target_accuracy": 0.15, "stop_at_target": False, "max_rounds": 30})
    terminated, truncated, info = until_the_end(env)
    assert (terminated, truncated, info["round"]) == (False, True, 30)
    assert info["accuracy"] >= 0.15


def test_rounds_truncate():
    env = started(episode={"max_rounds": 3})
    assert until_the_end(env)[:2] == (False, True)
    assert env.state.round == 3


def test_time_truncates_in_the_round_that_spends_the_budget():
    env = started(episode={"time_budget_s": 0.3})
    terminated, truncated, info = until_the_end(env)
    assert (terminated, truncated) == (False, True)
    assert info["elapsed_s"] - info["round_latency_s"] < 0.3 <= info["elapsed_s"]


@pytest.mark.parametrize("episode", [{"max_rounds": 1}, {"target_accuracy": 0.01}])
def test_step_after_the_end_needs_a_reset(episode):
    env = started(episode=episode)
    env.step(BOTH_IN)
    for _ in range(2):
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            env.step(BOTH_IN)
    env.reset()
    env.step(BOTH_IN)


def test_step_before_the_first_reset_needs_a_reset():
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        make().step(BOTH_IN)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        gym.make("SplitLearning-v0", scenario="toy").step(BOTH_IN)


@pytest.mark.parametrize("look", ["state", "truth"])
def test_state_before_the_first_reset_needs_a_reset(look):
    with pytest.raises((gym.error.ResetNeeded, RuntimeError), match="reset"):
        getattr(make(), look)


def test_step_that_is_refused_changes_nothing():
    env, other = started(), started()
    with pytest.raises(ValueError, match="allowed"):
        env.step(BOTH_IN + 9)
    with pytest.raises(ValueError, match="cut_layer"):
        env.play(decision(cut=3))
    assert np.array_equal(env.step(BOTH_IN)[0], other.step(BOTH_IN)[0])


def test_states_of_one_round_are_equal_however_often_asked():
    env = started("iot", episode=LASTING, knowledge={"channel_error_db": 3.0})
    first = copy.deepcopy(env.state)
    assert np.array_equal(first.channel_gain, env.state.channel_gain)


def test_target_reached_after_the_time_budget_does_not_count():
    env = make("toy", action="schedule", episode={"time_budget_s": 0.05, "target_accuracy": 0.01})
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(np.array([0, 1, 1, 0]))
    assert info["elapsed_s"] > 0.05
    assert info["accuracy"] >= 0.01
    assert (terminated, truncated) == (False, True)
    assert info["reward_terms"]["target_reached"] == 0.0


@pytest.mark.parametrize(
    "radio",
    [
        {"downlink_psd_dbm_per_hz": -200.0},
        {"client_power_max_dbm": -200.0},
        {"noise_psd_dbm_per_hz": 0.0, "downlink_psd_dbm_per_hz": -200.0, "client_power_max_dbm": -200.0},
        {"noise_psd_dbm_per_hz": -250.0, "client_power_max_dbm": 100.0},
    ],
)
def test_everything_is_finite_at_the_ends_of_what_a_scenario_allows(radio):
    env = make("toy", action="schedule", radio=radio)
    observation, _ = env.reset(seed=0)
    assert np.isfinite(observation).all()
    observation, reward, *_, info = env.step(np.array([0, 1, 1, 0]))
    assert np.isfinite(observation).all()
    assert np.isfinite([reward, info["round_latency_s"], info["energy_j"], info["traffic_bits"]]).all()
