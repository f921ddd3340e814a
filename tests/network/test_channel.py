"""The parts of the gain together: line of sight by distance, shadowing in dB, antenna gain, movement."""

import numpy as np
import pytest
from splitgym.network.channel import Channel, first_channel, next_channel

from splitgym.network import line_of_sight_probability, path_loss_db
from splitgym.scenario import Cell, Clients, Radio, Scenario


def crowd(cell: Cell, **radio: object) -> Scenario:
    return Scenario(cell=cell, radio=Radio(subchannels=1, **radio), clients=Clients(count=20_000))


def start(scenario: Scenario, seed: int = 0) -> Channel:
    return first_channel([np.random.default_rng(seed)], scenario)


@pytest.mark.parametrize("sight", ["always", "never"])
@pytest.mark.parametrize(("model", "deviations_db"), [("umi", (4.0, 7.82)), ("mmwave-28ghz", (5.8, 8.7))])
def test_gain_is_path_loss_and_shadowing(model: str, deviations_db: tuple[float, float], sight: str) -> None:
    scenario = crowd(Cell(path_loss=model, line_of_sight=sight), fading="none", carrier_hz=28e9, antenna_gain=160.0)
    channel = start(scenario)
    distance_m = np.linalg.norm(channel.position_m, axis=-1)
    loss_db = path_loss_db(scenario.cell, 28e9, distance_m, channel.line_of_sight)
    shadow_db = 10 * np.log10(160.0) - 10 * np.log10(channel.gain[..., 0]) - loss_db
    assert shadow_db.mean() == pytest.approx(0.0, abs=0.2)
    assert shadow_db.std() == pytest.approx(deviations_db[sight == "never"], rel=0.02)
    assert abs(np.corrcoef(shadow_db[0], distance_m[0])[0, 1]) < 0.03


@pytest.mark.parametrize("model", ["umi", "mmwave-28ghz"])
def test_line_of_sight_follows_its_probability(model: str) -> None:
    channel = start(crowd(Cell(path_loss=model), carrier_hz=28e9))
    distance_m = np.linalg.norm(channel.position_m, axis=-1)[0]
    for near, far in ((10, 50), (50, 100), (100, 200)):
        inside = (distance_m >= near) & (distance_m < far)
        expected = line_of_sight_probability(model, distance_m[inside]).mean()
        assert channel.line_of_sight[0, inside].mean() == pytest.approx(expected, abs=0.03)


def test_nobody_moves_without_speed() -> None:
    scenario = crowd(Cell(), fading="none")
    rng = np.random.default_rng(1)
    before = first_channel([rng], scenario)
    drawn = rng.bit_generator.state
    after = next_channel([rng], scenario, before, np.array([1e3]))
    np.testing.assert_array_equal(after.position_m, before.position_m)
    np.testing.assert_array_equal(after.gain, before.gain)
    assert rng.bit_generator.state == drawn


def test_movement_is_speed_times_time_in_each_world() -> None:
    scenario = crowd(Cell(speed_m_per_s=2.0, line_of_sight="probabilistic"), fading="none")
    rngs = [np.random.default_rng(seed) for seed in (2, 3)]
    before = first_channel(rngs, scenario)
    after = next_channel(rngs, scenario, before, np.array([0.0, 0.5]))
    moved_m = np.linalg.norm(after.position_m - before.position_m, axis=-1)
    assert moved_m[0].max() < 1e-9
    assert np.median(moved_m[1]) == pytest.approx(1.0, abs=1e-9)
    assert moved_m[1].max() <= 1.0 + 1e-9
    # Two half metres are one metre, and the line of sight stays.
    further = next_channel(rngs, scenario, after, np.array([0.5, 0.5]))
    way_m = np.linalg.norm(further.position_m - before.position_m, axis=-1)
    np.testing.assert_allclose(np.median(way_m, axis=1), [1.0, 2.0], atol=1e-9)
    np.testing.assert_array_equal(further.line_of_sight, before.line_of_sight)


def test_shadowing_of_movers_decorrelates_in_the_gain() -> None:
    scenario = crowd(Cell(speed_m_per_s=1.0, line_of_sight="always"), fading="none")
    rngs = [np.random.default_rng(4)]
    before = first_channel(rngs, scenario)
    after = next_channel(rngs, scenario, before, np.array([10.0]))

    def shadow_db(channel: Channel) -> np.ndarray:
        distance_m = np.linalg.norm(channel.position_m, axis=-1)
        loss_db = path_loss_db(scenario.cell, scenario.radio.carrier_hz, distance_m, channel.line_of_sight)
        return (-10 * np.log10(channel.gain[..., 0]) - loss_db)[0]

    assert np.corrcoef(shadow_db(before), shadow_db(after))[0, 1] == pytest.approx(np.exp(-1), abs=0.03)
    assert shadow_db(after).std() == pytest.approx(4.0, rel=0.02)
