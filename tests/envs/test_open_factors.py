"""Factors of the plan that a scenario opens: cut layers of each client's own, and the second cut."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees

import splitgym  # noqa: F401 - registers the environment
from splitgym.allocation import allocate, descend, descent, equal_shares, exact, lower_bound, paper_descend
from splitgym.allocation.baselines.allocators import assign_at_best_cut, in_index_order
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


def u_shaped(action: str = "schedule", **arguments: object) -> gym.Env:
    """Four units: cut layers 1 and 2, second cuts 2 and 3."""
    sections = {"task": {"model": "cnn"}, "plan": {"second_cut": "decided"}, **SMALL, **arguments}
    return gym.make(
        "SplitLearning-v0", framework="u-shaped", action=action, disable_env_checker=True, **sections
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


@pytest.mark.parametrize("make", [own, second, u_shaped])
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


def test_where_the_surrogate_was_not_compared_with_different_cuts_it_says_what_compares_it() -> None:
    message = (
        r"plan.cut_layer = 'by-client' with learner = 'surrogate', allowed: 'common'; `python -m experiments "
        r"calibrate.variants --scenario toy --framework psl --variants cuts-by-client` finds out"
    )
    with pytest.raises(ScenarioError, match=message):
        own(learner="surrogate")


def test_surrogates_of_vector_and_single_environments_agree_at_cuts_of_their_own() -> None:
    arguments = {"scenario": "iot", "framework": "psl", "plan": {"cut_layer": "by-client"}, "action": "schedule"}
    arguments |= {"episode": {"time_budget_s": 1e6}}
    assert_vector_agrees(3, 6, ("cut_layer", "accuracy"), learner="surrogate", **arguments)


@pytest.mark.parametrize(
    "make",
    [
        ("psl", {"cut_layer": "by-client"}),
        ("hierarchical", {"second_cut": "decided"}),
        ("u-shaped", {"second_cut": "decided"}),
    ],
)
def test_vector_and_single_agree(make) -> None:
    framework, plan = make
    arguments = {**SMALL, "framework": framework, "plan": plan, "action": "schedule", "learner": "train"}
    assert_vector_agrees(2, 2, ("cut_layer",), **arguments)


def test_information_says_where_the_second_cut_was() -> None:
    env = u_shaped("schedule", learner="train")
    env.reset(seed=0)
    decision = env.decode(env.action_space.sample())
    for cut, second, expected in ((1, 2, 2), (1, 3, 3), (2, 0, 3), (1, 0, 2)):
        *_, info = env.play(replace(decision, cut_layer=cut, second_cut=second))
        assert info["second_cut"] == expected
    assert "second_cut" not in own(learner="train").reset(seed=0)[1]


def test_a_second_cut_that_is_left_open_lies_at_the_cut_layer() -> None:
    env = second("discrete", cloud={"link_bits_per_s": 1e6})
    env.reset(seed=3)
    state, everybody = env.state, np.ones(3, bool)
    for cut in range(1, env.cut_layers + 1):
        left_open, at_cut = (round_cost(state, equal_shares(state, Plan(cut, 0.0, at), everybody)) for at in (0, cut))
        assert left_open.latency_s == at_cut.latency_s
        assert left_open.traffic_bits == at_cut.traffic_bits


@pytest.mark.parametrize("action", ENCODINGS)
def test_every_action_has_a_unit_between_the_cuts(action: str) -> None:
    """Whatever an encoding says; what moves at both ends of the clients is charged."""
    env = u_shaped(action)
    env.reset(seed=1)
    env.action_space.seed(2)
    bits, seen = env.system.prefix_bits, set()
    for _ in range(8):
        sample = env.action_space.sample()
        decision = env.decode(sample)
        before = env.state
        cuts = int(decision.cut_layer), int(decision.second_cut)
        assert 1 <= cuts[0] < cuts[1] <= 3
        *_, terminated, truncated, info = env.step(sample)
        took_part, held = info["participants"], before.client_second_cut > 0
        moved = np.abs(bits[cuts[0]] - bits[before.client_cut_layer])
        moved += np.abs(bits[cuts[1]] - bits[before.client_second_cut])
        assert info["migration_bits"] == pytest.approx((moved * took_part * held).sum())
        np.testing.assert_array_equal(env.state.client_second_cut[took_part], cuts[1])
        seen.add(cuts)
        if terminated or truncated:
            break
    assert len(seen) > 1


def test_a_second_cut_that_leaves_no_unit_to_the_server_is_refused() -> None:
    env = u_shaped("discrete")
    env.reset(seed=0)
    decision = replace(env.decode(env.action_space.sample()), cut_layer=2, second_cut=2)
    with pytest.raises(ValueError, match=r"Decision.second_cut = 2, allowed with cut_layer = 2: more than that"):
        env.play(decision)
    everybody = np.ones(3, bool)
    with pytest.raises(ValueError, match=r"second_cut = 2, allowed with cut_layer = 2: more than that"):
        descent(env.state, everybody, 0.0, cut_layer=2, second_cut=2)
    with pytest.raises(ValueError, match=r"second_cut = 1, allowed: 2..3"):
        descent(env.state, everybody, 0.0, second_cut=1)
    with pytest.raises(ScenarioError, match=r"clients.tail_units = 3: a network of 4 units allows at most 2"):
        u_shaped(clients={"count": 3, "tail_units": 3})


@pytest.mark.parametrize("moved", [False, True])
def test_descent_and_bounds_look_at_all_pairs_of_cuts(moved: bool) -> None:
    """Also where the clients hold others, and fetching them costs."""
    env = u_shaped(radio={"subchannels": 4, "subchannel_hz": 2e5}, episode={"round_timeout_s": 1e6})
    env.reset(seed=4)
    state, everybody = env.state, np.ones(3, bool)
    if moved:
        held = {"client_cut_layer": np.array([1, 2, 1]), "client_second_cut": np.array([3, 3, 2])}
        state = replace(state, **held)
    pairs = {(1, 2), (1, 3), (2, 3)}
    seconds = {
        pair: float(descent(state, everybody, 0.0, cut_layer=pair[0], second_cut=pair[1]).latency_s) for pair in pairs
    }
    found = descent(state, everybody, 0.0)
    assert found.latency_s <= min(seconds.values()) * (1 + 1e-9)
    for cut in (1, 2):
        at_cut = descent(state, everybody, 0.0, cut_layer=cut)
        assert at_cut.latency_s <= min(s for (j, _), s in seconds.items() if j == cut) * (1 + 1e-9)
        assert at_cut.decision.second_cut > at_cut.decision.cut_layer == cut
    for second_cut in (2, 3):
        at_second = descent(state, everybody, 0.0, second_cut=second_cut)
        assert at_second.decision.second_cut == second_cut > at_second.decision.cut_layer
    best = exact(state, everybody, 0.0, tolerance=1e-3, time_limit_s=20)
    assert best.bound_s <= found.latency_s * (1 + 1e-6)
    assert lower_bound(state, everybody, 0.0) <= best.latency_s * (1 + 1e-6)
    assert round_cost(state, best.decision).latency_s == pytest.approx(best.latency_s, rel=1e-6)
    for rule in (paper_descend, equal_shares_at_best_cut):
        decision = rule(state, everybody, 0.0)
        decision.check(state)
        assert round_cost(state, decision).latency_s >= best.bound_s * (1 - 1e-6)


def equal_shares_at_best_cut(state, selected, aggregation_ratio):
    return assign_at_best_cut(state, selected, aggregation_ratio, in_index_order)


def test_where_second_cuts_are_decided_each_clients_own_is_shown() -> None:
    env = u_shaped()
    observation, _ = env.reset(seed=1)
    at = [env.observation_names.index(f"client_second_cut[{i}]") for i in range(3)]
    env.action_space.seed(3)
    for _ in range(4):
        np.testing.assert_array_equal(observation[at], np.float32(env.state.client_second_cut / 3))
        observation, *_ = env.step(env.action_space.sample())
    assert env.state.client_second_cut.any()
    fixed = u_shaped(plan={})
    assert not any(name.startswith("client_second_cut") for name in fixed.observation_names)


@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_what_is_charged_is_what_was_handed_over_at_both_cuts(sharing: str) -> None:
    """With several codecs, clients that are left out, and cuts that move."""
    codecs = {"second_cut": "decided", "codecs": ["none", "uniform-8", "top-k:0.1"], "codec": "by-client"}
    radio = {"subchannels": 4, "sharing": sharing}
    episode = {"round_timeout_s": 1e5, "time_budget_s": 1e8, "max_rounds": 50, "target_accuracy": 1.0}
    env = u_shaped("discrete", plan=codecs, radio=radio, episode=episode)
    env.reset(seed=2)
    env.action_space.seed(5)
    handed_over = set()
    for _ in range(8):
        *_, info = env.step(env.action_space.sample())
        (learner,) = env._simulation.world._learner.learners
        bits = sum(learner.traffic_bits.values())
        assert info["traffic_bits"] - info["migration_bits"] == pytest.approx(bits, rel=1e-9)
        handed_over.add(bits)
    assert len(handed_over) > 4
