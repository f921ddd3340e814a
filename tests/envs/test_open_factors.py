"""Factors of the plan that a scenario opens: cut layers of each client's own, and the second cut."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import splitgym  # noqa: F401 - registers the environment
from splitgym.allocation import allocate, descend, descent, equal_shares
from splitgym.scenario import ScenarioError
from splitgym.timing import round_cost
from splitgym.types import Plan

ENCODINGS = ("discrete", "continuous", "schedule", "priority")
SMALL = {"scenario": "toy", "clients": {"count": 3}, "radio": {"subchannels": 4}}


def own(framework: str = "psl", action: str = "schedule", **arguments: object) -> gym.Env:
    return gym.make(
        "SplitLearning-v0",
        framework=framework,
        action=action,
        plan={"cut_layer": "by-client"},
        disable_env_checker=True,
        **SMALL,
        **arguments,
    ).unwrapped


def second(action: str = "schedule", **arguments: object) -> gym.Env:
    return gym.make(
        "SplitLearning-v0",
        framework="hierarchical",
        action=action,
        plan={"second_cut": "decided"},
        disable_env_checker=True,
        **SMALL,
        **arguments,
    ).unwrapped


@pytest.mark.parametrize("action", ENCODINGS)
def test_each_open_factor_adds_its_entries_and_closed_ones_none(action: str) -> None:
    def entries(env: gym.Env) -> int:
        return int(np.prod(env.action_space.shape))

    closed = gym.make("SplitLearning-v0", framework="psl", action=action, **SMALL).unwrapped
    assert entries(own(action=action)) == entries(closed) + 2
    assert entries(second(action)) == entries(closed) + 1
    assert entries(own("cpsl", action)) == entries(closed)  # the framework does not allow it


@pytest.mark.parametrize("framework", ["psl", "epsl", "sfl-v1", "sfl-v2", "sl"])
@pytest.mark.parametrize("action", ENCODINGS)
def test_every_action_is_played_and_trained(framework: str, action: str) -> None:
    env = own(framework, action)
    env.reset(seed=1)
    env.action_space.seed(2)
    mixed = False
    for _ in range(4):
        *_, terminated, truncated, info = env.step(env.action_space.sample())
        assert info["cut_layer"].shape == (3,)
        mixed |= len(set(info["cut_layer"][info["selected"]])) > 1
        assert np.isfinite(info["loss"])
        if terminated or truncated:
            break
    assert mixed


@pytest.mark.parametrize("make", [own, second])
@pytest.mark.parametrize("action", ["discrete", "schedule"])
def test_a_decision_becomes_its_own_action_again(make, action: str) -> None:
    env = make(action=action)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(10):
        sample = env.action_space.sample()
        decision = env.decode(sample)
        again = env.decode(env.encode(decision))
        np.testing.assert_array_equal(again.cut_layer, decision.cut_layer)
        np.testing.assert_array_equal(
            np.maximum(again.second_cut, np.min(decision.cut_layer)),
            np.maximum(decision.second_cut, np.min(decision.cut_layer)),
        )


def test_different_cuts_and_phi_do_not_go_together() -> None:
    env = own("epsl", "discrete")
    env.reset(seed=0)
    decision = replace(env.decode(env.action_space.sample()), selected=np.ones(3, bool), aggregation_ratio=0.5)
    env.play(replace(decision, cut_layer=np.array([2, 2, 2])))
    with pytest.raises(
        ValueError, match=r"Decision.cut_layer = \[1 2 2\], allowed: one for all with aggregation_ratio"
    ):
        env.play(replace(decision, cut_layer=np.array([1, 2, 2])))
    *_, info = env.play(replace(decision, cut_layer=np.array([1, 2, 2]), aggregation_ratio=0.0))
    np.testing.assert_array_equal(info["cut_layer"], [1, 2, 2])


def test_closed_factors_are_refused() -> None:
    env = gym.make("SplitLearning-v0", framework="psl", action="discrete", **SMALL).unwrapped
    env.reset(seed=0)
    decision = env.decode(env.action_space.sample())
    with pytest.raises(ValueError, match=r"Decision.cut_layer has shape \(3,\)"):
        env.play(replace(decision, cut_layer=np.array([1, 2, 2])))
    with pytest.raises(ValueError, match=r"Decision.second_cut = 2, allowed: 0..0"):
        env.play(replace(decision, second_cut=2))


def test_a_second_cut_that_moves_is_charged_over_the_backhaul_and_trains_the_same() -> None:
    # Four units: a second cut has three places.
    env, fixed = (second("discrete", task={"model": "cnn"}) for _ in range(2))
    for each in (env, fixed):
        each.reset(seed=3)
    env.action_space.seed(3)
    decision = replace(env.decode(env.action_space.sample()), selected=np.ones(3, bool), cut_layer=1)
    assert env.state.second_cut == 0
    bits = env.system.prefix_bits
    moved = []
    for cut in (2, 3, 3, 1):
        *_, info = env.play(replace(decision, second_cut=cut))
        *_, other = fixed.play(replace(decision, second_cut=2))
        moved.append(info["migration_bits"])
        assert info["loss"] == other["loss"]
        assert env.state.second_cut == cut
    np.testing.assert_allclose(moved, [0, bits[3] - bits[2], 0, bits[3] - bits[1]])


def test_the_descent_finds_the_best_of_all_second_cuts() -> None:
    for seed in range(5):
        env = second("discrete", cloud={"link_bits_per_s": 10.0 ** (5 + seed)})
        env.reset(seed=seed)
        state, everybody = env.state, np.ones(3, bool)
        found = round_cost(state, descend(state, everybody, 0.0)).latency_s
        tried = [
            descent(state, everybody, 0.0, cut_layer=cut, second_cut=at).latency_s
            for cut in range(1, env.cut_layers + 1)
            for at in range(cut, env.cut_layers + 1)
        ]
        assert found <= min(tried) * (1 + 1e-9)
        assert round_cost(state, allocate(state, Plan(1, 0.0), everybody)).latency_s >= found * (1 - 1e-9)


def test_the_surrogate_does_not_know_different_cuts() -> None:
    with pytest.raises(ScenarioError, match=r"plan.cut_layer = 'by-client' with learner = 'surrogate'"):
        gym.make("SplitLearning-v0", scenario="iot", plan={"cut_layer": "by-client"}, learner="surrogate")


@pytest.mark.parametrize("make", [("psl", {"cut_layer": "by-client"}), ("hierarchical", {"second_cut": "decided"})])
def test_vector_and_single_agree(make) -> None:
    framework, plan = make
    arguments = {**SMALL, "framework": framework, "plan": plan, "action": "schedule", "learner": "train"}
    vector = gym.make_vec("SplitLearning-v0", num_envs=2, vectorization_mode="vector_entry_point", **arguments)
    seen, _ = vector.reset(seed=5)
    singles = [gym.make("SplitLearning-v0", disable_env_checker=True, **arguments) for _ in range(2)]
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(single.reset(seed=5 + i)[0], seen[i])
    vector.action_space.seed(0)
    for _ in range(2):
        actions = vector.action_space.sample()
        seen, reward, terminated, truncated, info = vector.step(actions)
        assert not (terminated | truncated).any()
        for i, single in enumerate(singles):
            own_seen, own_reward, *_, own_info = single.step(actions[i])
            np.testing.assert_array_equal(own_seen, seen[i])
            assert own_reward == reward[i]
            np.testing.assert_array_equal(own_info["cut_layer"], info["cut_layer"][i])


def test_a_second_cut_that_is_left_open_lies_at_the_cut_layer() -> None:
    env = second("discrete", cloud={"link_bits_per_s": 1e6})
    env.reset(seed=3)
    state, everybody = env.state, np.ones(3, bool)
    for cut in range(1, env.cut_layers + 1):
        left_open, at_cut = (round_cost(state, equal_shares(state, Plan(cut, 0.0, at), everybody)) for at in (0, cut))
        assert left_open.latency_s == at_cut.latency_s
        assert left_open.traffic_bits == at_cut.traffic_bits
