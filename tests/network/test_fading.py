"""Distribution, power and memory of the small-scale fading."""

import numpy as np
import pytest
from played_cells import Cells
from scipy import stats

from splitgym.network import path_loss_db
from splitgym.network.fading import fill_gain, mix
from splitgym.scenario import Cell, Clients, Radio, Scenario

CLIENTS, SUBCHANNELS = 100, 300
RAYLEIGH = {"fading": "rayleigh", "subchannels": SUBCHANNELS}


def cells(sight: str = "always", **radio: object) -> Cells:
    """Whose gain is that of the fading."""
    cell = Cell(path_loss="constant", constant_loss_db=10.0, line_of_sight=sight)
    return Cells(Scenario(cell=cell, radio=Radio(antenna_gain=10.0, **radio), clients=Clients(count=CLIENTS)))


def powers(played: Cells, rounds: int) -> list[np.ndarray]:
    """|h|^2, [C, M], of the first round and so many more."""
    seen = [played.network.channel_gain[0].copy()]
    for _ in range(rounds):
        played.advance()
        seen.append(played.network.channel_gain[0].copy())
    return seen


def test_rayleigh_is_exponential_in_the_first_round_and_late() -> None:
    seen = powers(cells(**RAYLEIGH, fading_correlation=0.7), 12)
    for power in (seen[0], seen[-1]):
        assert power.shape == (CLIENTS, SUBCHANNELS)
        assert power.mean() == pytest.approx(1.0, abs=0.03)
        assert stats.kstest(power.ravel(), "expon").pvalue > 0.01


@pytest.mark.parametrize("factor_db", [3.0, 9.0])
def test_rician_in_the_first_round_and_late(factor_db: float) -> None:
    factor = 10 ** (factor_db / 10)
    radio = {"fading": "rician", "rician_factor_db": factor_db, "subchannels": SUBCHANNELS, "fading_correlation": 0.7}
    seen = powers(cells(**radio), 12)
    for power in (seen[0], seen[-1]):
        assert power.mean() == pytest.approx(1.0, abs=0.02)
        # |h|^2 2 (K + 1) is non-central chi-square: two degrees of freedom, non-centrality 2 K.
        assert stats.kstest(power.ravel() * 2 * (factor + 1), stats.ncx2(2, 2 * factor).cdf).pvalue > 0.01
        certainty = np.sqrt(1 - power.var() / power.mean() ** 2)  # = K / (K + 1)
        assert certainty / (1 - certainty) == pytest.approx(factor, rel=0.05)


def test_rician_scenario_is_rayleigh_without_line_of_sight() -> None:
    radio = Radio(fading="rician", rician_factor_db=12.0, subchannels=SUBCHANNELS)
    played = Cells(Scenario(cell=Cell(shadowing=False), radio=radio, clients=Clients(count=CLIENTS)))
    network, cell = played.network, played.network.scenario.cell
    seen = network.line_of_sight[0]
    loss_db = path_loss_db(cell, radio.carrier_hz, np.linalg.norm(network.position_m, axis=-1)[0], seen)
    power = network.channel_gain[0] * 10 ** (loss_db[:, None] / 10)
    assert 10 < seen.sum() < 90
    assert stats.kstest(power[~seen].ravel(), "expon").pvalue > 0.01
    assert power[seen].var() < 0.2
    assert power[seen].mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 1.0])
def test_powers_of_rounds_correlate_by_the_square(correlation: float) -> None:
    """Of complex Gaussians that correlate by rho, powers do by rho^2."""
    seen = powers(cells(**RAYLEIGH, fading_correlation=correlation), 2)
    for lag in (1, 2):
        found = np.corrcoef(seen[0].ravel(), seen[lag].ravel())[0, 1]
        assert found == pytest.approx(correlation ** (2 * lag), abs=0.02)


def test_a_rician_link_keeps_the_phase_of_its_dominant_path() -> None:
    """Else powers would correlate by less: cov = 2 K rho / (K+1)^2 + rho^2 / (K+1)^2."""
    factor, rho = 4.0, 0.5
    seen = powers(
        cells(fading="rician", rician_factor_db=10 * np.log10(factor), subchannels=300, fading_correlation=rho), 1
    )
    expected = (2 * factor * rho + rho**2) / (2 * factor + 1)
    assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] == pytest.approx(expected, abs=0.02)


def test_mix_is_the_gauss_markov_step_by_hand() -> None:
    values = np.array([2.0, -1.0, 0.5])
    mix(values, np.array([1.0, 0.0, -2.0, 7.0]), 0.6)
    np.testing.assert_allclose(values, [0.6 * 2 + 0.8, -0.6, 0.3 - 1.6], rtol=1e-15)


def test_gain_by_hand() -> None:
    """K = 3: the dominant part is sqrt(3)/2, each component of the scatter has the deviation sqrt(1/8)."""
    gain = np.empty((2, 1))
    scatter = np.array([[[2.0], [2.0]], [[1.0], [1.0]]])
    fill_gain(np.array([10.0, 1.0]), scatter, np.array([True, False]), 3.0, gain)
    seen = (np.sqrt(3) / 2 + 2 * np.sqrt(1 / 8)) ** 2 + 1 / 8
    np.testing.assert_allclose(gain, [[10 * seen], [4 / 2 + 1 / 2]], rtol=1e-14)


def test_subchannels_and_clients_fade_independently() -> None:
    (power,) = powers(cells(**RAYLEIGH), 0)
    assert abs(np.corrcoef(power[:, :-1].ravel(), power[:, 1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(power[:-1].ravel(), power[1:].ravel())[0, 1]) < 0.02
    # In-phase and quadrature components lie half of the numbers apart, as do clients 0 and C / 2.
    assert abs(np.corrcoef(power[:50].ravel(), power[50:].ravel())[0, 1]) < 0.025


def test_without_fading_the_gain_is_one_for_ever() -> None:
    for power in powers(cells(fading="none", subchannels=4), 3):
        np.testing.assert_allclose(power, np.ones((CLIENTS, 4)), rtol=1e-14)
