"""Which servers train what is behind the cut, as a factor of the plan that a scenario opens."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from paths import ALONE, NEAR, NODES, PATH, on_paths
from rollouts import ACTIONS, LASTING, differences, play_on, sampled_actions

import splitgym  # noqa: F401 - registers the environment
from splitgym import schedulers
from splitgym.allocation import descend, descent
from splitgym.envs.placement_features import way
from splitgym.timing import round_cost
from splitgym.types import Plan
from splitgym.types.placements import relocation_seconds, seconds_behind_cut, wired_seconds

ALL = (ALONE, NEAR, PATH)
EPISODE = {**LASTING, "round_timeout_s": 1e4}


def placed(action: str = "schedule", *candidates: Any, framework: str = "multi-hop", **sections: Any) -> Any:
    scenario = on_paths(*(candidates or ALL), episode=EPISODE, **sections)
    made = gym.make(
        "SplitLearning-v0",
        disable_env_checker=True,
        scenario=scenario,
        framework=framework,
        action=action,
        learner="surrogate",
    )
    return made.unwrapped


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_say_it_and_decisions_come_back(action: str) -> None:
    env = placed(action)
    assert not any(name.startswith("placement") for name in placed(action, ALONE).action_space.names)
    env.reset(seed=0)
    seen = set()
    for sampled in sampled_actions(env, 20):
        decision = env.decode(sampled)
        seen.add(int(decision.placement))
        assert env.decode(env.encode(decision)).placement == decision.placement
        assert env.step(sampled)[-1]["placement"] == decision.placement
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("action", "said"), [("schedule", 1), ("discrete", 1), ("continuous", 3), ("priority", 3)])
def test_in_whole_numbers_it_is_an_index_and_in_a_box_the_highest_score(action: str, said: int) -> None:
    env = placed(action)
    env.reset(seed=0)
    at = [index for index, name in enumerate(env.action_space.names) if name.startswith("placement")]
    assert len(at) == said
    chosen = {(2,): 2} if said == 1 else {(-0.1, 0.3, 0.2): 1, (-1.0, -1.0, -0.9): 2, (1.0, 0.0, 1.0): 0}
    for entries, placement in chosen.items():
        sampled = env.action_space.sample()
        sampled[at] = entries
        assert env.decode(sampled).placement == placement


@pytest.mark.parametrize("action", ACTIONS)
def test_vector_environments_agree_to_the_bit(action: str) -> None:
    scenario = on_paths(*ALL, episode=EPISODE)
    given = {"scenario": scenario, "framework": "multi-hop", "learner": "surrogate", "action": action}
    names = ("placement", "round_latency_s", "migration_bits", "traffic_bits", "server_energy_j")
    assert_vector_agrees(3, 8, names, **given)


def test_with_one_placement_everything_is_as_with_psl() -> None:
    env, psl = placed("discrete", ALONE), placed("discrete", ALONE, framework="psl")
    assert env.observation_space == psl.observation_space
    assert env.action_space == psl.action_space
    seen, other = env.reset(seed=3)[0], psl.reset(seed=3)[0]
    np.testing.assert_array_equal(seen, other)
    for action in sampled_actions(env, 10):
        (seen, reward, *_, info), (theirs, their_reward, *_, their_info) = env.step(action), psl.step(action)
        np.testing.assert_array_equal(seen, theirs)
        assert reward == their_reward
        for name in ("round_latency_s", "energy_j", "traffic_bits", "migration_bits"):
            assert info[name] == their_info[name]


def test_what_moved_is_remembered_until_the_next_episode() -> None:
    env = placed()
    env.reset(seed=0)
    rule = schedulers.make("greedy", env, cut_layer=1)
    index = env.system.program.resources.index
    server, near, far = index("server"), index("near"), index("far")
    held = {0: [-1, server, server], 1: [-1, near, near], 2: [-1, near, far]}
    assert env.state.unit_node.tolist() == [-2, -2, -2]
    assert env.state.placement == -1
    for placement, bits in ((2, 0), (0, 16896 + 5440), (0, 0), (1, 16896 + 5440), (2, 5440)):
        info = env.play(replace(rule.decide(env.state), placement=placement))[-1]
        assert info["migration_bits"] == bits
        assert env.state.unit_node.tolist() == held[placement]
        assert env.state.placement == placement
    nobody = replace(rule.decide(env.state), placement=0, selected=np.zeros(2, bool))
    assert env.play(nobody)[-1]["migration_bits"] == 0
    assert env.state.unit_node.tolist() == held[2]
    env.reset(seed=1)
    assert env.state.unit_node.tolist() == [-2, -2, -2]


def test_policies_see_which_placement_holds_what_others_cost_and_what_rounds_take_there() -> None:
    env = placed()
    env.reset(seed=0)
    rule = schedulers.make("greedy", env, cut_layer=1)
    env.play(replace(rule.decide(env.state), placement=2))
    shown = dict(zip(env.observation_names, env.observe().tolist(), strict=True))
    assert [shown[f"placement[{k}]"] for k in range(3)] == [0, 0, 1]
    scale, state = EPISODE["time_budget_s"] / EPISODE["max_rounds"], env.state
    np.testing.assert_allclose(relocation_seconds(state), [16896 / 4e6 + 5440 * 1.25e-6, 5440 / 1e6, 0.0], rtol=1e-12)
    for name, of in (("relocation", relocation_seconds), ("behind_cut", seconds_behind_cut)):
        for k, seconds in enumerate(of(state)):
            assert shown[f"{name}[{k}]"] == pytest.approx(seconds / (seconds + scale), rel=1e-5)
    for k, seconds in enumerate(seconds_behind_cut(state)):
        decision = replace(rule.decide(state), placement=k)
        stages = round_cost(state, decision).seconds_by_stage()
        behind = sum(s for stage, s in stages.items() if stage.startswith(("server_", "link_")))
        assert seconds == pytest.approx(behind, rel=1e-12)


def test_policies_see_the_way_to_the_first_node_of_each_placement() -> None:
    """As long as one client's round takes longer than with its station at that node; of several the mean."""
    env = gym.make("SplitLearning-v0", scenario="highway", framework="multi-hop", learner="surrogate").unwrapped
    env.reset(seed=0)
    descents = schedulers.make("greedy", env, cut_layer=1)
    alone = []
    for i in (0, 1):
        state = replace(env.state, available=np.arange(10) == i)
        free = replace(state, wired_s_per_bit=np.zeros((10, env.system.program.plans.placements)))
        decision = descents.decide(state)
        latency = [
            [float(round_cost(each, replace(decision, placement=k)).latency_s) for k in range(10)]
            for each in (state, free)
        ]
        alone.append(np.subtract(*latency))
        np.testing.assert_allclose(wired_seconds(state), alone[-1], rtol=1e-9, atol=1e-12)
    assert np.ptp(alone[0] - alone[1]) > 0
    both = replace(env.state, available=np.arange(10) < 2)
    seconds = np.mean(alone, 0)
    np.testing.assert_allclose(way(both.batch())[0], seconds / (seconds + 1.0), rtol=1e-9, atol=1e-12)
    assert wired_seconds(replace(both, available=np.zeros(10, bool))).tolist() == [0.0] * 10
    assert "way[0]" in env.observation_names
    assert "way[0]" not in placed().observation_names


def test_masks_leave_out_placements_for_which_a_server_lacks_the_memory() -> None:
    """The near server has no memory for unit 2, and the far one has none for what the scenario gives it to do."""
    short = [{**NODES[0], "memory_bytes": 1e5}, NODES[1]]
    env = placed("schedule", *ALL, nodes=short)
    env.reset(seed=0)
    memory = env.system.memory
    fits = [bool((memory.most_clients[env.system.program.plans.placement == k] > 0).any()) for k in range(3)]
    starts = np.concatenate([[0], np.cumsum(env.action_space.nvec)])
    at = env.action_space.names.index("placement")
    assert env.action_masks()[starts[at] : starts[at + 1]].tolist() == fits
    for k in range(3):
        for cut in (1, 2):
            decision = replace(descend(env.state, np.ones(2, bool), 0.0), placement=k, cut_layer=cut)
            cost = round_cost(env.state, decision)
            plan = int(Plan(cut, placement=k).indices(env.state)[0])
            assert cost.participants.sum() == min(2, memory.most_clients[plan])
            assert cost.without_memory.sum() == 2 - cost.participants.sum()


def test_descents_allocate_under_the_placement_that_is_held() -> None:
    """What they expect is what the round takes, whichever units have to move before it."""
    env = placed()
    env.reset(seed=0)
    env.play(schedulers.make("greedy", env, placement=2).decide(env.state))
    for k in range(3):
        held = env.state.holding(0, 0, 0, k)
        found = descent(held, np.ones(2, bool), 0.0)
        decision = replace(found.decision, placement=k)
        assert round_cost(env.state, decision).latency_s == pytest.approx(found.latency_s, rel=1e-9)


def test_they_expect_the_wires_to_the_first_server_of_the_placement_that_is_held() -> None:
    env = gym.make("SplitLearning-v0", scenario="highway", framework="multi-hop", learner="surrogate").unwrapped
    env.reset(seed=0)
    state, firsts, expected = env.state, env.system.program.servers, {}
    assert len(set(firsts)) == 5
    for k, first in enumerate(firsts):
        held = state.holding(0, 0, 0, k)
        found = descent(held, state.available, 0.0)
        decision = replace(found.decision, placement=k)
        assert round_cost(state, decision).latency_s == pytest.approx(found.latency_s, rel=1e-9)
        assert round_cost(held, found.decision).latency_s == pytest.approx(found.latency_s, rel=1e-9)
        expected.setdefault(first, found.latency_s)
    assert len(set(expected.values())) == 5


def latency_under(env: Any, placement: int) -> float:
    decision = schedulers.make("greedy", env, placement=placement).decide(env.state)
    return float(round_cost(env.state, decision).latency_s)


def test_best_takes_the_shortest_round_and_stays_keeps_the_first_one() -> None:
    env = placed()
    env.reset(seed=0)
    best, stays = (schedulers.make("greedy", env, placement=how) for how in ("best", "stays"))
    first = best.decide(env.state).placement
    assert stays.decide(env.state).placement == first
    for other in range(3):
        assert latency_under(env, first) <= latency_under(env, other)
    env.play(schedulers.make("greedy", env, placement=(first + 1) % 3).decide(env.state))
    assert stays.decide(env.state).placement == (first + 1) % 3
    chosen = best.decide(env.state).placement
    assert latency_under(env, chosen) == min(latency_under(env, k) for k in range(3))


def test_a_threshold_moves_when_the_rounds_to_come_make_up_for_it() -> None:
    """From a slow placement to the fast one a round is shorter by s, once the units have moved in m seconds."""
    env = placed("schedule", ALONE, {"nodes": ["server", "near", "far"], "bounds": [0, 0]})
    env.reset(seed=0)
    env.play(schedulers.make("greedy", env, placement=1).decide(env.state))
    state = env.state
    costs = [round_cost(state, schedulers.make("greedy", env, placement=k).decide(state)) for k in (0, 1)]
    move_s = costs[0].seconds_by_stage()["relocation"]
    saved_s = costs[1].latency_s - (costs[0].latency_s - move_s)
    assert move_s > 0
    assert saved_s > 0
    enough = int(move_s / saved_s) + 1
    assert schedulers.make("greedy", env, placement="threshold", placement_rounds=enough).decide(state).placement == 0
    if enough > 1:
        few = schedulers.make("greedy", env, placement="threshold", placement_rounds=enough - 1)
        assert few.decide(state).placement == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"placement": 3}, "placement = 3, allowed: 0..2, stays, best, threshold"),
        ({"placement": "moves"}, "placement = 'moves', allowed: 0..2"),
        ({"placement": True}, "placement = True, allowed: 0..2"),
        ({"placement_rounds": 0}, "placement_rounds = 0, allowed: whole numbers from 1"),
    ],
)
def test_rules_refuse_what_they_do_not_know(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedulers.make("greedy", placed(), **options)


def test_where_nobody_decides_it_nothing_but_the_first_is_allowed() -> None:
    env = placed("schedule", PATH)
    env.reset(seed=0)
    decision = descend(env.state, np.ones(2, bool), 0.0)
    with pytest.raises(ValueError, match=r"Decision.placement = 1, allowed: 0..0"):
        env.play(replace(decision, placement=1))
    with pytest.raises(ValueError, match="placement = 'best', allowed: None, as nobody decides it"):
        schedulers.make("greedy", env, placement="best")
    with pytest.raises(ValueError, match="feature 'relocation', allowed: where placements are decided"):
        gym.make("SplitLearning-v0", scenario="toy", observation=["standard", "relocation"])


def test_copies_go_on_as_the_original_would() -> None:
    env = placed("discrete")
    env.reset(seed=0)
    actions = sampled_actions(env, 12)
    play_on(env, actions[:6])
    others = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    after = play_on(env, actions[6:])
    for other in others:
        assert not differences(play_on(other, actions[6:]), after)


@pytest.mark.parametrize("action", ["schedule", "continuous"])
def test_thousands_of_random_steps_keep_what_always_holds(action: str) -> None:
    sections = {"episode": LASTING, "training": {"micro_batches": 4}, "clients": {"dropout_probability": 0.1}}
    worlds, steps = 100, 15
    envs: Any = gym.make_vec(
        "SplitLearning-v0",
        num_envs=worlds,
        vectorization_mode="vector_entry_point",
        scenario="mesh",
        framework="multi-hop",
        learner="surrogate",
        action=action,
        **sections,
    )
    seen, _ = envs.reset(seed=0)
    envs.action_space.seed(0)
    moved = 0
    for _ in range(steps):
        seen, reward, *_, info = envs.step(envs.action_space.sample())
        assert np.isfinite(seen).all()
        assert ((seen >= 0) & (seen <= 1)).all()
        assert np.isfinite(reward).all()
        assert (info["participants"] <= info["selected"]).all()
        stages = {name: value for name, value in info["stages"].items() if not name.startswith("_")}
        np.testing.assert_allclose(sum(stages.values()), info["round_latency_s"], rtol=1e-9)
        assert all((seconds >= 0).all() for seconds in stages.values())
        assert (info["client_energy_j"] >= 0).all()
        assert (info["server_energy_j"] >= 0).all()
        assert (info["traffic_bits"] * (1 + 1e-12) >= info["migration_bits"]).all()
        moves = stages["relocation"] > 0
        assert (info["migration_bits"][moves] > 0).all()
        assert not moves[~info["participants"].any(1)].any()
        moved += moves.sum()
    assert moved > worlds * steps / 4
