"""What nodes store: units that they have to fetch, and placements for which they have no room."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from equations_of_a_round import state_of
from paths import ALONE, LINKS, NEAR, NODES, PATH, on_paths

from splitgym import schedulers
from splitgym.allocation import descend, descent, unserved
from splitgym.envs.system import system_of
from splitgym.frameworks import get
from splitgym.scenario import ScenarioError, build
from splitgym.timing import round_cost
from splitgym.types import Decision, Plan
from splitgym.types.placements import relocation_seconds

BITS = (66560, 16896, 5440)
"""Of the units of the toy's network."""
BOTH = Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.ones(2, bool), 0.0)
CLOUD = {"cloud": {"link_bits_per_s": 1e6}}
EPISODE = {"round_timeout_s": 1e4, "stop_at_target": False, "max_rounds": 100, "time_budget_s": 1e9}
ALL = (ALONE, NEAR, PATH)


def storing(*candidates: Any, origin: str | None = "cloud", near: Any = None, far: Any = None, **sections: Any) -> Any:
    """Servers on a path behind which is the cloud; bits need 1 us to the edge server, 0.25 us on to near, 1 us to far.

    Args:
        origin: As the scenario says it.
        near: Fields of that node.
        far: Likewise.
    """
    nodes = [{**NODES[0], **(near or {})}, {**NODES[1], **(far or {})}]
    scenario = on_paths(*candidates, nodes=nodes, **{**CLOUD, **sections})
    placement = {**scenario.placement.model_dump(), "origin": origin}
    return on_paths(*candidates, nodes=nodes, **{**CLOUD, **sections}, placement=placement)


def costs(decision: Decision, scenario: Any, *others: Any) -> list[Any]:
    return [round_cost(state_of(each, "multi-hop"), decision) for each in (scenario, *others)]


def test_units_that_nobody_has_trained_come_from_the_origin() -> None:
    """Unit 2 goes to near and unit 3 to far, without anything that an optimiser would remember."""
    adam = {"training": {"optimizer": "adam"}}
    fetching, knowing = costs(BOTH, storing(PATH, **adam), storing(PATH, origin=None, **adam))
    seconds = BITS[1] * 1.25e-6 + BITS[2] * 2.25e-6
    assert fetching.seconds_by_stage()["relocation"] == pytest.approx(seconds, rel=1e-12)
    assert fetching.latency_s - knowing.latency_s == pytest.approx(seconds, rel=1e-9)
    assert fetching.migration_bits == BITS[1] + BITS[2]
    assert fetching.traffic_bits - knowing.traffic_bits == 2 * BITS[1] + 3 * BITS[2]
    assert knowing.migration_bits == 0
    # Wires take no energy in this model, and nobody computes or sends for longer.
    assert fetching.server_energy_j == knowing.server_energy_j
    np.testing.assert_array_equal(fetching.client_energy_j, knowing.client_energy_j)


def test_without_an_origin_it_is_the_round_of_before_to_the_bit() -> None:
    for decision in (replace(BOTH, placement=k, cut_layer=cut) for k in range(3) for cut in (1, 2)):
        one, other = costs(decision, storing(*ALL, origin=None), on_paths(*ALL, **CLOUD))
        assert one.latency_s == other.latency_s
        assert one.traffic_bits == other.traffic_bits


@pytest.mark.parametrize("seed", range(8))
def test_each_unit_comes_from_where_it_is_the_soonest(seed: int) -> None:
    """Over a line of nodes a bit needs the sum of what lies between: the least over all that store the unit."""
    rng = np.random.default_rng(seed)
    stored = {name: [u for u in (1, 2, 3) if rng.random() < 0.4] for name in ("near", "far", "server")}
    place = {"cloud": 0.0, "server": 1e-6, "near": 1.25e-6, "far": 2.25e-6}
    given = {name: {"stored_units": units} for name, units in stored.items()}
    for k, holders in enumerate((("server", "server"), ("near", "near"), ("near", "far"))):
        cost = costs(replace(BOTH, placement=k), storing(*ALL, **given))[0]
        seconds = bits = 0.0
        for unit, holder in zip((2, 3), holders, strict=True):
            sources = ["cloud", *(name for name, units in stored.items() if unit in units)]
            seconds += BITS[unit - 1] * min(abs(place[name] - place[holder]) for name in sources)
            bits += BITS[unit - 1] * (holder not in sources)
        assert cost.seconds_by_stage()["relocation"] == pytest.approx(seconds, rel=1e-12, abs=1e-18)
        assert cost.migration_bits == bits


def test_what_clients_hold_is_not_fetched() -> None:
    deep = costs(replace(BOTH, cut_layer=2), storing(PATH))[0]
    assert deep.migration_bits == BITS[2]


def made(action: str = "schedule", **given: Any) -> Any:
    env = gym.make(
        "SplitLearning-v0",
        disable_env_checker=True,
        scenario=storing(*ALL, episode=EPISODE, **given),
        framework="multi-hop",
        action=action,
        learner="surrogate",
    )
    return env.unwrapped


def test_units_are_fetched_once_in_an_episode_and_then_move_as_they_were_trained() -> None:
    env = made()
    rule = schedulers.make("greedy", env, cut_layer=1)
    for seed in (0, 1):
        env.reset(seed=seed)
        seen = relocation_seconds(env.state)
        assert seen.tolist() == pytest.approx(
            [(BITS[1] + BITS[2]) * 1e-6, (BITS[1] + BITS[2]) * 1.25e-6, BITS[1] * 1.25e-6 + BITS[2] * 2.25e-6]
        )
        moved = []
        nobody = replace(rule.decide(env.state), selected=np.zeros(2, bool), placement=1)
        moved.append(env.play(nobody)[-1]["migration_bits"])
        for placement, cut_layer in ((1, 1), (1, 2), (1, 1), (0, 1)):
            decision = replace(rule.decide(env.state), placement=placement, cut_layer=cut_layer)
            info = env.play(decision)[-1]
            moved.append(info["migration_bits"])
        # Unit 2 goes from near to the clients and back, for each of the two.
        assert moved == [0, BITS[1] + BITS[2], 2 * BITS[1], 2 * BITS[1], BITS[1] + BITS[2]]


def test_descents_and_rules_expect_what_is_fetched() -> None:
    env = made()
    env.reset(seed=0)
    for k in range(3):
        found = descent(env.state.holding(0, 0, 0, k), np.ones(2, bool), 0.0)
        assert round_cost(env.state, replace(found.decision, placement=k)).latency_s == pytest.approx(found.latency_s)


def test_a_node_without_the_room_serves_nobody_and_is_masked_and_named() -> None:
    """Near may store unit 3 (680 bytes) and not unit 2 as well (2112 bytes)."""
    env = made(near={"storage_bytes": 2500})
    env.reset(seed=0)
    needs, grid = env.system.memory, env.system.program.plans
    for k, cut, fits in ((0, 1, True), (0, 2, True), (1, 1, False), (1, 2, True), (2, 1, True), (2, 2, True)):
        decision = replace(descend(env.state, np.ones(2, bool), 0.0), placement=k, cut_layer=cut)
        cost = round_cost(env.state, decision)
        assert cost.participants.all() == fits
        assert cost.without_memory.any() != fits
        assert (needs.most_clients[int(Plan(cut, placement=k).indices(env.state)[0])] > 0) == fits
        reasons = set(unserved(env.state, decision).values())
        assert reasons == (set() if fits else {"node near may store 2500 bytes, and its units take 2792"})
    assert grid.placements == 3
    with pytest.raises(ValueError, match="cut_layer = 1 with placement = 1, allowed: others, as node near may store"):
        schedulers.make("greedy", env, placement=1, cut_layer=1)
    assert schedulers.make("greedy", env, placement=1).decide(env.state).cut_layer == 2


def test_placements_that_fit_at_no_cut_layer_that_clients_can_hold_are_masked() -> None:
    """The clients have the memory for one unit only."""
    env = made(near={"storage_bytes": 2500}, clients={"memory_min_bytes": 2e4, "memory_max_bytes": 2e4, "count": 2})
    env.reset(seed=0)
    starts = np.concatenate([[0], np.cumsum(env.action_space.nvec)])
    at = env.action_space.names.index("placement")
    assert env.action_masks()[starts[at] : starts[at + 1]].tolist() == [True, False, True]


@pytest.mark.parametrize(("stored", "room", "fits"), [([2], 2792, True), ([1], 2792 + 8319, False), ([1], 11112, True)])
def test_a_unit_that_is_stored_and_trained_takes_room_once(stored: list[int], room: int, fits: bool) -> None:
    scenario = storing(*ALL, near={"storage_bytes": room, "stored_units": stored})
    cost = costs(replace(BOTH, placement=1), scenario)[0]
    assert cost.participants.all() == fits


def test_the_solver_offers_only_what_nodes_may_store() -> None:
    """With room for unit 3 alone at near, both are there only where clients hold unit 2."""
    fields = {"nodes": [{**NODES[0], "storage_bytes": 700}, NODES[1]], "links": LINKS, "plan": {"placement": "decided"}}
    scenario = build("toy", {**fields, "placement": {"nodes": ["near"], "count": 50}})
    with pytest.raises(ScenarioError, match=r"unit|units"):
        system_of(build(scenario, {"nodes": [{**NODES[0], "storage_bytes": 600}, NODES[1]]}), get("multi-hop"))
    system = system_of(scenario, get("multi-hop"))
    fitting = system.program.plans.by_cut(system.memory.most_clients).max(1) > 0
    assert fitting.tolist() == [False, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"origin": "clout"}, "placement.origin = 'clout' is unknown, did you mean 'cloud'"),
        ({"near": {"stored_units": [4]}}, r"stored_units of node 'near' = \[4\], allowed: 1..3, the units"),
        (
            {"near": {"stored_units": [1, 2], "storage_bytes": 9000}},
            "storage_bytes of node 'near' = 9000, allowed: at least 10432, the units that it stores",
        ),
        ({"origin": "near", "near": {"storage_bytes": 9000}}, "storage_bytes of node 'near' = 9000, allowed: at least"),
        (
            {"near": {"storage_bytes": 600}},
            "placement.candidates, row 2: storage_bytes of node 'near' = 600, allowed: at least 680, which its units",
        ),
        ({"near": {"storage_bytes": 0}}, r"nodes\.0\.storage_bytes"),
        ({"near": {"stored_units": [0]}}, r"nodes\.0\.stored_units"),
    ],
)
def test_storage_that_does_not_fit_is_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message) as error:
        state_of(storing(*ALL, **given), "multi-hop")
    assert "\n" not in str(error.value)
