"""Several stations: who serves whom, by plain Python, on a straight road, and what handovers change."""

from math import hypot, log10

import numpy as np
import pytest
from played_cells import Cells

from splitgym.network.geometry import drive
from splitgym.scenario import build

STATIONS = [("west", -700.0), ("middle", 0.0), ("east", 700.0)]
HEIGHT_M, ASIDE_M = 8.5, 30.0
"""Of the stations: above the clients, and beside the road."""
ROAD = {
    "cell": {"mobility": "road", "shadowing": False, "line_of_sight": "always", "base_station_height_m": 10.0},
    "road": {"length_m": 2000.0, "lanes": 1},
    "radio": {"fading": "none", "subchannels": 2, "carrier_hz": 30e9},
    "clients": {"count": 30},
    "handover": {"hysteresis_db": 2.0, "time_to_trigger_s": 1.0, "interruption_s": 0.125},
    "stations": [{"name": name, "position_m": (x, ASIDE_M), "node": "server"} for name, x in STATIONS],
}
EVERYTHING = {
    "cell": {"mobility": "road"},
    "road": {"length_m": 2000.0, "lanes": 3, "speed_min_m_per_s": 5.0, "speed_max_m_per_s": 60.0},
    "radio": {"subchannels": 3, "fading": "rician"},
    "clients": {"count": 5, "load_max": 0.5, "dropout_probability": 0.2},
    "knowledge": {"channel_delay_rounds": 2, "channel_error_db": 1.0},
    "family": {"clients": (3, 5)},
    "stations": ROAD["stations"],
}
NAMES = (
    "channel_gain",
    "believed_channel_gain",
    "position_m",
    "line_of_sight",
    "station",
    "handed_over",
    "interruption_s",
    "wired_s_per_bit",
)


def loss_db(x_m, y_m, station_x_m):
    """UMi with line of sight below the breakpoint, up to what is the same everywhere."""
    return 21 * log10(hypot(x_m - station_x_m, y_m - ASIDE_M, HEIGHT_M))


def losses_db(position_m):
    return [loss_db(*position_m, x) for _, x in STATIONS]


def test_everybody_begins_at_the_strongest_station():
    cells = Cells(build(ROAD), worlds=3)
    station, position_m, handed_over = cells.now("station", "position_m", "handed_over")
    for n, i in np.ndindex(station.shape):
        assert station[n, i] == np.argmin(losses_db(position_m[n, i]))
    assert len(np.unique(station)) == 3
    assert not handed_over.any()


def test_stations_change_as_the_rule_says():
    cells = Cells(build(ROAD), worlds=2)
    (own,) = cells.now("station")
    held_s = np.zeros((*own.shape, 3))
    changes = 0
    for step in range(120):
        seconds = (0.4, 0.7, 3.0)[step % 3]
        cells.advance(seconds)
        position_m, station, handed_over, interruption_s = cells.now(
            "position_m", "station", "handed_over", "interruption_s"
        )
        for n, i in np.ndindex(own.shape):
            loss = losses_db(position_m[n, i])
            before, triggered = own[n, i], []
            for s in range(3):
                better = s != before and loss[before] - loss[s] > 2.0
                held_s[n, i, s] = held_s[n, i, s] + seconds if better else 0.0
                if better and held_s[n, i, s] >= 1.0:
                    triggered.append(s)
            if triggered:
                own[n, i] = min(triggered, key=lambda s: loss[s])
                held_s[n, i] = 0.0
            changed = own[n, i] != before
            changes += changed
            assert station[n, i] == own[n, i]
            assert handed_over[n, i] == changed
            assert interruption_s[n, i] == (0.125 if changed else 0.0)
    assert changes > 50


def test_drives_are_reflected_at_the_ends():
    start_m = np.array([[[-900.0, 1.0], [950.0, -1.0], [0.0, 0.0]]])
    heading = np.array([[np.pi, 0.0, 0.0]])
    x, direction, speed = start_m[0, :, 0].copy(), np.array([-1.0, 1.0, 1.0]), np.array([20.0, 30.0, 25.0])
    for second in range(1, 301):
        for i in range(3):
            x[i] += direction[i] * speed[i]
            if abs(x[i]) > 1000.0:
                x[i] = np.sign(x[i]) * 2000.0 - x[i]
                direction[i] = -direction[i]
        driven = drive(start_m, heading, np.array([speed * second]), 2000.0)
        np.testing.assert_allclose(driven[0, :, 0], x, atol=1e-9)
        np.testing.assert_array_equal(driven[0, :, 1], start_m[0, :, 1])


def test_vehicles_stay_on_their_lanes_and_keep_their_speeds():
    scenario = build({**ROAD, "road": {"length_m": 2000.0, "lanes": 4, "lane_width_m": 3.0}})
    cells = Cells(scenario, worlds=4)
    (before_m,) = cells.now("position_m")
    cells.advance(1.0)
    (after_m,) = cells.now("position_m")
    np.testing.assert_array_equal(after_m[..., 1], before_m[..., 1])
    assert set(np.unique(before_m[..., 1])) == {-4.5, -1.5, 1.5, 4.5}
    moved_m = np.abs(after_m[..., 0] - before_m[..., 0])
    inside = np.abs(before_m[..., 0]) < 960.0
    assert moved_m[inside].min() >= 20.0 - 1e-9
    assert moved_m[inside].max() <= 30.0 + 1e-9
    assert np.ptp(moved_m[inside]) > 5.0


def test_a_platoon_begins_anywhere_and_stays_together():
    scenario = build({**ROAD, "road": {"length_m": 2000.0, "platoon_m": 200.0}})
    cells = Cells(scenario, worlds=200)
    (before_m,) = cells.now("position_m")
    x = before_m[..., 0]
    assert np.ptp(x, axis=1).max() <= 200.0
    assert np.ptp(x, axis=1).min() > 100.0
    # Where it begins is uniform over the 1800 m that are left: mean 0, deviation 1800 / sqrt(12) m.
    assert abs(x.mean()) < 3 * 1800 / np.sqrt(12 * 200)
    assert x.mean(1).std() == pytest.approx(1800 / np.sqrt(12), rel=0.15)
    cells.advance(1.0)
    (after_m,) = cells.now("position_m")
    moved_m = after_m[..., 0] - x
    inside = (np.abs(x) < 960.0).all(1)
    np.testing.assert_allclose(moved_m[inside], moved_m[inside, :1].repeat(x.shape[1], 1), atol=1e-9)
    assert {20.0 <= abs(m) <= 30.0 for m in moved_m[inside, 0]} == {True}
    assert 0.3 < (moved_m[inside, 0] > 0).mean() < 0.7


@pytest.mark.parametrize("speed", [0.0, 2.0])
def test_one_row_beside_the_server_is_no_row_to_the_bit(speed):
    world = {**EVERYTHING, "cell": {"speed_m_per_s": speed}, "stations": []}
    row = {"name": "only", "position_m": (0.0, 0.0), "node": "server"}
    one, other = Cells(build(world), worlds=3), Cells(build({**world, "stations": [row]}), worlds=3)
    for _ in range(4):
        for name in NAMES:
            np.testing.assert_array_equal(getattr(one.network, name), getattr(other.network, name), strict=True)
        one.advance(7.0)
        other.advance(7.0)


def test_weak_stations_change_nothing():
    world = {**EVERYTHING, "cell": {}, "road": {}}
    first = {"name": "first", "position_m": (0.0, 0.0), "node": "server"}
    weak = [{"name": f"weak{k}", "position_m": (50.0 * k, 9.0), "node": "server", "gain_db": -100.0} for k in range(3)]
    one, other = Cells(build({**world, "stations": [first]})), Cells(build({**world, "stations": [first, *weak]}))
    for _ in range(3):
        for name in NAMES:
            np.testing.assert_array_equal(getattr(one.network, name), getattr(other.network, name))
        one.advance()
        other.advance()


def test_a_world_of_a_batch_is_the_single_world_to_the_bit():
    batch, singles = Cells(build(EVERYTHING), 3), [Cells(build(EVERYTHING), first_seed=seed) for seed in range(3)]
    changes = 0
    for step in range(25):
        for i, single in enumerate(singles):
            for name in NAMES:
                np.testing.assert_array_equal(getattr(batch.network, name)[i], getattr(single.network, name)[0])
        changes += batch.network.handed_over.sum()
        elapsed_s = np.array([1.0, 0.5, 2.0]) * step
        batch.advance(elapsed_s)
        for i, single in enumerate(singles):
            single.advance(elapsed_s[i])
    assert changes > 0


def test_shadowing_of_stations_is_independent():
    scenario = build({**ROAD, "cell": {"shadowing": True}, "clients": {"count": 2000}, "road": {}})
    shadow = Cells(scenario).network._state.shadow[0]
    np.testing.assert_allclose(np.corrcoef(shadow), np.eye(3), atol=0.07)
    np.testing.assert_allclose(shadow.std(1), 1.0, atol=0.06)


def test_fading_begins_again_with_a_station():
    frozen = {**ROAD["radio"], "fading": "rayleigh", "fading_correlation": 1.0}
    cells = Cells(build({**ROAD, "radio": frozen}), worlds=2)
    changes = 0

    def fades():
        return cells.network.channel_gain / cells.network._state.large_scale_gain[..., None]

    for _ in range(20):
        before = fades()
        cells.advance(2.0)
        changed = cells.network.handed_over
        changes += changed.sum()
        same = np.isclose(fades(), before, rtol=1e-9).all(-1)
        np.testing.assert_array_equal(same, ~changed)
    assert changes > 5


def test_reports_follow_a_handover():
    cells = Cells(build({**ROAD, "knowledge": {"channel_delay_rounds": 2}}), worlds=2)
    (station,) = cells.now("station")
    places, changes = [cells.now("position_m")[0]] * 3, 0
    for _ in range(40):
        cells.advance(2.0)
        own, position_m, believed = cells.now("station", "position_m", "believed_channel_gain")
        truth = cells.network.channel_gain
        places = [*places[1:], position_m]
        for n, i in zip(*np.nonzero(cells.network.handed_over), strict=True):
            changes += 1
            old, new = (losses_db(position_m[n, i])[s] for s in (station[n, i], own[n, i]))
            reported = losses_db(places[0][n, i])[station[n, i]]
            # The old report, and by how much the new station is better now.
            expected_db = -(reported - old)
            assert 10 * np.log10(believed[n, i, 0] / truth[n, i, 0]) == pytest.approx(expected_db, abs=1e-6)
            assert new < old
        station = own
    assert changes > 5


def test_links_are_shared_by_those_whose_way_they_are_on():
    links = [
        {"name": "a", "ends": ("west", "middle"), "bits_per_s": 4e6},
        {"name": "b", "ends": ("middle", "east"), "bits_per_s": 1e6},
    ]
    rows = [{key: row[key] for key in ("name", "position_m")} for row in ROAD["stations"]]
    rows[2]["node"] = "server"
    cells = Cells(build({**ROAD, "stations": rows, "links": links, "family": {"clients": (10, 30)}}), worlds=3)
    for _ in range(5):
        station, present, wired = cells.now("station", "present", "wired_s_per_bit")
        for n in range(3):
            west, middle = ((station[n] == s) & present[n] for s in (0, 1))
            on_b = west.sum() + middle.sum()
            expected = {0: west.sum() / 4e6 + on_b / 1e6, 1: on_b / 1e6, 2: 0.0}
            for i in np.flatnonzero(present[n]):
                assert wired[n, i, 0] == pytest.approx(expected[station[n, i]], rel=1e-12)
        cells.advance(10.0)
