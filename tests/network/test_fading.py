"""Distribution, power and memory of the small-scale fading."""

import numpy as np
import pytest
from scipy import stats

from splitgym.network.fading import draw_scatter, faded_gain, next_scatter
from splitgym.scenario import Radio

CLIENTS, SUBCHANNELS = 100, 300
SEEN = np.ones((1, CLIENTS), dtype=bool)


def powers(radio: Radio, line_of_sight: np.ndarray, rounds: int, seed: int = 0) -> np.ndarray:
    """|h|^2 of the first round and after so many more."""
    rngs = [np.random.default_rng(seed)]
    scatter = draw_scatter(rngs, radio, CLIENTS)
    first = faded_gain(radio, np.ones(line_of_sight.shape), scatter, line_of_sight)
    for _ in range(rounds):
        scatter = next_scatter(rngs, radio, scatter)
    return np.stack([first, faded_gain(radio, np.ones(line_of_sight.shape), scatter, line_of_sight)])


def test_rayleigh_is_exponential_in_the_first_round_and_late() -> None:
    radio = Radio(fading="rayleigh", subchannels=SUBCHANNELS, fading_correlation=0.7)
    for power in powers(radio, SEEN, rounds=40):
        assert power.shape == (1, CLIENTS, SUBCHANNELS)
        assert power.mean() == pytest.approx(1.0, abs=0.03)
        assert stats.kstest(power.ravel(), "expon").pvalue > 0.01


@pytest.mark.parametrize("factor_db", [3.0, 9.0])
def test_rician_in_the_first_round_and_late(factor_db: float) -> None:
    factor = 10 ** (factor_db / 10)
    radio = Radio(fading="rician", rician_factor_db=factor_db, subchannels=SUBCHANNELS, fading_correlation=0.7)
    for power in powers(radio, SEEN, rounds=40):
        assert power.mean() == pytest.approx(1.0, abs=0.02)
        # |h|^2 2 (K + 1) is non-central chi-square: two degrees of freedom, non-centrality 2 K.
        assert stats.kstest(power.ravel() * 2 * (factor + 1), stats.ncx2(2, 2 * factor).cdf).pvalue > 0.01
        certainty = np.sqrt(1 - power.var() / power.mean() ** 2)  # = K / (K + 1)
        assert certainty / (1 - certainty) == pytest.approx(factor, rel=0.05)


def test_rician_scenario_is_rayleigh_without_line_of_sight() -> None:
    radio = Radio(fading="rician", rician_factor_db=12.0, subchannels=SUBCHANNELS)
    seen = np.arange(CLIENTS)[None] < CLIENTS // 2
    power = powers(radio, seen, rounds=0)[0]
    assert stats.kstest(power[~seen].ravel(), "expon").pvalue > 0.01
    assert power[seen].var() < 0.2


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 1.0])
def test_correlation_of_the_coefficient(correlation: float) -> None:
    radio = Radio(fading="rayleigh", subchannels=SUBCHANNELS, fading_correlation=correlation)
    rngs = [np.random.default_rng(5)]
    scatter = [draw_scatter(rngs, radio, CLIENTS)]
    for _ in range(2):
        scatter.append(next_scatter(rngs, radio, scatter[-1]))
    h = [(components[:, 0] + 1j * components[:, 1]).ravel() / np.sqrt(2) for components in scatter]
    for lag in (1, 2):
        assert np.mean(h[lag] * h[0].conj()) == pytest.approx(correlation**lag, abs=0.02)


def test_subchannels_and_clients_fade_independently() -> None:
    power = powers(Radio(subchannels=SUBCHANNELS), SEEN, rounds=0)[0, 0]
    neighbours = np.corrcoef(power[:, :-1].ravel(), power[:, 1:].ravel())[0, 1]
    clients = np.corrcoef(power[:-1].ravel(), power[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.02
    assert abs(clients) < 0.02


def test_no_fading_is_one_and_draws_nothing() -> None:
    radio = Radio(fading="none", subchannels=4)
    rng = np.random.default_rng(6)
    scatter = next_scatter([rng], radio, draw_scatter([rng], radio, CLIENTS))
    np.testing.assert_array_equal(
        faded_gain(radio, 3 * np.ones(SEEN.shape), scatter, SEEN), 3 * np.ones((1, CLIENTS, 4))
    )
    assert rng.bit_generator.state == np.random.default_rng(6).bit_generator.state
