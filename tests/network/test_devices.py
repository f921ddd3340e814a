"""Speeds, load and availability of the devices."""

import numpy as np
import pytest
from played_cells import Cells
from scipy import stats

from splitgym.scenario import Clients, Radio, Scenario


def played(clients: Clients, rounds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Speeds and availability of one world, round after round."""
    cells = Cells(Scenario(clients=clients, radio=Radio(subchannels=1, fading="none")))
    seen = []
    for _ in range(rounds + 1):
        client_hz, available = cells.now("client_hz", "available")
        seen.append((client_hz[0], available[0]))
        cells.advance()
    return seen


def test_uniform_and_log_uniform_speeds() -> None:
    bounds = {"compute_min_hz": 1e7, "compute_max_hz": 1e9}
    uniform = played(Clients(count=5000, **bounds), 0)[0][0]
    assert stats.kstest((uniform - 1e7) / (1e9 - 1e7), "uniform").pvalue > 1e-3
    spread = played(Clients(count=5000, compute_spread="log-uniform", **bounds), 0)[0][0]
    assert stats.kstest(np.log10(spread / 1e7) / 2, "uniform").pvalue > 1e-3
    for speeds in (uniform, spread):
        assert 1e7 <= speeds.min() < speeds.max() <= 1e9


@pytest.mark.parametrize("spread", ["uniform", "log-uniform"])
def test_equal_clients_have_exactly_their_speed(spread: str) -> None:
    clients = Clients(count=3, compute_min_hz=1.1e6, compute_max_hz=1.1e6, compute_spread=spread)
    np.testing.assert_array_equal(played(clients, 2)[-1][0], np.full(3, 1.1e6))


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95, 1.0])
def test_load_is_uniform_and_correlated_as_asked(correlation: float) -> None:
    equal = {"compute_min_hz": 1e9, "compute_max_hz": 1e9}
    seen = played(Clients(count=20_000, load_max=0.6, load_correlation=correlation, **equal), 10)
    shares = [1 - client_hz / 1e9 for client_hz, _ in seen]
    for share in (shares[0], shares[-1]):
        assert stats.kstest(share / 0.6, "uniform").pvalue > 1e-3
    assert np.corrcoef(shares[0], shares[1])[0, 1] == pytest.approx(correlation, abs=0.02)
    assert np.corrcoef(shares[-2], shares[-1])[0, 1] == pytest.approx(correlation, abs=0.02)


def test_load_takes_from_the_speed_that_a_client_has_without_it() -> None:
    """The same seed without load tells these speeds: what is drawn for one purpose does not move another."""
    without, loaded = (played(Clients(count=2000, load_max=load_max), 5) for load_max in (0.0, 0.5))
    for (nominal_hz, _), (client_hz, _) in zip(without, loaded, strict=True):
        np.testing.assert_array_equal(nominal_hz, without[0][0])
        share = 1 - client_hz / nominal_hz
        assert stats.kstest(share / 0.5, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(share, nominal_hz)[0, 1]) < 0.08


def test_availability_is_the_markov_chain_asked_for() -> None:
    seen = [
        available for _, available in played(Clients(count=20_000, dropout_probability=0.2, return_probability=0.3), 15)
    ]
    assert seen[0].all()
    assert seen[1].mean() == pytest.approx(0.8, abs=0.01)
    before, after = seen[-2:]
    assert after.mean() == pytest.approx(0.3 / (0.2 + 0.3), abs=0.015)
    assert after[before].mean() == pytest.approx(0.8, abs=0.015)
    assert after[~before].mean() == pytest.approx(0.3, abs=0.015)


def test_certain_dropout_and_return_alternate() -> None:
    seen = played(Clients(count=4, dropout_probability=1.0, return_probability=1.0), 3)
    assert [available.all() for _, available in seen] == [True, False, True, False]
    assert not seen[1][1].any()


def test_steady_devices_stay_as_they_are() -> None:
    seen = played(Clients(count=4), 5)
    for client_hz, available in seen:
        np.testing.assert_array_equal(client_hz, seen[0][0])
        assert available.all()
