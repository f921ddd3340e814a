"""Rounds of the `toy` preset counted by hand.

Network: fc1 4096 FLOPs forward and 4096 backward, fc2 1024 and 2048, head 320 and 640; 1 FLOP = 1 cycle. Cut 1: 32
activations of 32 bits = 1024 bits, cut 2: 512 bits. b = 8. Clients 1e6, server 1e7 cycles/s; each subchannel 1 Mbit/s.
"""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import state_of

from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

TOY = build("toy")
FULL = 1e-6  # W/Hz: 1 W over 1 MHz


@pytest.fixture
def state() -> RoundState:
    return state_of(TOY)


def decision(cut: int = 1, phi: float = 0.5, **fields: object) -> Decision:
    return replace(Decision(cut, np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), phi), **fields)


def approx(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


def test_half_aggregated_round_by_hand(state: RoundState) -> None:
    cost = round_cost(state, decision())
    assert cost.seconds_by_stage() == pytest.approx(
        {
            "migration": 0.0,
            "client_fp": 0.032768,  # 8 x 4096 / 1e6
            "uplink": 0.008192,  # 8 x 1024 / 1e6
            "server_fp": 0.0021504,  # 2 x 8 x 1344 / 1e7
            "server_bp": 0.0034816,  # ((4 + 2 x 4) x 2048 + 16 x 640) / 1e7
            "broadcast": 0.002048,  # 4 x 1024 / 2e6
            "unicast": 0.004096,  # 4 x 1024 / 1e6
            "client_bp": 0.032768,  # 8 x 4096 / 1e6
        },
        rel=1e-9,
    )
    assert cost.latency_s == approx(0.085504)
    # 1e-18 x (1e6)^2 = 1e-6 J a cycle, 65536 cycles; 1 W for 0.008192 s.
    assert cost.client_energy_j == approx([0.073728, 0.073728])
    # 1e-20 x (1e7)^2 = 1e-6 J a cycle, 56320 cycles; 2 W for 0.002048 s; twice 1 W for 0.004096 s.
    assert cost.server_energy_j == approx(0.05632 + 0.004096 + 0.008192)
    assert cost.traffic_bits == approx(2 * 8192 + 4096 + 2 * 4096)
    assert cost.migration_bits == 0


def test_second_cut_without_aggregation_by_hand(state: RoundState) -> None:
    cost = round_cost(state, decision(cut=2, phi=0.0))
    stages = cost.seconds_by_stage()
    assert stages["client_fp"] == approx(0.04096)  # 8 x 5120 / 1e6
    assert stages["uplink"] == approx(0.004096)  # 8 x 512 / 1e6
    assert stages["server_fp"] == approx(0.000512)  # 16 x 320 / 1e7
    assert stages["server_bp"] == approx(0.001024)  # 16 x 640 / 1e7: nothing but the last layer
    assert stages["broadcast"] == 0
    assert stages["unicast"] == approx(0.004096)
    assert stages["client_bp"] == approx(0.049152)  # 8 x 6144 / 1e6
    assert cost.latency_s == approx(0.09984)


def test_nothing_is_broadcast_at_phi_zero_and_nothing_unicast_at_phi_one(state: RoundState) -> None:
    at = {phi: round_cost(state, decision(phi=phi)) for phi in (0.0, 1.0)}
    assert at[0.0].seconds_by_stage()["broadcast"] == 0
    assert at[0.0].traffic_bits == approx(4 * 8192)
    assert at[1.0].seconds_by_stage()["unicast"] == 0
    assert at[1.0].traffic_bits == approx(3 * 8192)


@pytest.mark.parametrize("cut", [1, 2])
def test_at_phi_one_server_backward_and_downlink_do_not_grow_with_the_clients(cut: int) -> None:
    def stages(clients: int, phi: float) -> dict[str, float]:
        scenario = build("toy", {"clients": {"count": clients}, "radio": {"subchannels": 6}})
        chosen = Decision(cut, np.arange(6) % clients, np.full(6, FULL), np.ones(clients, bool), phi)
        cost = round_cost(state_of(scenario), chosen).seconds_by_stage()
        # What stays per client is the last layer's own gradient, which is taken for every sample before it is averaged.
        cost["server_bp"] -= clients * 8 * 640 / 1e7
        return cost

    two, six = stages(2, 1.0), stages(6, 1.0)
    assert six["server_bp"] == pytest.approx(two["server_bp"], rel=1e-9, abs=1e-15)
    assert six["broadcast"] + six["unicast"] == approx(two["broadcast"] + two["unicast"])
    assert six["server_fp"] == approx(3 * two["server_fp"])
    if cut == 1:
        two, six = stages(2, 0.0), stages(6, 0.0)
        assert six["server_bp"] == approx(3 * two["server_bp"])
        assert six["unicast"] == approx(3 * two["unicast"])  # the same band for three times the clients


@pytest.mark.parametrize(("phi", "rows"), [(0.0, 0), (0.01, 1), (0.125, 1), (0.5, 4), (0.51, 5), (1.0, 8)])
def test_aggregated_rows_are_rounded_up(state: RoundState, phi: float, rows: int) -> None:
    assert round_cost(state, decision(phi=phi)).seconds_by_stage()["broadcast"] == pytest.approx(rows * 1024 / 2e6)


def test_a_product_that_only_rounding_lifts_above_a_whole_number_is_that_number() -> None:
    scenario = build("toy", {"training": {"batch_size": 25}})  # 0.28 x 25 = 7.000000000000001 in floating point
    cost = round_cost(state_of(scenario), decision(phi=0.28))
    assert cost.seconds_by_stage()["broadcast"] == approx(7 * 1024 / 2e6)


def test_broadcast_runs_at_the_rate_of_the_worst_participant(state: RoundState) -> None:
    gain = np.array([[1e-10, 1e-10], [3e-10, 0.25e-10]])  # client 1: 1 MHz x (log2 4 + log2 1.25)
    cost = round_cost(replace(state, channel_gain=gain), decision(phi=1.0))
    assert cost.seconds_by_stage()["broadcast"] == approx(8 * 1024 / 2e6)
    gain[1, 0] = 1e-10
    cost = round_cost(replace(state, channel_gain=gain), decision(phi=1.0))
    assert cost.seconds_by_stage()["broadcast"] == approx(8 * 1024 / (1e6 * (1 + np.log2(1.25))))
    alone = decision(phi=1.0, selected=np.array([True, False]))
    cost = round_cost(replace(state, channel_gain=gain), alone)
    assert cost.seconds_by_stage()["broadcast"] == approx(8 * 1024 / 2e6)


def test_first_cut_moves_nothing(state: RoundState) -> None:
    for cut in (1, 2):
        cost = round_cost(state, decision(cut=cut))
        assert cost.migration_bits == 0
        assert cost.seconds_by_stage()["migration"] == 0


def test_deeper_cut_loads_the_units_in_between_down(state: RoundState) -> None:
    moved = replace(state, client_cut_layer=np.array([1, 1]))
    free, cost = round_cost(state, decision(cut=2)), round_cost(moved, decision(cut=2, power_w_per_hz=np.full(2, FULL)))
    assert cost.migration_bits == approx(2 * 16896)  # (32 x 16 + 16) x 32 bits for each client
    assert cost.traffic_bits == approx(free.traffic_bits + 2 * 16896)
    assert cost.seconds_by_stage()["migration"] == approx(0.016896)
    assert cost.latency_s == approx(free.latency_s + 0.016896)
    # Downwards the base station spends the energy, 1 W for each of two subchannels, and the clients none.
    assert cost.client_energy_j == approx(free.client_energy_j)
    assert cost.server_energy_j == approx(free.server_energy_j + 2 * 0.016896)


def test_shallower_cut_loads_the_units_in_between_up(state: RoundState) -> None:
    moved = replace(state, client_cut_layer=np.array([2, 2]))
    free, cost = round_cost(state, decision(cut=1)), round_cost(moved, decision(cut=1))
    assert cost.migration_bits == approx(2 * 16896)
    assert cost.latency_s == approx(free.latency_s + 0.016896)
    assert cost.client_energy_j == approx(free.client_energy_j + 0.016896)
    assert cost.server_energy_j == approx(free.server_energy_j)


@pytest.mark.parametrize(("held", "cut"), [(1, 2), (2, 1)])
def test_direction_decides_whose_power_moves_the_units(state: RoundState, held: int, cut: int) -> None:
    """At a third of the power's SNR the uplink is slower, the downlink is not: only the way up gets longer."""
    moved = replace(state, client_cut_layer=np.array([held, held]))
    weak = decision(cut=cut, power_w_per_hz=np.full(2, FULL * (2**0.5 - 1)))  # 0.5 Mbit/s up
    assert round_cost(moved, weak).seconds_by_stage()["migration"] == approx(0.016896 * (2 if cut < held else 1))


def test_who_missed_a_deeper_cut_catches_up_when_selected(state: RoundState) -> None:
    behind = replace(state, client_cut_layer=np.array([1, 2]))
    both, other = decision(cut=2), decision(cut=2, selected=np.array([False, True]))
    assert round_cost(behind, other).migration_bits == 0
    assert round_cost(behind, both).migration_bits == approx(16896)
    cost = round_cost(behind, both)
    assert cost.latency_s == approx(round_cost(state, both).latency_s + 0.016896)
    assert cost.start_s[3, 0] == approx(0.016896 + 0.04096)  # it computes only after it has fetched
    assert cost.start_s[3, 1] == approx(0.04096)


def test_late_client_is_left_out_and_the_server_waits_for_it_until_the_timeout(state: RoundState) -> None:
    slow = replace(state, client_hz=np.array([1e6, 1e4]))  # 3.2768 s of forward pass, timeout 2 s
    cost = round_cost(slow, decision())
    alone = round_cost(state, decision(selected=np.array([True, False])))
    after = sum(alone.seconds_by_stage()[s] for s in ("server_fp", "server_bp", "broadcast", "unicast", "client_bp"))
    assert cost.participants.tolist() == [True, False]
    assert cost.timed_out.tolist() == [False, True]
    assert cost.latency_s == approx(2.0 + after)
    assert cost.seconds_by_stage()["client_fp"] == approx(2.0)
    assert cost.client_energy_j[1] == approx(1e-18 * 1e4**3 * 2.0)  # it has computed until then and sent nothing
    assert cost.traffic_bits == approx(alone.traffic_bits)
    assert cost.stop_s.max() <= cost.latency_s * (1 + 1e-12)
    assert cost.stop_s[:, 1].max() == 2.0


def test_who_is_cut_off_while_sending_has_sent_and_paid_a_part(state: RoundState) -> None:
    weak = decision(power_w_per_hz=np.array([FULL, FULL * (2**0.004 - 1)]))  # 4 kbit/s: 2.048 s for 8192 bits
    cost = round_cost(state, weak)
    sent = 4000 * (2 - 0.032768)
    assert cost.timed_out.tolist() == [False, True]
    assert cost.traffic_bits == approx(8192 + 4096 + 4096 + sent)
    assert cost.client_energy_j[1] == approx(0.032768 + (2**0.004 - 1) * (2 - 0.032768))


def test_a_part_that_moves_too_slowly_makes_its_client_late(state: RoundState) -> None:
    weak = decision(cut=1, power_w_per_hz=np.array([FULL, FULL * (2**0.01 - 1)]))  # 10 kbit/s: 1.69 s + 0.82 s
    moved = replace(state, client_cut_layer=np.array([2, 2]))
    assert round_cost(state, weak).participants.tolist() == [True, True]
    cost = round_cost(moved, weak)
    assert cost.timed_out.tolist() == [False, True]
    assert cost.migration_bits == approx(16896)  # of the client that takes part


def test_exactly_at_the_timeout_is_in_time() -> None:
    scenario = build(
        "toy", {"clients": {"compute_min_hz": 32768.0, "compute_max_hz": 32768.0}, "episode": {"round_timeout_s": 1.5}}
    )
    state = state_of(scenario)
    half = FULL * (2**0.016384 - 1)  # 16384 bit/s: 0.5 s after 1 s of forward pass
    cost = round_cost(state, decision(power_w_per_hz=np.array([FULL, half * (1 + 1e-9)])))
    assert cost.participants.tolist() == [True, True]
    cost = round_cost(state, decision(power_w_per_hz=np.array([FULL, half * (1 - 1e-9)])))
    assert cost.timed_out.tolist() == [False, True]


@pytest.mark.parametrize(
    "nobody",
    [
        {"selected": np.zeros(2, bool)},
        {"assignment": np.array([-1, -1])},
        {"power_w_per_hz": np.zeros(2)},
        {"power_w_per_hz": np.full(2, 1e-30)},
        {"selected": np.array([True, False]), "assignment": np.array([1, 1])},
    ],
    ids=["none selected", "no subchannels", "no power", "hardly any power", "all with an outsider"],
)
def test_with_nobody_left_exactly_the_timeout_passes(state: RoundState, nobody: dict[str, np.ndarray]) -> None:
    cost = round_cost(state, decision(**nobody))
    assert cost.latency_s == 2.0
    assert not cost.participants.any()
    assert cost.stage_s.sum() == 2.0
    assert all(cost.seconds_by_stage()[s] == 0 for s in ("server_fp", "server_bp", "broadcast", "unicast", "client_bp"))
    assert cost.migration_bits == 0


def test_reasons_for_not_taking_part_are_told_apart() -> None:
    scenario = build("toy", {"clients": {"count": 5}, "radio": {"subchannels": 4}})
    state = state_of(scenario, available=np.array([True, False, True, True, True]))
    state = replace(state, client_hz=np.array([1e6, 1e6, 1e6, 1e3, 1e6]))
    cost = round_cost(
        state, Decision(1, np.array([0, 1, 3, 4]), np.full(4, FULL), np.array([1, 1, 1, 1, 0], bool), 0.5)
    )
    assert cost.participants.tolist() == [True, False, False, False, False]
    assert cost.unavailable.tolist() == [False, True, False, False, False]
    assert cost.without_subchannel.tolist() == [False, False, True, False, False]
    assert cost.timed_out.tolist() == [False, False, False, True, False]


def test_power_on_an_outsiders_or_an_unused_subchannel_costs_nothing(state: RoundState) -> None:
    alone = decision(selected=np.array([True, False]))
    quiet = decision(selected=np.array([True, False]), power_w_per_hz=np.array([FULL, 0.0]))
    unused = decision(selected=np.array([True, False]), assignment=np.array([0, -1]))
    costs = [round_cost(state, d) for d in (alone, quiet, unused)]
    for cost in costs[1:]:
        np.testing.assert_array_equal(cost.client_energy_j, costs[0].client_energy_j)
        assert cost.latency_s == costs[0].latency_s
        assert cost.server_energy_j == costs[0].server_energy_j


def test_a_round_leaves_state_and_decision_as_they_were(state: RoundState) -> None:
    slow = replace(state, client_hz=np.array([1e6, 1e4]), available=np.array([True, True]))
    chosen = decision()
    before = [v.copy() for v in (slow.channel_gain, slow.available, chosen.assignment, chosen.selected)]
    round_cost(slow, chosen)
    round_cost(slow.batch(), chosen.batch())
    after = [slow.channel_gain, slow.available, chosen.assignment, chosen.selected]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


CODED = build("toy", {"plan": {"codecs": ("none", "uniform-8", "top-k:0.25"), "codec": "by-client"}})


def test_rows_of_eight_bits_by_hand() -> None:
    """Of 8 x 32 numbers go 8 bits each, and 40 for the scale of each row; 9 FLOPs to encode one and 3 to decode it."""
    cost = round_cost(state_of(CODED), decision(phi=0.0, codec=1))
    assert cost.seconds_by_stage() == pytest.approx(
        {
            "migration": 0.0,
            "client_fp": 0.035072,  # (8 x 4096 + 9 x 256) / 1e6
            "uplink": 0.002368,  # (8 x 256 + 8 x 40) / 1e6
            "server_fp": 0.002304,  # 2 x (8 x 1344 + 3 x 256) / 1e7
            "server_bp": 0.0047616,  # 2 x (8 x 2048 + 8 x 640 + 9 x 256) / 1e7
            "broadcast": 0.0,
            "unicast": 0.002368,
            "client_bp": 0.033536,  # (8 x 4096 + 3 x 256) / 1e6
        },
        rel=1e-9,
    )
    # 68608 cycles of 1e-6 J; 1 W for 0.002368 s.
    assert cost.client_energy_j == approx([0.070976, 0.070976])
    assert cost.traffic_bits == approx(4 * 2368)


def test_aggregated_rows_of_eight_bits_by_hand() -> None:
    """Half of the rows are encoded once for all clients."""
    stages = round_cost(state_of(CODED), decision(phi=0.5, codec=1)).seconds_by_stage()
    assert stages["uplink"] == approx(0.002368)
    assert stages["server_bp"] == approx(0.0038272)  # ((4 + 2 x 4) x 2048 + 16 x 640 + (1 + 2) x 9 x 128) / 1e7
    assert stages["broadcast"] == approx(0.000592)  # (8 x 128 + 4 x 40) / 2e6
    assert stages["unicast"] == approx(0.001184)
    assert stages["client_bp"] == approx(0.033536)


def test_codecs_of_the_clients_own_by_hand() -> None:
    cost = round_cost(state_of(CODED), decision(phi=0.0, codec=np.array([0, 1])))
    # Client 0 is the last before the server, and behind it.
    assert cost.latency_s == approx(
        (0.032768 + 0.008192)  # against 0.035072 + 0.002368
        + (2 * 8 * 1344 + 3 * 256) / 1e7
        + (2 * 8 * (2048 + 640) + 9 * 256) / 1e7
        + (0.008192 + 0.032768)
    )
    assert cost.client_energy_j == approx([0.065536 + 0.008192, 0.068608 + 0.002368])
    assert cost.traffic_bits == approx(2 * 8192 + 2 * 2368)


def test_a_quarter_of_the_features_by_hand() -> None:
    """8 of 32 values, with places of 5 bits on the way up only; 160 + 8 + 8 FLOPs to encode a row, 16 to decode it."""
    stages = round_cost(state_of(CODED), decision(phi=0.0, codec=2)).seconds_by_stage()
    assert stages["uplink"] == approx(8 * (8 * 32 + 8 * 5) / 1e6)
    assert stages["unicast"] == approx(8 * 8 * 32 / 1e6)
    assert stages["client_fp"] == approx(8 * (4096 + 5 * 32 + 2 * 8) / 1e6)
