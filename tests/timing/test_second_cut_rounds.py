"""Rounds in three tiers: a round by hand, and where they have to be rounds of PSL."""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import state_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_framework_rounds import SCENARIOS, random_round

from splitgym.scenario import Scenario, ScenarioError, build
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision

SEEDS = st.integers(0, 2**32 - 1)
BOTH = Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.ones(2, bool), 0.0)
"""Both clients of the toy, at full power."""
ENDLESS = 1e30
"""Bits/s of a link that takes no time."""


def in_the_cloud(scenario: Scenario, **fields: object) -> Scenario:
    """The scenario with a cloud like its edge server behind a link that takes no time, but for these fields."""
    server = scenario.server.model_dump(exclude={"profile"})
    return build(scenario, {"cloud": {**server, "link_bits_per_s": ENDLESS, **fields}})


def costs(name: str, seed: int, on_demand: bool = False, **fields: object) -> tuple[RoundCost, RoundCost]:
    """A random round of PSL, and the same in three tiers; the cloud is as fast as the edge server is in this round."""
    scenario, state, decision = random_round(name, "psl", np.random.default_rng(seed))
    cloud = in_the_cloud(scenario, **{"compute_hz": float(state.server_hz), **fields})
    if on_demand:
        cloud = build(cloud, {"radio": {"sharing": "on-demand"}, "training": {"batch_statistics": "joint"}})
    arrays = {name: value for name, value in vars(state).items() if name != "system"}
    psl, tiers = (round_cost(state_of(cloud, each, **arrays), decision) for each in ("psl", "hierarchical"))
    return psl, tiers


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@given(seed=SEEDS, second_cut=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_with_a_cloud_like_the_edge_server_it_is_a_round_of_psl(name: str, seed: int, second_cut: int) -> None:
    psl, tiers = costs(name, seed, cut_layer=second_cut)
    for field in ("latency_s", "client_energy_j", "server_energy_j", "migration_bits"):
        np.testing.assert_allclose(getattr(tiers, field), getattr(psl, field), rtol=1e-9, err_msg=field)
    for field in ("participants", "timed_out", "without_subchannel", "unavailable"):
        np.testing.assert_array_equal(getattr(tiers, field), getattr(psl, field))
    one, other = psl.seconds_by_stage(), tiers.seconds_by_stage()
    for stage in ("fp", "bp"):
        both = other[f"server_{stage}"] + other[f"cloud_{stage}"]
        np.testing.assert_allclose(both, one[f"server_{stage}"], rtol=1e-9, atol=1e-15)
    for stage in ("client_fp", "uplink", "unicast", "client_bp"):
        np.testing.assert_allclose(other[stage], one[stage], rtol=1e-9, atol=1e-15)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_it_is_also_on_demand_where_everybody_waits_for_batch_norm(seed: int) -> None:
    psl, tiers = costs("edge6g", seed, on_demand=True)
    np.testing.assert_array_equal(tiers.participants, psl.participants)
    np.testing.assert_allclose(tiers.latency_s, psl.latency_s, rtol=1e-9)


@given(seed=SEEDS, factor=st.floats(1.1, 100.0))
@settings(max_examples=40, deadline=None)
def test_a_faster_cloud_and_a_faster_link_shorten_the_round_by_their_share(seed: int, factor: float) -> None:
    """Only their own stages become shorter, in proportion."""
    slow, fast = {"link_bits_per_s": 1e6, "compute_hz": 1e8}, {"link_bits_per_s": 1e6 * factor, "compute_hz": 1e8}
    (_, one), (_, link), (_, cloud) = (
        costs("edge6g", seed, **fields) for fields in (slow, fast, {**slow, "compute_hz": 1e8 * factor})
    )
    if not one.participants.any():
        return
    before = one.seconds_by_stage()
    for cost, faster in ((link, ("backhaul_up", "backhaul_down")), (cloud, ("cloud_fp", "cloud_bp"))):
        for stage, seconds in cost.seconds_by_stage().items():
            assert seconds == pytest.approx(before[stage] / (factor if stage in faster else 1), rel=1e-9)
        saved = sum(before[stage] for stage in faster) * (1 - 1 / factor)
        assert cost.latency_s == pytest.approx(one.latency_s - saved, rel=1e-9)
        np.testing.assert_allclose(cost.traffic_bits, one.traffic_bits, rtol=1e-9)


CLOUD = {"compute_hz": 2e7, "cycles_per_flop": 1.0, "switched_capacitance": 1e-21, "link_bits_per_s": 2e6}


def test_a_round_of_the_toy_by_hand() -> None:
    """See test_toy_round.py: fc2 1024 FLOPs forward and 2048 backward, head 320 and 640; 512 bits between them."""
    scenario = build("toy", {"cloud": {**CLOUD, "cut_layer": 2}})
    cost = round_cost(state_of(scenario, "hierarchical"), BOTH)
    expected = {
        "migration": 0.0,
        "client_fp": 0.032768,  # 8 x 4096 / 1e6
        "uplink": 0.008192,  # 8 x 1024 / 1e6
        "server_fp": 0.0016384,  # 16 x 1024 / 1e7
        "backhaul_up": 0.004096,  # 16 x 512 / 2e6
        "cloud_fp": 0.000256,  # 16 x 320 / 2e7
        "cloud_bp": 0.000512,  # 16 x 640 / 2e7
        "backhaul_down": 0.004096,
        "server_bp": 0.0032768,  # 16 x 2048 / 1e7
        "unicast": 0.008192,
        "client_bp": 0.032768,
    }
    assert cost.seconds_by_stage() == pytest.approx(expected, rel=1e-9)
    assert cost.latency_s == pytest.approx(sum(expected.values()))
    # Two clients send and receive 8 x 1024 bits each; twice 16 x 512 bits over the backhaul.
    assert cost.traffic_bits == pytest.approx(4 * 8192 + 2 * 8192)
    # Server 1e-20 (1e7)^3 = 10 W, cloud 1e-21 (2e7)^3 = 8 W, two subchannels of 1 MHz with 1e-6 W/Hz.
    joules = 10 * (0.0016384 + 0.0032768) + 8 * (0.000256 + 0.000512) + 2 * 0.008192
    assert cost.server_energy_j == pytest.approx(joules)


def test_units_behind_the_edge_server_move_with_the_second_cut_unless_nobody_takes_part() -> None:
    scenario = build("toy", {"cloud": CLOUD, "plan": {"second_cut": "decided"}})
    state = replace(state_of(scenario, "hierarchical"), second_cut=1)
    decision = replace(BOTH, second_cut=2)
    cost, stayed, idle = (
        round_cost(state, each)
        for each in (decision, replace(BOTH, second_cut=1), replace(decision, selected=np.zeros(2, bool)))
    )
    # fc2: 32 x 16 weights and 16 biases of 32 bits.
    assert cost.migration_bits == 32 * (32 * 16 + 16)
    assert cost.traffic_bits - cost.migration_bits > 0
    assert stayed.migration_bits == 0
    assert idle.migration_bits == idle.traffic_bits == 0


def test_behind_the_second_cut_the_edge_server_only_passes_data_on() -> None:
    """The same round with the second cut at the first one, or before it."""
    for cut_layer in (0, 1):
        scenario = build("toy", {"cloud": {**CLOUD, "cut_layer": cut_layer}})
        stages = round_cost(state_of(scenario, "hierarchical"), BOTH).seconds_by_stage()
        assert stages["server_fp"] == stages["server_bp"] == 0
        assert stages["backhaul_up"] == stages["backhaul_down"] == pytest.approx(0.008192)  # 16 x 1024 / 2e6
        assert stages["cloud_fp"] == pytest.approx(16 * (1024 + 320) / 2e7)
        assert stages["cloud_bp"] == pytest.approx(16 * (2048 + 640) / 2e7)


def test_a_second_cut_that_leaves_nothing_to_the_cloud_is_refused_where_it_matters() -> None:
    scenario = build("toy", {"cloud": {"cut_layer": 3}})
    assert state_of(scenario, "psl").system.cut_layers == 2
    with pytest.raises(ScenarioError, match=r"cloud\.cut_layer = 3: allowed are 0 to 2 with a network of 3 units"):
        state_of(scenario, "hierarchical")


def test_on_demand_the_link_waits_for_everybody_and_clients_go_on_one_by_one() -> None:
    """The edge server works for who came first; over the link all rows go together."""
    scenario = build("toy", {"radio": {"sharing": "on-demand"}, "cloud": {"compute_hz": 1e7, "link_bits_per_s": 1e6}})
    state = replace(state_of(scenario, "hierarchical"), client_hz=np.array([1e6, 2e6]))
    cost = round_cost(state, BOTH)
    row = {stage: cost.stages.index(stage) for stage in cost.stages}
    assert cost.stop_s[row["server_fp"], 1] < cost.stop_s[row["server_fp"], 0]
    assert cost.start_s[row["backhaul_up"], 0] == cost.start_s[row["backhaul_up"], 1]
    assert cost.start_s[row["backhaul_up"], 0] == cost.stop_s[row["server_fp"], 0]
    assert cost.stop_s[row["server_bp"], 0] != cost.stop_s[row["server_bp"], 1]
