"""Rounds on demand in the `toy` preset counted by hand (numbers in test_toy_round.py).

Each of two clients has one subchannel of 1 Mbit/s at 1 W, its p_max; spread over both it makes 2 MHz x log2(1.5).
The second client computes at 1e6 cycles/s: 32.768 ms for its forward pass at cut 1, and as long for its backward pass.
"""

from dataclasses import replace

import numpy as np
import pytest
from barriers import barriers_at_server, with_barriers
from equations_of_a_round import state_of
from numba import config

from splitgym.envs import SplitLearningEnv
from splitgym.frameworks import Barrier
from splitgym.scenario import build
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

FULL = 1e-6  # W/Hz: 1 W over 1 MHz
BOTH = 2e6 * np.log2(1.5)  # bit/s up over both subchannels; down it is 2e6
PIECE = 0.0010752 + 0.0021504  # s of the server for a client: 8 x 1344 forward, 8 x 2688 backward, at 1e7 cycles/s


def toy(framework: str = "psl", by_client: bool = True, timeout_s: float = 2.0, **arrays: object) -> RoundState:
    scenario = build("toy", {"radio": {"sharing": "on-demand"}, "episode": {"round_timeout_s": timeout_s}})
    state = state_of(scenario, framework, **arrays)
    program = with_barriers(state.system.program, by_client)
    return replace(state, system=replace(state.system, program=program))


def decision(**fields: object) -> Decision:
    return replace(Decision(1, np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), 0.0), **fields)


def approx(value: object) -> object:
    return pytest.approx(value, rel=1e-9)


def test_who_is_alone_on_the_air_has_the_whole_band() -> None:
    """Client 0 is four times as fast: it has done everything but its backward pass before client 1 begins to send."""
    cost = round_cost(toy(client_hz=np.array([4e6, 1e6])), decision())
    way_back = 8192 / 2e6
    first = 0.008192 + 8192 / BOTH + PIECE + way_back + 0.008192
    assert cost.stop_s[-1, 0] == approx(first)
    assert cost.latency_s == cost.stop_s[-1, 1] == approx(0.032768 + 8192 / BOTH + PIECE + way_back + 0.032768)
    assert first < 0.032768
    stages = {
        "migration": 0.0,
        "client_fp": 0.032768,
        "uplink": 8192 / BOTH,
        "server_fp": 0.0010752,
        "server_bp": 0.0021504,
        "broadcast": 0.0,
        "unicast": way_back,
        "client_bp": 0.032768,
    }
    assert cost.seconds_by_stage() == approx(stages)
    assert cost.traffic_bits == approx(4 * 8192)
    # 1e-18 x f^2 J a cycle, 65536 cycles; 1 W on air. The server: 1e-6 J a cycle, 2 W over both subchannels.
    assert cost.client_energy_j == approx([16e-6 * 65536 + 8192 / BOTH, 0.065536 + 8192 / BOTH])
    assert cost.server_energy_j == approx(2 * PIECE * 10 + 2 * 2 * way_back)


def test_a_loan_ends_when_its_owner_needs_it() -> None:
    """Client 0 sends over both for 2 ms, until client 1 has computed; then each over its own."""
    cost = round_cost(toy(client_hz=np.array([32768 / 0.030768, 1e6])), decision())
    rest = (8192 - 0.002 * BOTH) / 1e6
    assert cost.stop_s[3, 0] == approx(0.032768 + rest)
    # Then client 1 has both for what is left of its own 8192 bits.
    assert cost.stop_s[3, 1] == approx(0.032768 + rest + (8192 - rest * 1e6) / BOTH)
    assert cost.client_energy_j - 1e-18 * np.array([32768 / 0.030768, 1e6]) ** 2 * 65536 == approx(
        [0.002 + rest, rest + (8192 - rest * 1e6) / BOTH]
    )


def test_the_server_takes_who_came_first_with_all_its_phases() -> None:
    """At 2e5 cycles/s a client takes 161.28 ms of the server; client 1 comes 8 ms after client 0 and waits."""
    state = toy(client_hz=np.array([32768 / 0.024768, 1e6]), server_hz=2e5)
    cost = round_cost(state, decision())
    came = 0.024768 + 8192 / BOTH, 0.032768 + 8192 / BOTH
    assert cost.start_s[4:6, 0] == approx([came[0], came[0] + 0.05376])
    assert cost.stop_s[5, 0] == approx(came[0] + 0.16128)
    assert cost.start_s[4, 1] == approx(came[0] + 0.16128)
    assert cost.stop_s[5, 1] == approx(came[0] + 0.32256)
    stages = cost.seconds_by_stage()
    assert stages["server_fp"] == approx(came[0] + 0.16128 - came[1] + 0.05376)  # waiting counts for what is waited for
    assert stages["server_bp"] == approx(0.10752)
    assert cost.server_energy_j == approx(1e-20 * (2e5) ** 3 * 0.32256 + 4 * 8192 / 2e6)


def test_a_server_that_needs_all_rows_waits_for_the_last() -> None:
    cost = round_cost(toy(by_client=False, client_hz=np.array([4e6, 1e6])), decision())
    came = 0.032768 + 8192 / BOTH
    assert cost.start_s[4].tolist() == approx([came, came])
    assert cost.stop_s[5].tolist() == approx([came + 2 * PIECE] * 2)
    # Both receive, then client 0 computes; neither has anything to lend before.
    assert cost.latency_s == approx(came + 2 * PIECE + 0.008192 + 0.032768)
    assert cost.server_energy_j == approx(2 * PIECE * 10 + 2 * 0.008192)


def test_aggregation_and_broadcasts_wait_for_everybody() -> None:
    """EPSL with m = 4 of 8: forward passes one by one, 4 rows back once, then 4 rows and 8 last layers for each."""
    cost = round_cost(toy("epsl", client_hz=np.array([4e6, 1e6])), decision(aggregation_ratio=0.5))
    forward, once, each = 0.0010752, 4 * 2048 / 1e7, (4 * 2048 + 8 * 640) / 1e7
    came = 0.032768 + 8192 / BOTH + forward
    assert cost.stop_s[4, 0] == approx(0.008192 + 8192 / BOTH + forward)
    assert cost.start_s[5].tolist() == approx([came, came])
    assert cost.stop_s[5].tolist() == approx([came + once + each, came + once + 2 * each])
    begin = came + once + 2 * each
    assert cost.start_s[6].tolist() == approx([begin, begin])
    assert cost.stop_s[6].tolist() == approx([begin + 0.002048] * 2)
    assert cost.latency_s == approx(begin + 0.002048 + 0.004096 + 0.032768)
    assert cost.seconds_by_stage()["server_bp"] == approx(once + 2 * each)


def test_models_go_up_without_waiting() -> None:
    """SFL: client 0 has done all before client 1 sends, and its model went up over both subchannels."""
    cost = round_cost(toy("sfl-v1", client_hz=np.array([1e8, 1e6])), decision())
    down, computing = 66560 / 2e6, 32768 / 1e8
    own = down + computing + 8192 / BOTH + PIECE + 8192 / 2e6 + computing
    assert own < down + 0.032768
    first = cost.stop_s[-1, 0]
    sent_alone = (down + 0.032768 - own) * BOTH
    assert first > down + 0.032768  # client 1 takes its subchannel back in between
    assert sent_alone < 66560
    static = replace(toy("sfl-v1", client_hz=np.array([1e8, 1e6])))
    static = replace(static, system=replace(static.system, on_demand=False))
    assert first < round_cost(static, decision()).stop_s[-1, 0]


@pytest.mark.parametrize("by_client", [True, False])
def test_who_is_late_is_left_out_and_the_round_lasts_until_the_timeout(by_client: bool) -> None:
    slow = toy(by_client=by_client, client_hz=np.array([1e6, 1e4]))  # 3.2768 s of forward pass, timeout 2 s
    cost = round_cost(slow, decision())
    assert cost.participants.tolist() == [True, False]
    assert cost.timed_out.tolist() == [False, True]
    after = PIECE + 8192 / 2e6 + 0.032768  # the left-out client's subchannel is lent
    alone = 0.032768 + 8192 / BOTH + after
    assert cost.stop_s[-1, 0] == approx(alone if by_client else 2.0 + after)
    assert cost.latency_s == approx(2.0 if by_client else 2.0 + after)
    assert cost.seconds_by_stage()["client_fp"] == approx(2.0)
    assert cost.stage_s.sum() == approx(cost.latency_s)
    assert cost.stop_s[:, 1].max() == 2.0
    assert cost.client_energy_j[1] == approx(1e-18 * 1e4**3 * 2.0)
    assert cost.traffic_bits == approx(2 * 8192)


def test_who_is_cut_off_while_sending_has_sent_and_paid_a_part() -> None:
    """Client 1 needs 39.77 ms until its data is there; 38 ms are too few."""
    cost = round_cost(toy(timeout_s=0.038, client_hz=np.array([4e6, 1e6])), decision())
    assert cost.timed_out.tolist() == [False, True]
    assert cost.latency_s == 0.038
    assert cost.traffic_bits == approx(2 * 8192 + (0.038 - 0.032768) * BOTH)
    assert cost.client_energy_j[1] == approx(0.032768 + 0.038 - 0.032768)


def test_lending_can_save_a_client_from_the_timeout() -> None:
    """On its own subchannel client 1 would need 40.96 ms."""
    state = toy(timeout_s=0.0405, client_hz=np.array([4e6, 1e6]))
    static = replace(state, system=replace(state.system, on_demand=False))
    assert round_cost(static, decision()).timed_out.tolist() == [False, True]
    assert round_cost(state, decision()).participants.all()


@pytest.mark.parametrize(
    "nobody", [{"selected": np.zeros(2, bool)}, {"assignment": np.array([-1, -1])}], ids=["none selected", "no band"]
)
@pytest.mark.parametrize("framework", ["psl", "sfl-v1", "sl"])
def test_with_nobody_there_the_timeout_passes(framework: str, nobody: dict[str, np.ndarray]) -> None:
    if framework == "sl" and "assignment" in nobody:
        return  # there the band is assigned again
    cost = round_cost(toy(framework), decision(**nobody))
    assert (cost.latency_s, cost.stage_s.sum(), cost.traffic_bits) == (2.0, 2.0, 0.0)
    assert not cost.participants.any()


def test_a_broadcast_that_outlasts_the_timeout_is_cut_off() -> None:
    cost = round_cost(toy("sfl-v1", timeout_s=0.02), decision())
    assert cost.timed_out.all()
    assert cost.latency_s == cost.seconds_by_stage()["model_down"] == 0.02
    assert cost.traffic_bits == approx(0.02 * 2e6)
    assert cost.server_energy_j == approx(0.02 * 2)


def test_without_any_power_decided_clients_still_send_on_demand() -> None:
    """2 W are left for both: 1 W each, which is what a decision at full power would say."""
    silent = decision(power_w_per_hz=np.zeros(2))
    assert round_cost(toy(), silent).latency_s == approx(round_cost(toy(), decision()).latency_s)
    assert round_cost(toy("sfl-v1"), silent).participants.all()


@pytest.mark.parametrize(
    ("framework", "model", "statistics", "by_client"),
    [
        ("psl", "resnet18", "joint", False),
        ("psl", "resnet18", "per-client", True),
        ("psl", "cnn", "joint", True),
        ("epsl-pt", "resnet18", "joint", False),
        ("psl-drop", "resnet18", "joint", False),
        ("cpsl", "resnet18", "joint", False),
        ("sfl-v1", "resnet18", "joint", True),
        ("sfl-v2", "resnet18", "joint", True),
        ("sl", "resnet18", "joint", True),
    ],
)
def test_who_has_to_wait_for_all_rows(framework: str, model: str, statistics: str, by_client: bool) -> None:
    scenario = build("toy", {"task": {"model": model}, "training": {"batch_statistics": statistics}})
    expected = Barrier.NONE if by_client else Barrier.ALL
    assert barriers_at_server(state_of(scenario, framework).system.program) == {expected}


@pytest.mark.skipif(config.DISABLE_JIT, reason="records have attributes in compiled code only")
def test_the_scenario_says_how_the_environment_shares() -> None:
    latency = {}
    for sharing in ("static", "on-demand"):
        env = SplitLearningEnv("toy", framework="psl", action="schedule", radio={"sharing": sharing})
        env.reset(seed=0)
        latency[sharing] = env.step(np.array([0, 1, 1, 0]))[4]["round_latency_s"]
    assert latency["static"] == approx(0.032768 + 0.008192 + 2 * PIECE + 0.008192 + 0.032768)
    # Both send at the same time. Client 1 begins to receive PIECE later than client 0, which has had the whole band so
    # far, for PIECE x 2e6 of its 8192 bits. Then each has its own, and client 1 has all once client 0 is done.
    together = (8192 - PIECE * 2e6) / 1e6
    alone = (8192 - together * 1e6) / 2e6
    assert latency["on-demand"] == approx(0.032768 + 0.008192 + 2 * PIECE + together + alone + 0.032768)
