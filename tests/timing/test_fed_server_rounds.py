"""What the fed server adds to a round of split federated learning, counted by hand in the `toy` preset.

The client's part has 2080 weights of 32 bits up to cut 1, 66560 bits; the band carries 2 Mbit/s, a client's subchannel
1 Mbit/s. Without models a round takes 0.0883712 s at cut 1.
"""

import numpy as np
import pytest
from equations_of_a_round import state_of

from splitgym.scenario import build
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision

MODEL = 66560
WITHOUT_MODELS_S = 0.0883712
ROW = {"name": "trust centre", "compute_hz": 1e4, "cycles_per_flop": 0.5, "switched_capacitance": 1e-10}
LINE = {"name": "line", "ends": ("trust centre", "server"), "bits_per_s": 5e5}


def cost(
    framework: str, round_: int, held: int, *, selected: tuple[bool, ...] = (True, True), **fields: object
) -> RoundCost:
    scenario = build("toy", {"nodes": [ROW], "links": [LINE], "fed_server": fields})
    state = state_of(scenario, framework, round=round_, client_cut_layer=np.array([held, 0]))
    return round_cost(state, Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.array(selected), 0.0))


FRAMEWORKS = pytest.mark.parametrize("framework", ["sfl-v1", "sfl-v2"])


@FRAMEWORKS
@pytest.mark.parametrize(
    ("round_", "held", "down", "up"),
    [(0, 0, True, False), (1, 1, False, False), (2, 1, False, True), (2, 0, True, True), (3, 0, True, False)],
)
def test_models_go_down_to_who_has_none_and_up_in_every_third_round(
    framework: str, round_: int, held: int, down: bool, up: bool
) -> None:
    found = cost(framework, round_, held, interval_rounds=3)
    stages = found.seconds_by_stage()
    assert stages["model_down"] == pytest.approx(down * MODEL / 2e6)
    assert stages["model_up"] == pytest.approx(up * MODEL / 1e6)
    assert found.latency_s == pytest.approx(WITHOUT_MODELS_S + down * MODEL / 2e6 + up * MODEL / 1e6, rel=1e-9)
    assert found.traffic_bits == pytest.approx(4 * 8192 + down * MODEL + up * 2 * MODEL)
    assert found.migration_bits == 0


@FRAMEWORKS
@pytest.mark.parametrize("interval", [1, 2])
def test_over_the_backhaul_models_take_its_time_and_bits(framework: str, interval: int) -> None:
    """Down once, up for each of two clients, and 2 FLOPs in the cloud for each of their weights."""
    found = cost(framework, 1, 0, node="cloud", interval_rounds=interval)
    stages = found.seconds_by_stage()
    assert stages["fed_down"] == pytest.approx(MODEL / 100e6)
    assert stages["fed_up"] == pytest.approx(2 * MODEL / 100e6)
    assert stages["averaging"] == pytest.approx(2 * 2 * 2080 / 32 / 20e9)
    beside = cost(framework, 1, 0, interval_rounds=interval)
    added = 3 * MODEL / 100e6 + 2 * 2 * 2080 / 32 / 20e9
    assert found.latency_s == pytest.approx(beside.latency_s + added, rel=1e-9)
    assert found.traffic_bits - beside.traffic_bits == pytest.approx(3 * MODEL)
    np.testing.assert_allclose(found.client_energy_j, beside.client_energy_j, rtol=1e-12)


@FRAMEWORKS
def test_a_row_of_nodes_may_average(framework: str) -> None:
    """Its processor spends xi f^2 on each cycle; one client takes part."""
    found, beside = (
        cost(framework, 0, 0, selected=(True, False), **fields) for fields in ({"node": "trust centre"}, {})
    )
    cycles = 2 * 2080 * 0.5
    stages = found.seconds_by_stage()
    assert (stages["fed_down"], stages["fed_up"]) == pytest.approx((MODEL / 5e5, MODEL / 5e5))
    assert stages["averaging"] == pytest.approx(cycles / 1e4)
    assert found.latency_s == pytest.approx(beside.latency_s + 2 * MODEL / 5e5 + cycles / 1e4, rel=1e-9)
    assert found.server_energy_j - beside.server_energy_j == pytest.approx(1e-10 * 1e4**2 * cycles)


@FRAMEWORKS
def test_an_endless_link_is_beside_the_edge_server(framework: str) -> None:
    scenario = build("toy", {"fed_server": {"node": "cloud"}, "cloud": {"link_bits_per_s": 1e30, "compute_hz": 1e13}})
    state = state_of(scenario, framework)
    far = round_cost(state, Decision(1, np.array([0, 1]), np.full(2, 1e-6), np.ones(2, bool), 0.0))
    assert far.latency_s == pytest.approx(cost(framework, 0, 0).latency_s, rel=1e-9)


@pytest.mark.parametrize("framework", ["sl", "cpsl", "fl", "psl"])
def test_other_frameworks_have_no_fed_server(framework: str) -> None:
    found, same = (cost(framework, 0, 0, **fields) for fields in ({"node": "cloud", "interval_rounds": 3}, {}))
    assert found.stages == same.stages
    np.testing.assert_array_equal(found.stage_s, same.stage_s)
