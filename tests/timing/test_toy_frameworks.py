"""Rounds of other frameworks counted by hand in the `toy` preset (numbers in test_toy_round.py), and the deadline.

Weights: fc1 2080, fc2 528, head 170, of 32 bits each: 66560 bits in front of cut 1, 88896 bits in all.
"""

from dataclasses import replace

import numpy as np
import pytest
from equations_of_a_round import state_of

from splitgym.frameworks import Resource
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.timing.barrier import deadline_barrier
from splitgym.timing.cell import Spectrum
from splitgym.timing.slot_bandwidth import band_of_slot
from splitgym.types import Decision, RoundState

FULL = 1e-6  # W/Hz: 1 W over 1 MHz
CLIENT, UPLINK, UNICAST, SERVER, BROADCAST, *_ = Resource


def toy(framework: str, timeout_s: float = 2.0, **arrays: object) -> RoundState:
    return state_of(build("toy", {"episode": {"round_timeout_s": timeout_s}}), framework, **arrays)


def decision(**fields: object) -> Decision:
    return replace(Decision(1, np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), 0.0), **fields)


def approx(value: object) -> object:
    return pytest.approx(value, rel=1e-9)


def test_fl_by_hand() -> None:
    cost = round_cost(toy("fl"), decision())
    stages = {
        "migration": 0.0,
        "model_down": 0.044448,  # 88896 / 2e6: the whole band
        "client_fp": 0.04352,  # 8 x 5440 / 1e6
        "client_bp": 0.054272,  # 8 x 6784 / 1e6
        "model_up": 0.088896,  # 88896 / 1e6: each on its subchannel
    }
    assert cost.seconds_by_stage() == approx(stages)
    assert cost.latency_s == approx(0.231136)
    assert cost.traffic_bits == approx(3 * 88896)
    assert cost.client_energy_j == approx([0.04352 + 0.054272 + 0.088896] * 2)  # 1e-6 J a cycle, 1 W
    assert cost.server_energy_j == approx(2 * 0.044448)  # 2 W


def test_local_steps_of_fl_multiply_the_computing_only() -> None:
    scenario = build("toy", {"training": {"local_steps": 5}})
    one, five = (round_cost(s, decision()).seconds_by_stage() for s in (toy("fl"), state_of(scenario, "fl")))
    for stage, factor in {"model_down": 1, "client_fp": 5, "client_bp": 5, "model_up": 1}.items():
        assert five[stage] == approx(factor * one[stage])


def test_centralised_by_hand() -> None:
    cost = round_cost(toy("centralised"), decision(assignment=np.array([-1, -1])))
    assert cost.participants.all()
    assert cost.seconds_by_stage() == approx({"migration": 0.0, "server_fp": 0.008704, "server_bp": 0.0108544})
    assert cost.server_energy_j == approx(16 * (5440 + 6784) * 1e-6)
    assert not cost.client_energy_j.any()
    assert cost.traffic_bits == 0


def test_centralised_with_nobody_waits_without_spending_energy() -> None:
    cost = round_cost(toy("centralised"), decision(selected=np.zeros(2, bool)))
    assert (cost.latency_s, cost.stage_s.sum()) == (2.0, 2.0)
    assert cost.server_energy_j == 0


def test_slots_of_sl_have_the_whole_band_by_hand() -> None:
    cost = round_cost(toy("sl"), decision(power_w_per_hz=np.full(2, 1e-9)))  # own power does not count in turns
    up = 2e6 * np.log2(1.5)  # 1 W over 2 MHz
    slot = {
        "migration": 0.0,
        "model_down": 0.03328,  # 66560 / 2e6
        "client_fp": 0.032768,
        "uplink": 8192 / up,
        "server_fp": 0.0010752,  # 8 x 1344 / 1e7
        "server_bp": 0.0021504,  # 8 x 2688 / 1e7
        "unicast": 0.004096,  # 8192 / 2e6
        "client_bp": 0.032768,
        "model_up": 66560 / up,
    }
    assert cost.seconds_by_stage() == approx({stage: 2 * seconds for stage, seconds in slot.items()})
    assert cost.start_s[2:4, 1] == approx([sum(slot.values()), sum(slot.values()) + 0.03328])
    assert cost.stop_s[-1] == approx([sum(slot.values()), 2 * sum(slot.values())])
    assert cost.traffic_bits == approx(2 * (66560 + 8192 + 8192 + 66560))  # the model is broadcast in both slots
    assert cost.client_energy_j == approx([0.065536 + (8192 + 66560) / up] * 2)
    assert cost.server_energy_j == approx(2 * (8 * 4032 * 1e-6 + 2 * 0.03328 + 2 * 0.004096))


@pytest.mark.parametrize(("framework", "cluster"), [("sl", [0, 0]), ("cpsl", [4, 7])])
def test_timeout_counts_from_the_begin_of_each_slot(framework: str, cluster: list[int]) -> None:
    slow_first = toy(framework, client_hz=np.array([1e4, 1e6]))  # 3.3 s of forward pass
    cost = round_cost(slow_first, decision(cluster=np.array(cluster)))
    alone = round_cost(toy("sl"), decision(selected=np.array([False, True])))
    assert cost.timed_out.tolist() == [True, False]
    assert cost.participants.tolist() == [False, True]
    assert cost.latency_s == approx(2.0 + alone.latency_s)
    assert cost.start_s[:, 1] == approx(2.0 + alone.start_s[:, 1])
    assert cost.stop_s[:, 0].max() == 2.0


def test_clusters_take_turns_in_increasing_order() -> None:
    cost = round_cost(toy("cpsl"), decision(cluster=np.array([5, -1])))
    assert cost.start_s[2].tolist() == [cost.stop_s[-1, 1], 0.0]


def test_who_owns_nothing_takes_part_where_the_band_is_dealt_anew() -> None:
    nothing = decision(assignment=np.array([-1, -1]))
    assert round_cost(toy("sl"), nothing).participants.all()
    assert round_cost(toy("cpsl"), replace(nothing, cluster=np.array([0, 1]))).participants.all()
    for framework in ("cpsl", "sfl-v1", "fl"):
        assert round_cost(toy(framework), nothing).without_subchannel.all()


# The band ----------------------------------------------------------------------------------------------------------


def dealt_band(
    assignment: np.ndarray, psd: np.ndarray, members: np.ndarray, again: bool, hz: np.ndarray, client_max_w: float
) -> tuple[np.ndarray, np.ndarray]:
    """Owners and powers if all together may spend 6 W."""
    owner, dealt = np.full(len(hz), -7), np.full(len(hz), np.nan)
    spectrum = Spectrum(hz, 1.0, 1.0, client_max_w, 6.0)
    band_of_slot(assignment, psd, members, again, spectrum, np.zeros(len(members)), owner, dealt)
    return owner, dealt


def test_band_of_a_turn_by_hand() -> None:
    """Own: 0 has 1 Hz (index 3), 1 has 1 Hz (index 0). Index 1 (3 Hz): a tie, to 0. Indices 2, 4: to 1, then 4 Hz."""
    hz, assignment = np.array([1.0, 3, 1, 1, 2]), np.array([1, -1, 2, 0, -1])
    members, psd = np.array([True, True, False]), np.arange(5.0)
    owner, dealt = dealt_band(assignment, psd, members, True, hz, 5.0)
    assert owner.tolist() == [1, 0, 1, 0, 1]
    assert dealt == approx([0.75] * 5)  # 6 W / 2 clients / 4 Hz
    owner, dealt = dealt_band(assignment, psd, members, True, hz, 2.0)
    assert dealt == approx([0.5] * 5)  # 2 W / 4 Hz
    owner, dealt = dealt_band(assignment, psd, members, False, hz, 5.0)
    assert owner.tolist() == [1, -1, -1, 0, -1]
    assert dealt.tolist() == psd.tolist()


def test_members_beyond_the_subchannels_get_no_share_of_the_power() -> None:
    members = np.array([0, 1, 1, 1], bool)
    owner, dealt = dealt_band(np.array([-1, -1]), np.zeros(2), members, True, np.ones(2), 9.0)
    assert owner.tolist() == [1, 2]
    assert dealt.tolist() == [3.0, 3.0]


# The deadline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "barrier"),
    [
        ((CLIENT, UPLINK, SERVER, SERVER, BROADCAST, UNICAST, CLIENT), 2),
        ((BROADCAST, CLIENT, UPLINK, SERVER, UNICAST, UPLINK), 3),
        ((BROADCAST, CLIENT, CLIENT, UPLINK), 4),
        ((UPLINK, CLIENT, BROADCAST, UPLINK, SERVER), 2),
        ((SERVER, SERVER), 3),
        ((BROADCAST, CLIENT, UNICAST, SERVER), 5),
    ],
)
def test_deadline_is_at_the_first_barrier_after_the_first_uplink(resource: tuple[Resource, ...], barrier: int) -> None:
    assert deadline_barrier(np.array(resource)) == barrier


def test_fl_waits_at_the_end_for_who_is_late() -> None:
    cost = round_cost(toy("fl", client_hz=np.array([1e6, 4e4])), decision())
    assert cost.participants.tolist() == [True, False]
    assert cost.timed_out.tolist() == [False, True]
    stages = {"migration": 0.0, "model_down": 0.044448, "client_fp": 1.088, "client_bp": 0.867552, "model_up": 0.0}
    assert cost.seconds_by_stage() == approx(stages)
    assert cost.latency_s == 2.0
    assert cost.traffic_bits == approx(2 * 88896)
    assert cost.client_energy_j[1] == approx(1e-18 * 4e4**3 * (2 - 0.044448))


@pytest.mark.parametrize("framework", ["fl", "sfl-v1"])
def test_a_broadcast_that_outlasts_the_timeout_is_cut_off(framework: str) -> None:
    cost = round_cost(toy(framework, 0.02), decision())
    assert cost.timed_out.all()
    assert cost.latency_s == 0.02
    assert cost.seconds_by_stage()["model_down"] == cost.stage_s.sum() == 0.02
    assert cost.traffic_bits == approx(0.02 * 2e6)
    assert cost.server_energy_j == approx(0.02 * 2)
    assert not cost.client_energy_j.any()
    assert cost.stop_s.max() == 0.02


@pytest.mark.parametrize("framework", ["fl", "sfl-v1", "cpsl"])
def test_a_broadcast_that_nobody_can_hear_takes_the_timeout(framework: str) -> None:
    deaf = toy(framework, channel_gain=np.zeros((2, 2)))
    cost = round_cost(deaf, decision())
    assert cost.timed_out.all()
    assert cost.latency_s == cost.stage_s.sum() == 2.0
    assert cost.traffic_bits == 0
    assert np.isfinite(cost.stop_s).all()


def test_what_follows_the_servers_work_has_no_deadline() -> None:
    """In time with the uplink after 74.24 ms; the round of 188.2 ms outlasts the timeout by the way back."""
    in_time, late = (round_cost(toy("sfl-v1", timeout), decision()) for timeout in (0.0743, 0.0742))
    assert in_time.participants.all()
    assert in_time.latency_s == approx(0.1882112)
    assert late.timed_out.all()
    assert late.latency_s == 0.0742


def test_a_round_without_uplink_has_no_deadline() -> None:
    cost = round_cost(toy("centralised", 0.001), decision())
    assert cost.participants.all()
    assert cost.latency_s == approx(0.0195584)
