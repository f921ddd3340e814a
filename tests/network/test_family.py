"""Episodes that draw their own number of clients, speeds, radius and bandwidth."""

import numpy as np
import pytest
from scipy import stats

from splitgym.network import Network
from splitgym.network.family import draw_count, draw_scale, draw_value
from splitgym.scenario import ScenarioError, build

VARIED = {
    "clients": {"count": 6, "compute_min_hz": 1e9, "compute_max_hz": 2e9, "dropout_probability": 0.3},
    "cell": {"speed_m_per_s": 1.0, "min_distance_m": 10.0},
    "family": {
        "clients": [2, 5],
        "compute_factor": [0.1, 10.0],
        "radius_m": [50.0, 400.0],
        "subchannel_hz": [1e5, 1e7],
    },
}


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def test_values_are_uniform_scales_log_uniform_counts_even() -> None:
    rngs = generators(3000)
    assert stats.kstest(draw_value(rngs, (2.0, 6.0), 0.0), stats.uniform(2, 4).cdf).pvalue > 0.01
    scale = draw_scale(rngs, (0.01, 100.0), 0.0)
    assert stats.kstest(np.log10(scale), stats.uniform(-2, 4).cdf).pvalue > 0.01
    counts = np.bincount(draw_count(rngs, (3, 6), 0))
    assert counts[:3].sum() == 0
    assert stats.chisquare(counts[3:]).pvalue > 0.01


def test_nothing_is_drawn_without_a_range() -> None:
    rngs = generators(2)
    before = [rng.bit_generator.state for rng in rngs]
    assert draw_value(rngs, None, 3.5).tolist() == [3.5, 3.5]
    assert draw_scale(rngs, None, 2.0).tolist() == [2.0, 2.0]
    assert draw_count(rngs, None, 4).tolist() == [4, 4]
    assert [rng.bit_generator.state for rng in rngs] == before


def test_worlds_of_a_family_are_as_they_were_drawn() -> None:
    worlds = 400
    network, rngs = Network(build("toy", VARIED), worlds), generators(worlds)
    network.reset(rngs)
    count = network.present.sum(1)
    assert set(count) == {2, 3, 4, 5}
    # The first clients are there, the others are absent for good.
    assert (np.sort(~network.present, axis=1) == ~network.present).all()
    band = network.subchannel_hz
    assert (band == band[:, :1]).all()
    assert 1e5 <= band.min() < 2e5
    assert 5e6 < band.max() <= 1e7
    assert network.client_hz.min() < 2e8
    assert network.client_hz.max() > 1e10
    furthest = np.zeros(worlds)
    for _ in range(20):
        network.advance(rngs, np.full(worlds, 30.0))
        furthest = np.maximum(furthest, np.hypot(*np.moveaxis(network.position_m, -1, 0)).max(1))
        assert not network.available[~network.present].any()
        assert not network.believed_available[~network.present].any()
    assert (network.subchannel_hz == band).all()
    assert furthest.max() <= 400.0
    assert furthest.min() < 100.0
    # Somebody comes back, but only of those who are there.
    assert (network.present.sum(1) == count).all()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({"clients": [5, 2]}, "family.clients|lower one first"),
        ({"clients": [1, 7]}, r"clients = \[1, 7\] must not exceed clients.count = 6"),
        ({"radius_m": [5.0, 20.0]}, "must exceed cell.min_distance_m"),
        ({"dirichlet_alpha": [0.1, 1.0]}, "needs task.partition = 'dirichlet'"),
        ({"subchannel_hz": [0.0, 1.0]}, "greater than or equal to 1"),
        ({"client": [1, 2]}, "clients"),
    ],
)
def test_ranges_that_do_not_fit_are_named(family: dict, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        build("toy", VARIED | {"family": family})
