"""Rounds over several servers: by hand, as psl and in three tiers where they have to be, with micro-batches."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from equations_of_a_round import state_of
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ALONE, LINKS, NEAR, PATH, on_paths
from test_framework_rounds import SCENARIOS, random_round

from splitgym.allocation import descend
from splitgym.frameworks.placed import Placed
from splitgym.inputs import InputError
from splitgym.scenario import ScenarioError, build
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision

SEEDS = st.integers(0, 2**32 - 1)
BOTH = Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.ones(2, bool), 0.0)
"""Both clients of the toy, at full power."""
FORWARD = {"client_fp": 0.032768, "uplink": 0.008192, "link_fp_1": 0.004096, "server_fp_2": 0.0016384}
FORWARD |= {"link_fp_2": 0.008192, "server_fp_3": 0.00512}
BACKWARD = {"server_bp_3": 0.01024, "link_bp_2": 0.008192, "server_bp_2": 0.0032768, "link_bp_1": 0.004096}
BACKWARD |= {"unicast": 0.008192, "client_bp": 0.032768}
"""Seconds at cut layer 1 of the path on which the near server holds unit 2 and the far one unit 3: eight rows of each
client, units of 4096, 1024 and 320 FLOPs forward and 4096, 2048 and 640 backward, activations of 1024 and 512 bit."""


def cost_of(*candidates: dict[str, Any], decision: Decision = BOTH, state: Any = None, **sections: Any) -> RoundCost:
    return round_cost(state_of(on_paths(*candidates, **sections), "multi-hop", **(state or {})), decision)


def assert_same(one: RoundCost, other: RoundCost) -> None:
    """All but the names of the stages, to the bit."""
    for field in ("latency_s", "client_energy_j", "server_energy_j", "traffic_bits", "migration_bits"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
    for field in ("participants", "timed_out", "without_subchannel", "unavailable"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_on_the_edge_server_alone_it_is_a_round_of_psl_to_the_bit(name: str, seed: int) -> None:
    scenario, state, decision = random_round(name, "psl", np.random.default_rng(seed))
    arrays = {name: value for name, value in vars(state).items() if name not in ("system", "unit_node")}
    assert_same(round_cost(state_of(scenario, "multi-hop", **arrays), decision), round_cost(state, decision))


@given(seed=SEEDS, second_cut=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_on_edge_server_and_cloud_it_is_a_round_in_three_tiers_with_that_second_cut(seed: int, second_cut: int) -> None:
    scenario, state, decision = random_round("iot", "psl", np.random.default_rng(seed))
    arrays = {name: value for name, value in vars(state).items() if name not in ("system", "unit_node")}
    cloud = {"cloud": {"cut_layer": second_cut, "compute_hz": 3e9, "link_bits_per_s": 1e6}}
    path = {"placement": {"candidates": [{"nodes": ["server", "cloud"], "bounds": [second_cut]}]}}
    tiers = round_cost(state_of(build(scenario, cloud), "hierarchical", **arrays), decision)
    hops = round_cost(state_of(build(scenario, {**cloud, **path}), "multi-hop", **arrays), decision)
    assert_same(tiers, hops)
    one, other = tiers.seconds_by_stage(), hops.seconds_by_stage()
    for theirs, ours in (("cloud_fp", "server_fp_2"), ("backhaul_down", "link_bp_1"), ("server_bp", "server_bp_1")):
        assert one[theirs] == other[ours]


def test_three_servers_by_hand() -> None:
    cost = cost_of(PATH)
    seconds = cost.seconds_by_stage()
    for stage, expected in {**FORWARD, **BACKWARD, "server_fp_1": 0.0, "server_bp_1": 0.0}.items():
        assert seconds[stage] == pytest.approx(expected, rel=1e-12), stage
    assert cost.latency_s == pytest.approx(sum(FORWARD.values()) + sum(BACKWARD.values()), rel=1e-12)
    # Up and down of both clients, and both ways over both links.
    assert cost.traffic_bits == pytest.approx(4 * 8 * 1024 + 2 * 16 * 1024 + 2 * 16 * 512)
    # 8 W at the near server, 1 W at the far one, 1 W of the base station for each client.
    near_j, far_j = 8 * (0.0016384 + 0.0032768), 0.00512 + 0.01024
    assert cost.server_energy_j == pytest.approx(near_j + far_j + 2 * 0.008192, rel=1e-12)
    assert cost.migration_bits == 0


def test_a_server_in_front_of_the_cut_only_passes_data_on() -> None:
    """At cut layer 2 the near server has nothing to do, and both links carry what the clients send."""
    cost = cost_of(PATH, decision=replace(BOTH, cut_layer=2))
    seconds = cost.seconds_by_stage()
    assert seconds["server_fp_2"] == seconds["server_bp_2"] == 0
    assert seconds["link_fp_1"] == pytest.approx(16 * 512 / 4e6)
    assert seconds["link_bp_2"] == pytest.approx(16 * 512 / 1e6)
    assert seconds["server_bp_3"] == pytest.approx(16 * 640 / 1e6)


@pytest.mark.parametrize("placement", [0, 1, 2])
def test_shorter_placements_have_no_work_on_the_rest_of_the_way(placement: int) -> None:
    """Beside longer ones a placement takes what it takes alone."""
    beside = cost_of(ALONE, NEAR, PATH, decision=replace(BOTH, placement=placement))
    alone = cost_of((ALONE, NEAR, PATH)[placement])
    assert_same(beside, alone)
    assert {k for k, s in beside.seconds_by_stage().items() if s} == {
        k for k, s in alone.seconds_by_stage().items() if s
    }


@pytest.mark.parametrize("micro_batches", [1, 2, 4, 8])
def test_micro_batches_take_the_first_ones_way_and_the_longest_stage_of_the_others(micro_batches: int) -> None:
    cost = cost_of(PATH, training={"micro_batches": micro_batches})
    whole = cost_of(PATH)
    expected = 0.0
    for stages, pipeline in ((FORWARD, "forward_pipeline"), (BACKWARD, "backward_pipeline")):
        others = (micro_batches - 1) * max(stages.values()) / micro_batches
        expected += sum(stages.values()) / micro_batches + others
        assert cost.seconds_by_stage().get(pipeline, 0.0) == pytest.approx(others, rel=1e-12)
    assert cost.latency_s == pytest.approx(expected, rel=1e-12)
    for field in ("client_energy_j", "server_energy_j", "traffic_bits"):
        np.testing.assert_allclose(getattr(cost, field), getattr(whole, field), rtol=1e-12)


def test_a_delay_is_on_the_way_of_the_first_micro_batch_alone() -> None:
    """A second of delay on each link is waited for twice, whatever the number of micro-batches."""
    links = [{**link, "delay_s": 1.0} for link in LINKS]
    for micro_batches in (1, 4):
        training = {"micro_batches": micro_batches}
        late, soon = cost_of(PATH, training=training, links=links), cost_of(PATH, training=training)
        assert late.latency_s - soon.latency_s == pytest.approx(4.0, rel=1e-12)
        assert late.traffic_bits == pytest.approx(soon.traffic_bits, rel=1e-12)


@given(seed=SEEDS, micro_batches=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_of_random_rounds_stages_sum_to_the_latency_and_micro_batches_change_no_sum(
    seed: int, micro_batches: int
) -> None:
    scenario, state, decision = random_round("toy", "psl", np.random.default_rng(seed))
    arrays = {name: value for name, value in vars(state).items() if name not in ("system", "unit_node")}
    patient = on_paths(PATH, base=scenario, episode={"round_timeout_s": 1e9})
    parts = build(patient, {"training": {"micro_batches": micro_batches}})
    one, many = (round_cost(state_of(each, "multi-hop", **arrays), decision) for each in (patient, parts))
    np.testing.assert_array_equal(one.participants, many.participants)
    for cost in (one, many):
        np.testing.assert_allclose(cost.stage_s.sum(), cost.latency_s, rtol=1e-12)
    if one.timed_out.any():
        return
    for field in ("client_energy_j", "server_energy_j", "traffic_bits"):
        np.testing.assert_allclose(getattr(many, field), getattr(one, field), rtol=1e-9)
    if one.participants.any():
        stages = one.stage_s.max()
        assert many.latency_s <= one.latency_s * (1 + 1e-12)
        # No stage has less than its whole work to do.
        assert many.latency_s >= stages * (1 - 1e-12)


def test_clients_that_are_dropped_lengthen_no_stage_and_computed_until_then() -> None:
    slow = {"client_hz": np.array([1e6, 1e4])}
    cost = cost_of(PATH, state=slow, training={"micro_batches": 4}, episode={"round_timeout_s": 0.5})
    assert cost.timed_out.tolist() == [False, True]
    assert cost.seconds_by_stage()["forward_pipeline"] == pytest.approx(3 * 0.032768 / 4)
    # 1e-18 J s^2 / cycle^3 at 1e4 cycles/s for half a second.
    assert cost.client_energy_j[1] == pytest.approx(1e-18 * 1e4**3 * 0.5)


def rows_of(scenario: Any, *names: str) -> list[int]:
    system = state_of(scenario, "multi-hop").system
    return [system.program.resources.index(name) for name in names]


@pytest.mark.parametrize(("optimizer", "momentum", "copies"), [("sgd", 0.0, 0), ("sgd", 0.9, 1), ("adam", 0.9, 2)])
def test_units_that_move_take_what_the_optimiser_remembers_along(optimizer: str, momentum: float, copies: int) -> None:
    """From the edge server unit 2, of 16896 bit, goes over one link, and unit 3, of 5440 bit, over two."""
    training = {"optimizer": optimizer, "momentum": momentum}
    scenario = on_paths(ALONE, PATH, training=training)
    (server,) = rows_of(scenario, "server")
    decision = replace(BOTH, placement=1)
    held = {"unit_node": np.array([-1, server, server]), "placement": 0}
    stays, moves = (round_cost(state_of(scenario, "multi-hop", **each), decision) for each in ({}, held))
    bits = np.array([16896, 5440]) * (1 + copies)
    seconds = bits[0] / 4e6 + bits[1] * (1 / 4e6 + 1 / 1e6)
    assert moves.migration_bits - stays.migration_bits == bits.sum()
    assert moves.traffic_bits - stays.traffic_bits == bits[0] + 2 * bits[1]
    assert moves.seconds_by_stage()["relocation"] == pytest.approx(seconds, rel=1e-12)
    assert moves.latency_s == pytest.approx(stays.latency_s + seconds, rel=1e-12)
    assert moves.server_energy_j == pytest.approx(stays.server_energy_j, rel=1e-12)


@pytest.mark.parametrize(("placement", "cut_layer", "bits"), [(0, 1, 5440), (1, 1, 0), (1, 2, 0), (0, 2, 5440)])
def test_units_that_stay_or_go_to_clients_do_not_move_between_servers(
    placement: int, cut_layer: int, bits: int
) -> None:
    """The edge server holds unit 2 and the near one unit 3; the first placement has both at the edge server."""
    near = {"nodes": ["server", "near"], "bounds": [2]}
    scenario = on_paths(ALONE, near)
    server, other = rows_of(scenario, "server", "near")
    held = {"unit_node": np.array([-1, server, other]), "client_cut_layer": np.zeros(2, np.int64)}
    cost = round_cost(state_of(scenario, "multi-hop", **held), replace(BOTH, placement=placement, cut_layer=cut_layer))
    assert cost.migration_bits == bits


def test_a_state_made_by_hand_says_how_far_it_is_to_the_first_server_of_every_placement() -> None:
    state = state_of(on_paths(ALONE, NEAR, PATH), "multi-hop")
    np.testing.assert_array_equal(state.wired_s_per_bit, np.zeros((2, 3)))
    short = replace(state, wired_s_per_bit=np.zeros((2, 1)))
    for each in (lambda: round_cost(short, BOTH), lambda: descend(short, BOTH.selected, 0.0)):
        with pytest.raises(InputError, match=r"wired_s_per_bit: shape \(1?,? ?2, 1\), allowed: \(1?,? ?2, 3\)"):
            each()


def test_nothing_moves_in_a_round_of_nobody() -> None:
    scenario = on_paths(ALONE, PATH)
    (server,) = rows_of(scenario, "server")
    state = state_of(scenario, "multi-hop", unit_node=np.full(3, server), available=np.zeros(2, bool))
    cost = round_cost(state, replace(BOTH, placement=1))
    assert (cost.traffic_bits, cost.migration_bits, cost.latency_s) == (0, 0, scenario.episode.round_timeout_s)


def test_the_quickest_way_is_taken_round_a_slow_link() -> None:
    """Directly a bit needs 10 us, over the near server 1.25 us."""
    slow = {"name": "direct", "ends": ["server", "far"], "bits_per_s": 1e5}
    scenario = on_paths(ALONE, PATH)
    scenario = build(scenario, {"links": [slow, *(link.model_dump() for link in scenario.links)]})
    placed: Placed = state_of(scenario, "multi-hop").system.program.placed
    server, far = rows_of(scenario, "server", "far")
    seconds, _, links = placed.resources.ways
    assert seconds[server, far] == seconds[far, server] == pytest.approx(1.25e-6)
    assert links[server, far] == 2


def test_on_demand_the_edge_server_serves_each_client_and_nodes_behind_it_all_at_once() -> None:
    """Alone it is psl on demand; where others follow, clients that are alike gain nothing by lending."""
    lent = {"radio": {"sharing": "on-demand"}}
    psl = round_cost(state_of(build("toy", lent), "psl"), BOTH)
    assert_same(cost_of(ALONE, PATH, **lent), psl)
    assert psl.latency_s < round_cost(state_of(build("toy"), "psl"), BOTH).latency_s
    held = {"state": {"unit_node": np.array([-1, 3, 3])}, "decision": replace(BOTH, placement=1)}
    static, shared = cost_of(ALONE, PATH, **held), cost_of(ALONE, PATH, **held, **lent)
    assert shared.latency_s == pytest.approx(static.latency_s, rel=1e-12)
    assert shared.seconds_by_stage()["relocation"] == pytest.approx(static.seconds_by_stage()["relocation"])


@pytest.mark.parametrize(
    ("sections", "framework", "message"),
    [
        ({"training": {"micro_batches": 2}}, "epsl", "training.micro_batches = 2 with framework 'epsl', allowed: 1"),
        ({"training": {"micro_batches": 9}}, "multi-hop", "training.micro_batches = 9, allowed: up to 8"),
        (
            {"training": {"micro_batches": 2}, "radio": {"sharing": "on-demand"}},
            "multi-hop",
            "training.micro_batches = 2 with radio.sharing = 'on-demand', allowed: 1, or 'static'",
        ),
    ],
)
def test_micro_batches_that_are_not_possible_are_refused(sections: Any, framework: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        state_of(build("toy", sections), framework)
