"""The largest rate that a power buys: water-filling against its optimality and against numbers counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitgym.timing.water_filling import largest_rate


def fill(power_w: float, gain: object, hz: object, mine: object = None) -> tuple[float, np.ndarray]:
    gain, hz = np.asarray(gain, float), np.asarray(hz, float)
    holder = np.zeros(len(gain), np.int64) if mine is None else np.asarray(mine)
    psd = np.full(len(gain), -1.0)
    return largest_rate(power_w, gain, np.argsort(-gain), holder, 0, hz, 1.0, psd), psd


def shannon(psd: np.ndarray, gain: np.ndarray, hz: np.ndarray) -> float:
    return float(hz @ np.log1p(psd * gain)) / np.log(2)


def test_levels_by_hand() -> None:
    """Floors 1, 2, 4: 3 W fill the first two up to 3; 5 W all up to 4, where the last is just dry; 8 W up to 5."""
    for power_w, expected in {1: [1, 0, 0], 3: [2, 1, 0], 5: [3, 2, 0], 8: [4, 3, 1]}.items():
        rate, psd = fill(power_w, [1, 1 / 2, 1 / 4], [1, 1, 1])
        np.testing.assert_allclose(psd, expected, atol=1e-12)
        assert rate == pytest.approx(np.log2([1 + expected[0], 1 + expected[1] / 2, 1 + expected[2] / 4]).sum())


def test_wide_subchannels_take_more_of_the_power() -> None:
    """Floors 1 and 2 of 1 Hz and 3 Hz: 6 W = 1 (mu - 1) + 3 (mu - 2) has mu = 13/4."""
    _, psd = fill(6, [1, 1 / 2], [1, 3])
    np.testing.assert_allclose(psd, [9 / 4, 5 / 4])


def test_subchannels_of_others_are_left_as_they_are() -> None:
    rate, psd = fill(1, [5, 1, 1], [1, 1, 1], mine=[1, 0, -1])
    assert psd.tolist() == [-1, 1, -1]
    assert rate == pytest.approx(1)
    assert fill(1, [5, 1], [1, 1], mine=[1, -1])[0] == 0


@pytest.mark.parametrize(("power_w", "gain"), [(0.0, [1, 2]), (1.0, [0, 0])])
def test_nothing_comes_through_without_power_or_gain(power_w: float, gain: list[float]) -> None:
    rate, psd = fill(power_w, gain, [1, 1])
    assert rate == 0
    assert psd.tolist() == [0, 0]


def test_a_subchannel_without_gain_gets_nothing() -> None:
    rate, psd = fill(1, [0, 1], [1, 1])
    assert psd.tolist() == [0, 1]
    assert rate == pytest.approx(1)


@given(seed=st.integers(0, 2**32 - 1), power_w=st.floats(1e-3, 1e3))
@settings(max_examples=200, deadline=None)
def test_no_other_way_to_spend_the_power_is_better(seed: int, power_w: float) -> None:
    rng = np.random.default_rng(seed)
    subchannels = rng.integers(1, 6)
    gain, hz = 10 ** rng.uniform(-2, 2, subchannels), rng.uniform(0.5, 2, subchannels)
    rate, psd = fill(power_w, gain, hz)
    assert np.all(psd >= 0)
    assert psd @ hz == pytest.approx(power_w, rel=1e-9)
    assert rate == pytest.approx(shannon(psd, gain, hz), rel=1e-12)
    spent = rng.dirichlet(np.ones(subchannels), 20) * power_w
    assert all(rate >= shannon(w / hz, gain, hz) * (1 - 1e-9) for w in spent)
    near = np.maximum(psd * hz + 1e-3 * power_w * rng.standard_normal((20, subchannels)), 0)
    near *= power_w / near.sum(1, keepdims=True)
    assert all(rate >= shannon(w / hz, gain, hz) * (1 - 1e-9) for w in near)
