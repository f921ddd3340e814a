"""Views against what other toolkits check, and against the environment that they show."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from code_blocks import ROOT, run

import splitgym  # noqa: F401 - registers the environments
from splitgym.inputs import InputError
from splitgym.views import OBJECTIVES, CostsApart

ARGUMENTS = {"scenario": "iot", "learner": "surrogate"}


def test_costs_stand_behind_the_reward():
    env = CostsApart(gym.make("SplitLearning-v0", action="continuous", budgets={"deadline_s": 20.0}, **ARGUMENTS))
    other = gym.make("SplitLearning-v0", action="continuous", budgets={"deadline_s": 20.0}, **ARGUMENTS)
    first, info = env.reset(seed=0)
    np.testing.assert_array_equal(first, other.reset(seed=0)[0])
    assert info["cost"] == 0.0
    env.action_space.seed(0)
    costs = set()
    for _ in range(12):
        action = env.action_space.sample()
        observation, reward, cost, *rest, info = env.step(action)
        same, same_reward, *same_rest, same_info = other.step(action)
        np.testing.assert_array_equal(observation, same)
        assert (reward, rest) == (same_reward, same_rest)
        assert cost == float(same_info["round_latency_s"] > 20.0)
        costs.add(cost)
        if any(rest):
            break
    assert costs == {0.0, 1.0}


def test_objectives_are_those_of_the_round():
    env = gym.make("mo-SplitLearning-v0", disable_env_checker=True, action="schedule", **ARGUMENTS)
    other = gym.make("SplitLearning-v0", action="schedule", **ARGUMENTS)
    env.reset(seed=2)
    other.reset(seed=2)
    env.action_space.seed(2)
    before = other.unwrapped.state.accuracy
    for _ in range(6):
        action = env.action_space.sample()
        _, vector, _, _, info = env.step(action)
        _, reward, _, _, same = other.step(action)
        expected = same["accuracy"] - before, -same["round_latency_s"], -same["energy_j"], -same["traffic_bits"]
        np.testing.assert_array_equal(vector, np.array(expected, np.float32))
        assert vector.dtype == np.float32
        assert env.unwrapped.reward_space.contains(vector)
        assert info["scalar_reward"] == pytest.approx(reward, rel=1e-5, abs=1e-6)
        before = same["accuracy"]
    assert env.unwrapped.reward_space.shape == (env.unwrapped.reward_dim,) == (len(OBJECTIVES),)


def test_linear_reward_of_mo_gymnasium_is_the_scalar_reward():
    mo_gymnasium = pytest.importorskip("mo_gymnasium", reason="needs mo-gymnasium")
    made = mo_gymnasium.make("mo-SplitLearning-v0", action="schedule", **ARGUMENTS)
    env = mo_gymnasium.wrappers.LinearReward(made, weight=made.unwrapped.weights())
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(5):
        _, reward, _, _, info = env.step(env.action_space.sample())
        assert np.ndim(reward) == 0
        assert reward == info["scalar_reward"] == np.dot(info["vector_reward"], info["reward_weights"])


def test_weights_of_unknown_rewards_are_refused():
    env = gym.make("mo-SplitLearning-v0", disable_env_checker=True, **ARGUMENTS).unwrapped
    assert env.weights("gain-latency-energy").tolist() == pytest.approx([10, 10 / 300, 0.1, 0])
    with pytest.raises(InputError, match=r"'gain'.*gain-latency"):
        env.weights("gain")
    with pytest.raises(InputError, match=r"'target_reached', allowed: gain-latency, gain-latency-energy"):
        env.weights("time-to-target")


@pytest.fixture
def clients():
    pytest.importorskip("pettingzoo", reason="needs pettingzoo")
    from splitgym.views.clients_as_agents import ClientsAsAgents  # noqa: PLC0415

    return ClientsAsAgents


def test_pettingzoo_finds_no_fault(clients):
    from pettingzoo.test import parallel_api_test, parallel_seed_test  # noqa: PLC0415

    dropping = ARGUMENTS | {"clients": {"dropout_probability": 0.3}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(clients(**dropping), num_cycles=40)
        parallel_seed_test(lambda: clients(**dropping), num_cycles=20)


def test_bids_and_cuts_are_an_action_of_the_priority_encoding(clients):
    env = clients(bids=2, **ARGUMENTS)
    env.reset(seed=0)
    said = dict.fromkeys(env.agents, 0) | {"client_1": 1 + 3 + 2, "client_4": 1 + 0 + 1, "client_6": 1 + 0 + 1}
    action = dict(zip(env._entries, env.joint_action(said).tolist(), strict=True))
    # 8^1 for cut layer 3 against twice 8^0 for cut layer 2.
    assert action["cut_layer"] == pytest.approx(2 / 3)
    assert [action[f"client_weight[{i}]"] for i in (0, 1, 4, 6)] == [-1.0, 1.0, 0.0, 0.0]
    _, rewards, _, _, infos = env.step(said)
    assert infos["client_0"]["cut_layer"] == 3
    assert not infos["client_0"]["selected"][[0, 2, 3, 5, 7]].any()
    assert len(set(rewards.values())) == 1


def test_clients_say_their_own_cuts_where_they_may(clients):
    env = clients(framework="psl", plan={"cut_layer": "by-client"}, **ARGUMENTS)
    env.reset(seed=0)
    cuts = np.array([1, 2, 3, 1, 2, 3, 1, 2])
    *_, infos = env.step({agent: 1 + 3 * 3 + cut - 1 for agent, cut in zip(env.agents, cuts.tolist(), strict=True)})
    np.testing.assert_array_equal(infos["client_0"]["cut_layer"], cuts)


def test_who_is_unavailable_can_only_stay_out(clients):
    env = clients(clients={"dropout_probability": 0.5, "return_probability": 0.2}, **ARGUMENTS)
    observations, _ = env.reset(seed=0)
    unavailable = 0
    for _ in range(8):
        available = env._env.state.available
        for i, agent in enumerate(env.agents):
            mask = observations[agent]["action_mask"]
            assert mask[0] == 1
            assert mask[1:].all() == mask[1:].any() == available[i]
            unavailable += not available[i]
        actions = {a: env.action_space(a).sample(mask=observations[a]["action_mask"]) for a in env.agents}
        observations, *_ = env.step(actions)
        if not env.agents:
            break
    assert unavailable > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"bids": 0}, "bids = 0, allowed: whole numbers from 1"),
        ({"latency_exponent": 2}, "latency_exponent = 2, allowed: -1..1"),
        ({"action": "schedule"}, "action is no argument here"),
        ({"framework": "psl", "plan": {"clock": "decided"}}, "'clock[0]' be decided"),
    ],
)
def test_wrong_arguments_are_named(clients, arguments, said):
    with pytest.raises(InputError) as error:
        clients(**ARGUMENTS, **arguments)
    assert said in str(error.value)


def test_missing_and_wrong_actions_are_named(clients):
    env = clients(**ARGUMENTS)
    env.reset(seed=0)
    with pytest.raises(InputError, match="none of 'client_7'"):
        env.step(dict.fromkeys(env.agents[:7], 0))
    with pytest.raises(InputError, match=r"'client_2' = 13, allowed: 0\.\.12"):
        env.step(dict.fromkeys(env.agents, 0) | {"client_2": 13})


def test_the_page_about_views_runs(tmp_path):
    for name in ("mo_gymnasium", "pettingzoo"):
        pytest.importorskip(name, reason=f"needs {name}")
    run(ROOT / "docs/views.md", tmp_path, "python")
