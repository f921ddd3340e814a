"""Bars and stragglers, against seconds counted by hand and against the definition."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from paths import PATH, on_paths
from scenes import everybody, scene_of

from splitgym import frameworks
from splitgym.rendering.path import busy_in, path
from splitgym.rendering.scene import Role
from splitgym.rendering.text import text
from splitgym.rendering.timeline import SERVER, Bar, bars, stages_shown, straggler, waits
from splitgym.types import Decision

FULL = 1e-6  # W/Hz: 1 W over 1 MHz


def toy(state):
    return Decision(1, np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), 0.5)


def toy_at_zero(state):
    return replace(toy(state), aggregation_ratio=0.0)


def test_bars_of_a_toy_round_counted_by_hand():
    """tests/timing/test_toy_round.py counts the seconds: 1 FLOP is a cycle, 1e6 and 1e7 cycles/s, 1 Mbit/s."""
    forward, uplink, server_fp, server_bp, broadcast, unicast = (
        0.032768,
        0.008192,
        0.0021504,
        0.0034816,
        0.002048,
        0.004096,
    )
    ends = np.cumsum([forward, uplink, server_fp, server_bp, broadcast, unicast, forward])
    stages = ["client_fp", "uplink", "server_fp", "server_bp", "broadcast", "unicast", "client_bp"]
    spans = dict(zip(stages, zip([0.0, *ends], ends, strict=False), strict=True))
    expected = [Bar(SERVER, stage, *spans[stage]) for stage in ("server_fp", "server_bp", "broadcast")]
    expected += [Bar(i, s, *spans[s]) for i in (0, 1) for s in stages if not s.startswith("server")]
    found = sorted(bars(scene_of("toy", decide=toy)))
    assert [bar[:2] for bar in found] == [bar[:2] for bar in sorted(expected)]
    assert np.array([bar[2:] for bar in found]) == pytest.approx(np.array([bar[2:] for bar in sorted(expected)]))


@pytest.mark.parametrize("framework", frameworks.names())
@pytest.mark.parametrize("sharing", ["static", "on-demand"])
def test_bars_lie_within_the_round_and_nobody_does_two_things_at_once(framework, sharing):
    scene = scene_of("iot", framework, radio={"sharing": sharing}, seed=3)
    latency = scene.played.cost.latency_s
    for row in (SERVER, *scene.clients):
        own = sorted((bar.start_s, bar.stop_s) for bar in bars(scene) if bar.row == row)
        assert all(0 <= start < stop <= latency for start, stop in own)
        assert all(stop <= start + 1e-9 for (_, stop), (start, _) in pairwise(own))
    assert max(bar.stop_s for bar in bars(scene)) == pytest.approx(latency)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("framework", ["psl", "epsl", "fl", "sfl-v1"])
def test_side_by_side_the_last_wait_is_for_who_finishes_last(framework, seed):
    scene = scene_of("iot", framework, seed=seed)
    cost = scene.played.cost
    assert waits(scene)[-1].last == cost.stop_s.max(0).argmax()
    assert waits(scene)[-1].stop_s == pytest.approx(cost.latency_s)


@pytest.mark.parametrize("seed", range(5))
def test_the_server_waits_for_the_latest_uplink(seed):
    scene = scene_of("iot", seed=seed)
    uplink = scene.played.cost.stop_s[scene.played.cost.stages.index("uplink")]
    first, second = waits(scene)
    assert (first.last, first.stop_s) == (uplink.argmax(), uplink.max())
    longest = max(first, second, key=lambda wait: wait.stop_s - wait.start_s)
    assert straggler(scene) == (first.last if first.last == second.last else longest.last)


def test_one_after_the_other_the_straggler_has_the_longest_slot():
    scene = scene_of("iot", "sl", seed=1)
    spans = [[(bar.start_s, bar.stop_s) for bar in bars(scene) if bar.row == i] for i in scene.clients]
    alone = [sum(stop - start for start, stop in own) for own in spans]
    server = [sum(s.stop_s - s.start_s for s in bars(scene) if s.row == SERVER and s.stage == "broadcast")]
    assert len(waits(scene)) == 2 * len(scene.clients)
    assert straggler(scene) == int(np.argmax(alone)), server


def test_every_cluster_has_somebody_who_is_last():
    def two(state):
        return replace(everybody(state), cluster=np.arange(8) % 2)

    scene = scene_of("iot", "cpsl", two, seed=2)
    found = waits(scene)
    assert [wait.last % 2 for wait in found] == [0, 0, 1, 1]
    assert [wait.stop_s for wait in found] == sorted(wait.stop_s for wait in found)
    assert found[-1].stop_s == pytest.approx(scene.played.cost.latency_s)


def test_who_is_left_out_at_the_timeout_was_waited_for():
    """Client 0 sends with next to no power, so the server waits for it until the timeout."""

    def deaf(state):
        return Decision(1, np.array([0, 1]), np.array([1e-16, FULL]), np.ones(2, bool), 0.0)

    scene = scene_of("toy", decide=deaf, episode={"round_timeout_s": 2.0})
    assert [scene.role(client) for client in (0, 1)] == [Role.TIMED_OUT, Role.TOOK_PART]
    assert waits(scene)[0] == (0, 1, 0.0, 2.0)
    assert straggler(scene) == 0
    assert max(bar.stop_s for bar in bars(scene) if bar.row == 0) == 2.0


def test_alone_nobody_waits():
    def alone(state):
        return Decision(1, np.array([1, 1]), np.full(2, FULL / 2), np.array([False, True]), 0.0)

    scene = scene_of("toy", decide=alone)
    assert straggler(scene) is None
    assert [scene.role(client) for client in (0, 1)] == [Role.NOT_SELECTED, Role.TOOK_PART]
    assert {bar.row for bar in bars(scene)} == {SERVER, 1}


def test_before_the_first_round_there_is_nothing():
    scene = scene_of("toy", rounds=0)
    assert (bars(scene), waits(scene), straggler(scene)) == ([], [], None)


def test_parts_of_the_network_that_move_are_bars():
    cuts = iter((1, 2))

    def moving(state):
        return Decision(next(cuts), np.array([0, 1]), np.full(2, FULL), np.ones(2, bool), 0.0)

    scene = scene_of("toy", decide=moving, rounds=2)
    cost = scene.played.cost
    (moved,) = (bar for bar in bars(scene) if bar.stage == "migration" and bar.row == 0)
    assert cost.migration_bits > 0
    assert (moved.start_s, moved.stop_s) == (0.0, pytest.approx(cost.migration_bits / 2 / 1e6))  # 1 Mbit/s each


def test_bars_cross_steps_of_an_asynchronous_framework():
    """The fast client goes round while the slow one is at its first mini-batch."""
    slow_hz = {"compute_min_hz": 1e4, "compute_max_hz": 1e6, "compute_spread": "log-uniform"}
    sections = {"clients": slow_hz, "training": {"quorum": 1}}
    for rounds in (1, 2, 3):
        scene = scene_of("toy", "async-psl", toy_at_zero, rounds, seed=4, **sections)
        fast, slow = np.argsort(-scene.state.client_hz).tolist()
        assert [scene.role(client) for client in (fast, slow)] == [Role.TOOK_PART, Role.IN_FLIGHT]
        (bar,) = (bar for bar in bars(scene) if bar.row == slow)
        assert (bar.stage, bar.start_s, bar.stop_s) == ("client_fp", 0.0, pytest.approx(scene.played.cost.latency_s))
        assert (bar.begun_before, bar.goes_on) == (rounds > 1, True)
        own = sorted((bar for bar in bars(scene) if bar.row == fast), key=lambda bar: bar.start_s)
        assert not any(bar.begun_before or bar.goes_on for bar in own)
        stages = ["unicast", "client_bp", "client_fp", "uplink"]
        assert [bar.stage for bar in own] == (stages if rounds > 1 else stages[2:])


def test_who_waits_at_the_server_is_shown_to_wait():
    """Of two equal clients the second waits while the server works for the first, and is the next update."""
    first, second = (scene_of("toy", "async-psl", toy_at_zero, rounds, training={"quorum": 1}) for rounds in (1, 2))
    arrival, latency = 0.032768 + 0.008192, 0.032768 + 0.008192 + 0.0032256
    (waiting,) = (bar for bar in bars(first) if bar.stage == "queue")
    assert waiting == (1, "queue", pytest.approx(arrival), pytest.approx(latency), False, True)
    assert {bar.stage for bar in bars(second)} == {"unicast", "server_fp", "server_bp"}
    assert waits(first) == [(0, 0, 0.0, pytest.approx(arrival))]
    assert waits(second) == []


def test_the_server_is_shown_to_work_on_generated_rows_before_it_goes_on():
    fields = {"quorum": 1, "label_balancing": "generated"}
    task = {"partition": "shards", "evaluation_samples": 20}
    first, second = (scene_of("toy", "async-psl", toy_at_zero, rounds, training=fields, task=task) for rounds in (1, 2))
    assert "generated" not in {bar.stage for bar in bars(first)}
    own = sorted((bar for bar in bars(second) if bar.row == SERVER), key=lambda bar: bar.start_s)
    assert [bar.stage for bar in own] == ["generated", "server_fp", "server_bp"]
    left_s = float(second.state.flights.server_left) / 1e7
    assert left_s > 0
    assert own[0] == (SERVER, "generated", 0.0, pytest.approx(left_s), False, False)
    assert own[1].start_s == pytest.approx(left_s)
    assert stages_shown(second) == (*second.state.system.program.stages, "queue", "generated")
    assert "generated" not in stages_shown(scene_of("toy", "async-psl", toy_at_zero))


def test_a_path_shows_its_nodes_in_order_with_their_units_and_who_is_busy_in_each_stage():
    scenario = on_paths({"nodes": ["server"]}, PATH)
    scene = scene_of(scenario, "multi-hop", lambda state: replace(toy_at_zero(state), placement=1))
    stops = path(scene, scene.played)
    assert [(stop.name, stop.words) for stop in stops] == [("server", "server"), ("near", "near 2"), ("far", "far 3")]
    busy = {bar.stage: busy_in(scene, bar.stage) for bar in bars(scene) if bar.row == SERVER}
    assert busy == {
        "link_fp_1": "first", "server_fp_2": "near", "link_fp_2": "second", "server_fp_3": "far",
        "server_bp_3": "far", "link_bp_2": "second", "server_bp_2": "near", "link_bp_1": "first",
    }  # fmt: skip
    assert busy_in(scene, "uplink") == ""
    assert not path(scene_of("toy"), scene_of("toy").played)
    assert "path: server, near 2, far 3" in text(scene)
