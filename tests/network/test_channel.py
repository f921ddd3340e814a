"""The parts of the gain together: line of sight by distance, shadowing in dB, antenna gain, movement."""

import numpy as np
import pytest
from played_cells import Cells

from splitgym.network import line_of_sight_probability, path_loss_db
from splitgym.scenario import Cell, Clients, Radio, Scenario

CROWD = 20_000


def crowd(cell: Cell, **radio: object) -> Scenario:
    return Scenario(cell=cell, radio=Radio(subchannels=1, **radio), clients=Clients(count=CROWD))


def shadow_db(cells: Cells) -> np.ndarray:
    """What is left of the gain without fading, path loss and antennas."""
    scenario, network = cells.network.scenario, cells.network
    distance_m = np.linalg.norm(network.position_m, axis=-1)
    loss_db = path_loss_db(scenario.cell, scenario.radio.carrier_hz, distance_m, network.line_of_sight)
    gain = network.channel_gain[..., 0] / scenario.radio.antenna_gain
    return -10 * np.log10(gain) - loss_db


@pytest.mark.parametrize("sight", ["always", "never"])
@pytest.mark.parametrize(("model", "deviations_db"), [("umi", (4.0, 7.82)), ("mmwave-28ghz", (5.8, 8.7))])
def test_gain_is_path_loss_and_shadowing(model: str, deviations_db: tuple[float, float], sight: str) -> None:
    cell = Cell(path_loss=model, line_of_sight=sight)
    cells = Cells(crowd(cell, fading="none", carrier_hz=28e9, antenna_gain=160.0))
    assert (cells.network.line_of_sight == (sight == "always")).all()
    shadow, distance_m = shadow_db(cells)[0], np.linalg.norm(cells.network.position_m, axis=-1)[0]
    assert shadow.mean() == pytest.approx(0.0, abs=0.2)
    assert shadow.std() == pytest.approx(deviations_db[sight == "never"], rel=0.02)
    assert abs(np.corrcoef(shadow, distance_m)[0, 1]) < 0.03


@pytest.mark.parametrize("model", ["umi", "mmwave-28ghz"])
def test_line_of_sight_follows_its_probability(model: str) -> None:
    network = Cells(crowd(Cell(path_loss=model), carrier_hz=28e9)).network
    distance_m = np.linalg.norm(network.position_m, axis=-1)[0]
    for near, far in ((10, 50), (50, 100), (100, 200)):
        inside = (distance_m >= near) & (distance_m < far)
        expected = line_of_sight_probability(model, distance_m[inside]).mean()
        assert network.line_of_sight[0, inside].mean() == pytest.approx(expected, abs=0.03)


def test_nobody_moves_without_speed() -> None:
    cells = Cells(crowd(Cell(), fading="none"))
    position_m, gain = cells.now("position_m", "channel_gain")
    cells.advance(1e3)
    np.testing.assert_array_equal(cells.network.position_m, position_m)
    np.testing.assert_array_equal(cells.network.channel_gain, gain)


def test_movement_is_speed_times_time_in_each_world() -> None:
    cells = Cells(crowd(Cell(speed_m_per_s=2.0), fading="none"), worlds=2)
    (start_m, sight), moved_m = cells.now("position_m", "line_of_sight"), []
    for elapsed_s in ([0.0, 0.5], [0.5, 0.5]):
        cells.advance(elapsed_s)
        moved_m.append(np.linalg.norm(cells.network.position_m - start_m, axis=-1))
    assert moved_m[0][0].max() < 1e-9
    assert np.median(moved_m[0][1]) == pytest.approx(1.0, abs=1e-9)
    assert moved_m[0][1].max() <= 1.0 + 1e-9
    # Two half metres are one metre, and the line of sight stays.
    np.testing.assert_allclose(np.median(moved_m[1], axis=1), [1.0, 2.0], atol=1e-9)
    np.testing.assert_array_equal(cells.network.line_of_sight, sight)


def test_clients_head_for_every_direction() -> None:
    cells = Cells(crowd(Cell(speed_m_per_s=1.0, min_distance_m=1.0), fading="none"))
    (start_m,) = cells.now("position_m")
    cells.advance(1e-3)
    step_m = (cells.network.position_m - start_m)[0]
    angle = np.arctan2(step_m[:, 1], step_m[:, 0])
    octants = np.histogram(angle, bins=8, range=(-np.pi, np.pi))[0] / CROWD
    np.testing.assert_allclose(octants, 1 / 8, atol=0.01)
    # Whatever the direction in which they are.
    around = np.arctan2(start_m[0, :, 1], start_m[0, :, 0])
    assert abs(np.exp(1j * (angle - around)).mean()) < 0.03


def test_a_new_episode_begins_where_nobody_has_walked() -> None:
    cells = Cells(crowd(Cell(speed_m_per_s=2.0), fading="none"))
    cells.advance(50.0)
    cells.reset()
    (start_m,) = cells.now("position_m")
    cells.advance(0.0)
    np.testing.assert_allclose(cells.network.position_m, start_m, atol=1e-9)


@pytest.mark.parametrize(("sight", "distance_m", "deviation_db"), [("always", 10.0, 4.0), ("never", 13.0, 7.82)])
def test_shadowing_of_movers_decorrelates_in_the_gain(sight: str, distance_m: float, deviation_db: float) -> None:
    cells = Cells(crowd(Cell(speed_m_per_s=1.0, line_of_sight=sight), fading="none"))
    before = shadow_db(cells)[0]
    cells.advance(distance_m)
    after = shadow_db(cells)[0]
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(np.exp(-1), abs=0.03)
    assert after.std() == pytest.approx(deviation_db, rel=0.02)
    cells.advance(distance_m)
    assert np.corrcoef(before, shadow_db(cells)[0])[0, 1] == pytest.approx(np.exp(-2), abs=0.03)
