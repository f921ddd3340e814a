"""Memory of clients and nodes as hard limits: who takes part, what is masked, and that rules keep within them."""

from dataclasses import replace
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from agreement import assert_vector_agrees
from synchronous import SYNCHRONOUS

import splitgym
from splitgym import data, models
from splitgym.allocation import descend_cuts, descent, equal_shares, unserved
from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Plan

ENCODINGS = ("discrete", "continuous", "schedule", "priority")
CLIENT_BYTES = (71_552, 356_608, 787_456)
"""Of the CNN on digits with 16 rows and momentum, at its cut layers."""
SMALL = {"memory_min_bytes": 50e3, "memory_max_bytes": 1e6}
LASTING = {"stop_at_target": False, "max_rounds": 10_000, "time_budget_s": 1e8, "round_timeout_s": 1e6}


def made(scenario="iot", framework="psl", learner="surrogate", **arguments):
    arguments = {"action": "schedule", "episode": LASTING, **arguments}
    return gym.make(
        "SplitLearning-v0",
        scenario=scenario,
        framework=framework,
        learner=learner,
        disable_env_checker=True,
        **arguments,
    ).unwrapped


# What plans need ---------------------------------------------------------------------------------------------------


def plain_bytes(memory, first, last, rows, batches, copies):
    """Of units first+1..last, by lists."""
    if first == last:
        return 0.0
    own = range(first, last)
    weights = sum((2 + copies) * memory.parameter_bytes[u] + memory.buffer_bytes[u] for u in own)
    there = sum(memory.saved_bytes[u] for u in own) + (memory.shared_bytes[first - 1] if first > 0 else 0.0)
    return weights + rows * there + batches * sum(memory.batch_bytes[u] for u in own)


def plain_server(framework, memory, clients, statistics, *, cut, rows, second, copies):
    """[edge, cloud] bytes for so many clients in a slot, in the words of each framework."""
    units = len(memory)
    batches = clients if statistics == "per-client" else 1
    if framework == "fl":
        return [0.0]
    if framework == "centralised":
        return [plain_bytes(memory, 0, units, clients * rows, batches, copies)]
    if framework == "sfl-v1":
        return [clients * plain_bytes(memory, cut, units, rows, 1, copies)]
    if framework in ("sl", "sfl-v2"):
        return [plain_bytes(memory, cut, units, rows, 1, copies)]
    middle = max(cut, second) if framework == "hierarchical" else units
    bounds = [cut, middle, units] if framework == "hierarchical" else [cut, units]
    return [plain_bytes(memory, first, last, clients * rows, batches, copies) for first, last in pairwise(bounds)]


@pytest.mark.parametrize("statistics", ["joint", "per-client"])
@pytest.mark.parametrize("framework", [name for name in SYNCHRONOUS if name != "u-shaped"])
def test_tables_are_those_of_a_plain_program(framework, statistics):
    limit = 800e3
    scenario = build(
        "iot",
        {
            "clients": {"memory_min_bytes": 64e3, "memory_max_bytes": 4e6},
            "server": {"memory_bytes": limit},
            "cloud": {"memory_bytes": limit},
            "training": {"batch_size": 4, "optimizer": "adam", "batch_statistics": statistics},
            "plan": {"second_cut": "decided"},
        },
    )
    costs = models.measure("cnn", *data.dimensions("digits"), "7x7")
    system = system_of(scenario, get(framework), costs)
    grid, memory, copies = system.program.plans, costs.memory, 2
    of_clients = {"fl": len(memory), "centralised": 0}
    for cut in range(1, 4):
        for phi in (0.0, 0.25, 0.5):
            for second in range(1, 4):
                aggregated = int(4 * phi) if grid.row_counts > 1 else 0
                rows = 4 - aggregated if framework == "psl-drop" else 4
                index = grid.index(cut, aggregated, second)
                units = of_clients.get(framework, cut)
                assert system.memory.client[index] == plain_bytes(memory, 0, units, rows, 1, copies)
                most = 0
                while most < 50 and all(
                    needed <= limit
                    for needed in plain_server(
                        framework,
                        memory,
                        most + 1,
                        statistics,
                        cut=cut,
                        rows=rows,
                        second=second if framework == "hierarchical" else 0,
                        copies=copies,
                    )
                ):
                    most += 1
                assert min(system.memory.most_clients[index], 50) == most, (cut, phi, second)


def test_tails_count_at_the_clients():
    fields = {"clients": {"memory_min_bytes": 64e3, "memory_max_bytes": 4e6}, "plan": {"second_cut": "decided"}}
    costs = models.measure("cnn", *data.dimensions("digits"), "7x7")
    system = system_of(build("iot", fields), get("u-shaped"), costs)
    for cut, second in ((1, 2), (1, 3), (2, 3)):
        head = plain_bytes(costs.memory, 0, cut, 16, 1, 1)
        tail = plain_bytes(costs.memory, second, len(costs.memory), 16, 1, 1)
        assert system.memory.client[system.program.plans.index(cut, 0, second)] == head + tail


def test_recomputation_needs_less_memory_and_one_more_forward_pass():
    fields = {"clients": {"memory_min_bytes": 64e3, "memory_max_bytes": 4e6}, "training": {"batch_size": 64}}
    kept = system_of(build("iot", fields), get("psl"))
    again = system_of(build("iot", {**fields, "clients": {**fields["clients"], "recompute": True}}), get("psl"))
    stages = kept.program.stages
    forward, backward = stages.index("client_fp"), stages.index("client_bp")
    np.testing.assert_allclose(
        again.program.work[:, backward], kept.program.work[:, backward] + kept.program.work[:, forward], rtol=1e-12
    )
    others = [stage for stage in range(len(stages)) if stage != backward]
    np.testing.assert_array_equal(again.program.work[:, others], kept.program.work[:, others])
    assert (again.memory.client <= kept.memory.client).all()
    assert (again.memory.client < kept.memory.client).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clients": {"memory_min_bytes": 1e3, "memory_max_bytes": 70e3}}, "memory_max_bytes = 70000, allowed: at le"),
        ({"server": {"memory_bytes": 5e3}}, r"memory of node 'server' = 5000 bytes, allowed: at least 12\d\d\d"),
        ({"clients": {"memory_min_bytes": 1e3}}, "memory_min_bytes = 1000.0 and memory_max_bytes = None must both"),
        ({"clients": {"memory_min_bytes": 2e6, "memory_max_bytes": 1e6}}, "the lower one first"),
    ],
)
def test_limits_that_leave_no_plan_are_refused(fields, message):
    with pytest.raises(ScenarioError, match=message):
        made(**fields)


# Rounds ------------------------------------------------------------------------------------------------------------


def test_memories_are_drawn_log_uniformly_for_each_client_and_episode():
    env = made("wearables")
    drawn = []
    for seed in range(100):
        env.reset(seed=seed)
        drawn.append(env.state.client_memory_bytes)
    assert np.array_equal(drawn[-1], env.truth.client_memory_bytes)
    logs = np.log(np.array(drawn).ravel() / 64e3) / np.log(2e6 / 64e3)
    assert 0 <= logs.min() < 0.01
    assert 0.99 < logs.max() <= 1
    assert logs.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * len(logs)))
    env.step(env.action_space.sample())
    assert np.array_equal(env.state.client_memory_bytes, drawn[-1])


def test_who_lacks_the_memory_takes_no_part_and_the_round_says_so():
    env = made(clients={"count": 5, **SMALL})
    env.reset(seed=0)
    memories = np.array([71_551.0, 71_552.0, 356_608.0, 787_455.0, 787_456.0])
    state = replace(env.state, client_memory_bytes=memories)
    everybody = np.ones(5, bool)
    for cut, takes_part in ((1, [0, 1, 1, 1, 1]), (2, [0, 0, 1, 1, 1]), (3, [0, 0, 0, 0, 1])):
        decision = equal_shares(state, Plan(cut, 0.0), everybody)
        cost = round_cost(state, decision)
        assert cost.participants.tolist() == list(map(bool, takes_part))
        assert cost.without_memory.tolist() == [not one for one in takes_part]
        # Those who are left out have no part of the band.
        assert set(decision.assignment) == set(np.flatnonzero(takes_part))
        reasons = unserved(state, decision)
        assert set(reasons) == set(np.flatnonzero(cost.without_memory))
        needed = CLIENT_BYTES[cut - 1]
        assert reasons[0] == f"it needs {needed} bytes of memory at its cut layer, and has 71551"
    away = replace(state, available=np.array([False, True, True, True, True]))
    cost = round_cost(away, equal_shares(away, Plan(2, 0.0), everybody))
    assert cost.unavailable.tolist() == [True, False, False, False, False]
    assert cost.without_memory.tolist() == [False, True, False, False, False]


def test_a_server_with_too_little_memory_serves_the_longest_absent():
    # At cut layer 1 it needs 457.5 kB and 332.5 kB for each client: 1.2 MB is enough for two.
    env = made(clients={"count": 5}, server={"memory_bytes": 1.2e6})
    env.reset(seed=0)
    assert "memory[0]" not in env.observation_names
    state = replace(env.state, absence=np.array([0.0, 3.0, 1.0, 3.0, 7.0]))
    everybody = np.ones(5, bool)
    owners = replace(equal_shares(env.state, Plan(3, 0.0), everybody), cut_layer=1)
    cost = round_cost(state, owners)
    assert cost.participants.tolist() == [False, True, False, False, True]
    assert cost.without_memory.tolist() == [True, False, True, True, False]
    assert not cost.without_subchannel.any()
    # The latency is that of a round of these two, with the same part of the band.
    alone = replace(owners, selected=cost.participants)
    assert cost.latency_s == round_cost(state, alone).latency_s
    # Who has no subchannel needs no memory.
    without = replace(owners, assignment=np.where(owners.assignment == 4, 0, owners.assignment))
    assert round_cost(state, without).participants.tolist() == [False, True, False, True, False]
    assert set(equal_shares(state, Plan(1, 0.0), everybody).assignment) == {1, 4}
    assert round_cost(state, replace(owners, cut_layer=3)).participants.all()
    reason = unserved(state, owners)[0]
    assert reason == "node server has the memory for 2 clients at a time, and it is one of the last in line"


@pytest.mark.parametrize(("framework", "served"), [("sfl-v1", 2), ("sfl-v2", 5), ("sl", 5), ("cpsl", 4), ("fl", 5)])
def test_how_many_a_server_serves_depends_on_what_it_holds_of_each(framework, served):
    # Two models with two mini-batches; of one model any number of clients in turn; in two clusters, two of each.
    fields = {"clients": {"count": 5}, "server": {"memory_bytes": 1.6e6 if framework == "sfl-v1" else 1.2e6}}
    env = made(framework=framework, learner="train", **fields)
    env.reset(seed=0)
    decision = equal_shares(env.state, Plan(1, 0.0), np.ones(5, bool))
    cost = round_cost(env.state, decision)
    assert cost.participants.sum() == served
    assert (cost.without_memory | cost.without_subchannel).sum() == 5 - served
    *_, info = env.play(decision)
    assert np.array_equal(info["participants"], cost.participants)
    assert info["trained"]


@pytest.mark.parametrize("framework", ["psl", "epsl", "hierarchical"])
@pytest.mark.parametrize("action", ENCODINGS)
def test_no_participant_is_beyond_its_memory_whatever_the_action(framework, action):
    env = made(framework=framework, action=action, clients=SMALL, server={"memory_bytes": 1.6e6})
    needed = env.system.memory
    env.action_space.seed(0)
    left_out = 0
    for seed in range(6):
        env.reset(seed=seed)
        for _ in range(10):
            state = env.state
            decision = env.decode(env.action_space.sample())
            *_, info = env.play(decision)
            plan = int(decision.plan.indices(state)[0])
            took = info["participants"]
            assert (needed.client[plan] <= state.client_memory_bytes[took]).all()
            assert (needed.once[:, plan] + needed.per_participant[:, plan] * took.sum() <= needed.limit).all()
            absent = info["without_subchannel"] | info["timed_out"] | info["without_memory"]
            assert np.array_equal(info["selected"], took | absent)
            assert not (took & info["without_memory"]).any()
            left_out += info["without_memory"].sum()
    # The search for a set knows who lacks the memory.
    assert (left_out > 0) == (action != "priority")


@pytest.mark.parametrize("action", ["discrete", "schedule"])
def test_masks_hide_cuts_that_nobody_can_hold_and_clients_that_hold_none(action):
    env = made(action=action, clients={"count": 4, "memory_min_bytes": 40e3, "memory_max_bytes": 600e3})
    seen = set()
    for seed in range(20):
        env.reset(seed=seed)
        memory = env.state.client_memory_bytes
        parts = np.split(env.action_masks(), np.cumsum(env.action_space.nvec)[:-1])
        assert parts[0].tolist() == [bool((memory >= needed).any()) for needed in CLIENT_BYTES]
        in_it = parts[-5:-1]
        assert [bool(part[1]) for part in in_it] == (memory >= CLIENT_BYTES[0]).tolist()
        seen.add(tuple(parts[0]))
        shown = dict(zip(env.observation_names, env.observe(), strict=True))
        for i in range(4):
            deepest = sum(memory[i] >= needed for needed in CLIENT_BYTES)
            assert shown[f"memory[{i}]"] == pytest.approx(deepest / 3)
    assert len(seen) > 1
    # The server cannot train behind the first cut layer.
    env = made(action=action, server={"memory_bytes": 500e3})
    env.reset(seed=0)
    assert env.action_masks()[:3].tolist() == [False, True, True]


def test_masks_of_own_cuts_are_those_of_each_client():
    env = made("iot", learner="train", clients={"count": 4, **SMALL}, plan={"cut_layer": "by-client"})
    for seed in range(5):
        env.reset(seed=seed)
        parts = np.split(env.action_masks(), np.cumsum(env.action_space.nvec)[:-1])
        for i, memory in enumerate(env.state.client_memory_bytes):
            holds = [bool(memory >= needed) for needed in CLIENT_BYTES]
            assert parts[i].tolist() == (holds if any(holds) else [True] * 3)


# What decides ------------------------------------------------------------------------------------------------------


def test_the_descent_takes_the_best_of_the_plans_that_most_can_hold():
    env = made(framework="epsl", clients={"count": 5, **SMALL}, server={"memory_bytes": 1.2e6})
    rng = np.random.default_rng(0)
    for seed in range(8):
        env.reset(seed=seed)
        state, selected = env.state, rng.random(5) < 0.8
        found = descent(state, selected, 0.0)
        tried = [descent(state, selected, 0.0, cut_layer=cut) for cut in (1, 2, 3)]
        able = [int((selected & (state.client_memory_bytes >= needed)).sum()) for needed in CLIENT_BYTES]
        able[0] = min(able[0], 2)
        assert [one.participants for one in tried] == able
        assert found.participants == max(able)
        best = min(one.latency_s for one in tried if one.participants == max(able))
        # At held plans swaps start at one assignment alone.
        assert found.latency_s <= best * (1 + 1e-9)
        for one in (found, *tried):
            cost = round_cost(state, one.decision)
            assert cost.participants.sum() == one.participants
            assert cost.latency_s == pytest.approx(one.latency_s, rel=1e-9)


def test_the_second_cut_divides_what_edge_and_cloud_have_to_hold():
    env = made(
        framework="hierarchical",
        clients={"count": 5, **SMALL},
        server={"memory_bytes": 1.0e6},
        cloud={"memory_bytes": 1.0e6},
        plan={"second_cut": "decided"},
    )
    memory, limit = models.measure("cnn", *data.dimensions("digits"), "7x7").memory, 1.0e6
    numbers = set()
    for seed in range(4):
        env.reset(seed=seed)
        state, everybody = env.state, np.ones(5, bool)
        tried = {}
        for cut in (1, 2, 3):
            able = int((state.client_memory_bytes >= CLIENT_BYTES[cut - 1]).sum())
            for second in range(cut, 4):
                needs = {"framework": "hierarchical", "cut": cut, "rows": 16, "second": second, "copies": 1}
                most = sum(
                    max(plain_server(memory=memory, clients=n, statistics="joint", **needs)) <= limit
                    for n in range(1, 6)
                )
                one = descent(state, everybody, 0.0, cut_layer=cut, second_cut=second)
                assert one.participants == min(able, most), (cut, second)
                tried[cut, second] = (-one.participants, one.latency_s)
                numbers.add(most)
        found = descent(state, everybody, 0.0)
        assert (-found.participants, found.latency_s * (1 - 1e-9)) <= min(tried.values())
    assert len(numbers) > 2


@pytest.mark.parametrize("action", ["schedule", "priority"])
def test_vector_environments_agree_with_second_cuts_and_limits(action):
    settings = {
        "framework": "hierarchical",
        "clients": {"count": 5, **SMALL},
        "server": {"memory_bytes": 1.0e6},
        "plan": {"second_cut": "decided"},
    }
    names = ("round_latency_s", "traffic_bits", "migration_bits")
    assert_vector_agrees(3, 8, names, learner="surrogate", action=action, episode=LASTING, **settings)


def test_own_cuts_are_the_best_of_all_that_fit():
    env = made("toy", learner="train", clients={"count": 3}, radio={"subchannels": 3}, plan={"cut_layer": "by-client"})
    env.reset(seed=0)
    needed = system_of(build("toy", {"clients": {"memory_min_bytes": 1e3, "memory_max_bytes": 1e9}}), get("psl")).memory
    limits = needed.of_cut
    assert limits[0] < limits[1]
    limited = made(
        "toy",
        learner="train",
        clients={"count": 3, "memory_min_bytes": float(limits[0]), "memory_max_bytes": float(limits[1]) * 1.2},
        radio={"subchannels": 3},
        plan={"cut_layer": "by-client"},
        server={"compute_hz": 1e5},
    )
    mixed = 0
    for seed in range(12):
        limited.reset(seed=seed)
        state, everybody = limited.state, np.ones(3, bool)
        decision = descend_cuts(state, everybody, 0.0)
        cost = round_cost(state, decision)
        cuts = np.broadcast_to(decision.cut_layer, 3)
        assert cost.participants.all()
        assert (limits[cuts - 1] <= state.client_memory_bytes).all()
        mixed += len(set(cuts)) > 1
        best = min(
            round_cost(state, replace(decision, cut_layer=np.array(own))).latency_s
            for own in np.ndindex(2, 2, 2)
            if (limits[list(own)] <= state.client_memory_bytes).all()
            for own in [np.array(own) + 1]
        )
        assert cost.latency_s <= best * (1 + 1e-9)
    assert mixed > 0


RULES = ("greedy", "random", "paper-greedy", "ablation-a", "ablation-b", "ablation-c", "equal-shares", "round-robin")
SELECTING = ("fastest-k", "unified", "deadline", "random-k", "two-timescale", "fixed", "proportional-fair")


@pytest.mark.parametrize("rule", RULES + SELECTING)
def test_rules_propose_only_what_fits(rule):
    env = made("wearables", action="discrete")
    agent = splitgym.schedulers.make(rule, env)
    env.action_space.seed(0)
    for seed in range(3):
        env.reset(seed=seed)
        state = env.state
        decision = agent.decide(state)
        cost = round_cost(state, decision)
        assert cost.participants.any()
        needed = env.system.memory.client[decision.plan.indices(state)]
        assert (state.client_memory_bytes[decision.selected] >= needed).all()
        owners = set(decision.assignment[decision.assignment >= 0])
        assert owners <= set(np.flatnonzero(decision.selected))
        # What a server cannot serve gets no part of the band.
        assert not cost.without_memory[list(owners)].any()
        assert env.play(decision)[-1]["trained"]


# Without limits, and together --------------------------------------------------------------------------------------


def test_without_limits_nothing_is_said_of_memory():
    env = made()
    env.reset(seed=0)
    assert env.system.memory is None
    assert not any(name.startswith("memory") for name in env.observation_names)
    *_, info = env.step(env.action_space.sample())
    assert "without_memory" not in info


def test_limits_that_bind_nobody_change_nothing_but_what_is_shown():
    free, limited = made("iot"), made("iot", clients={"memory_min_bytes": 1e9, "memory_max_bytes": 1e9})
    free.action_space.seed(0)
    for env in (free, limited):
        env.reset(seed=5)
    for _ in range(5):
        action = free.action_space.sample()
        *_, one = free.step(action)
        *_, other = limited.step(action)
        assert not other.pop("without_memory").any()
        for key, value in one.items():
            np.testing.assert_array_equal(other[key], value)


@pytest.mark.parametrize("action", ["schedule", "priority", "continuous"])
def test_vector_and_single_agree(action):
    arguments = {"scenario": "wearables", "framework": "psl", "action": action, "learner": "surrogate"}
    assert_vector_agrees(3, 4, ("without_memory", "participants"), **arguments)
