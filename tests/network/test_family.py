"""Episodes that draw their own number of clients, speeds, radius and bandwidth."""

import numpy as np
import pytest
from played_cells import Cells
from scipy import stats

from splitgym.network.family import count_between, fill_scales, scale_between, value_between
from splitgym.random import Purpose, Streams
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


CHANCES = np.concatenate([(np.arange(3000) + 0.5) / 3000, [2.0**-33, 1 - 2.0**-33]])
"""Even numbers in (0, 1), and the lowest and highest ones that are drawn."""


def test_values_are_uniform_scales_log_uniform_counts_even() -> None:
    values = [value_between((2.0, 6.0), chance) for chance in CHANCES]
    assert stats.kstest(values, stats.uniform(2, 4).cdf).statistic < 1e-3
    scales = [scale_between((0.01, 100.0), chance) for chance in CHANCES]
    assert stats.kstest(np.log10(scales), stats.uniform(-2, 4).cdf).statistic < 1e-3
    counts = np.bincount([count_between((3, 6), False, chance) for chance in CHANCES])
    np.testing.assert_array_equal(counts, [0, 0, 0, 751, 750, 750, 751])
    # From 1 to 7 so many as lie between 1 and 2, 2 and 4, 4 and 8: a third each.
    log_uniform = np.bincount([count_between((1, 7), True, chance) for chance in CHANCES])
    np.testing.assert_allclose([log_uniform[1], log_uniform[2:4].sum(), log_uniform[4:].sum()], 1001, atol=1)
    assert log_uniform[0] == 0 < log_uniform[1:].min()
    assert 2.0 <= min(values) < max(values) <= 6.0
    assert 0.01 <= min(scales) < max(scales) <= 100.0


@pytest.mark.parametrize("chance", [2.0**-33, 0.3, 1 - 2.0**-33])
def test_without_a_range_there_is_no_chance(chance: float) -> None:
    assert value_between((3.7, 3.7), chance) == 3.7
    assert scale_between((0.1, 0.1), chance) == 0.1
    assert count_between((4, 4), False, chance) == count_between((4, 4), True, chance) == 4


def test_scales_of_worlds_are_log_uniform_and_of_those_worlds() -> None:
    worlds = 3000
    streams = Streams(np.arange(worlds, dtype=np.uint64), np.zeros(worlds, np.int64))
    scales, numbers, some = np.empty(worlds), np.zeros(4), np.array([7, 1999, 3])
    fill_scales(np.arange(worlds), streams, int(Purpose.SKEW), (0.1, 10.0), scales, numbers)
    assert stats.kstest(np.log10(scales), stats.uniform(-1, 2).cdf).pvalue > 0.01
    own = np.empty(3)
    fill_scales(some, streams, int(Purpose.SKEW), (0.1, 10.0), own, numbers)
    np.testing.assert_array_equal(own, scales[some])


def test_worlds_of_a_family_are_as_they_were_drawn() -> None:
    worlds = 400
    cells = Cells(build("toy", VARIED), worlds)
    network = cells.network
    count = network.present.sum(1)
    assert set(count) == {2, 3, 4, 5}
    # The first clients are there, the others are absent for good.
    assert (np.sort(~network.present, axis=1) == ~network.present).all()
    (band,) = cells.now("subchannel_hz")
    assert (band == band[:, :1]).all()
    assert 1e5 <= band.min() < 2e5
    assert 5e6 < band.max() <= 1e7
    assert network.client_hz.min() < 2e8
    assert network.client_hz.max() > 1e10
    furthest = np.zeros(worlds)
    for _ in range(20):
        cells.advance(30.0)
        furthest = np.maximum(furthest, np.hypot(*np.moveaxis(network.position_m, -1, 0)).max(1))
        assert not network.available[~network.present].any()
        assert not network.believed_available[~network.present].any()
    assert (network.subchannel_hz == band).all()
    assert furthest.max() <= 400.0
    assert furthest.min() < 100.0
    # Somebody comes back, but only of those who are there.
    assert (network.present.sum(1) == count).all()


def test_what_episodes_draw_is_spread_over_its_range() -> None:
    worlds = 3000
    cells = Cells(build("toy", VARIED), worlds)
    counts = np.bincount(cells.network.present.sum(1), minlength=6)
    assert stats.chisquare(counts[2:]).pvalue > 0.01
    assert stats.kstest(cells.network.radius_m, stats.uniform(50, 350).cdf).pvalue > 0.01
    assert stats.kstest(np.log10(cells.network.subchannel_hz[:, 0]), stats.uniform(5, 2).cdf).pvalue > 0.01
    # Speeds of a world have one factor in common: 1e9 to 2e9 times 0.1 to 10.
    factor = cells.network.client_hz.max(1) / cells.network.client_hz.min(1)
    assert factor.max() <= 2.0
    assert np.log10(cells.network.client_hz.mean(1)).std() == pytest.approx(2 / 12**0.5, rel=0.05)


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
