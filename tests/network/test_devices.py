"""Speeds, load and availability of the devices."""

import numpy as np
import pytest
from scipy import stats

from splitgym.network.devices import Devices, first_devices, next_devices
from splitgym.scenario import Clients, Family


def rounds(clients: Clients, count: int, seed: int = 0) -> list[Devices]:
    rngs = [np.random.default_rng(seed)]
    devices = [first_devices(rngs, clients, Family())]
    for _ in range(count):
        devices.append(next_devices(rngs, clients, devices[-1]))
    return devices


def test_uniform_and_log_uniform_speeds() -> None:
    bounds = {"compute_min_hz": 1e7, "compute_max_hz": 1e9}
    uniform = rounds(Clients(count=5000, **bounds), 0)[0].client_hz[0]
    assert stats.kstest((uniform - 1e7) / (1e9 - 1e7), "uniform").pvalue > 0.01
    spread = rounds(Clients(count=5000, compute_spread="log-uniform", **bounds), 0)[0].client_hz[0]
    assert stats.kstest(np.log10(spread / 1e7) / 2, "uniform").pvalue > 0.01


@pytest.mark.parametrize("spread", ["uniform", "log-uniform"])
def test_equal_clients_have_exactly_their_speed(spread: str) -> None:
    clients = Clients(count=3, compute_min_hz=1.1e6, compute_max_hz=1.1e6, compute_spread=spread)
    np.testing.assert_array_equal(rounds(clients, 2)[-1].client_hz, np.full((1, 3), 1.1e6))


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95, 1.0])
def test_load_is_uniform_and_correlated_as_asked(correlation: float) -> None:
    clients = Clients(count=20_000, load_max=0.6, load_correlation=correlation)
    devices = rounds(clients, 30)
    shares = [1 - each.client_hz[0] / each.nominal_hz[0] for each in devices]
    for share in (shares[0], shares[-1]):
        assert stats.kstest(share / 0.6, "uniform").pvalue > 0.01
    assert np.corrcoef(shares[0], shares[1])[0, 1] == pytest.approx(correlation, abs=0.02)
    assert np.corrcoef(shares[-2], shares[-1])[0, 1] == pytest.approx(correlation, abs=0.02)
    np.testing.assert_array_equal(devices[-1].nominal_hz, devices[0].nominal_hz)


def test_availability_is_the_markov_chain_asked_for() -> None:
    devices = rounds(Clients(count=20_000, dropout_probability=0.2, return_probability=0.3), 40)
    assert devices[0].available.all()
    assert devices[1].available.mean() == pytest.approx(0.8, abs=0.01)
    before, after = devices[-2].available, devices[-1].available
    assert after.mean() == pytest.approx(0.3 / (0.2 + 0.3), abs=0.015)
    assert after[before].mean() == pytest.approx(0.8, abs=0.015)
    assert after[~before].mean() == pytest.approx(0.3, abs=0.015)


def test_certain_dropout_and_return_alternate() -> None:
    devices = rounds(Clients(count=4, dropout_probability=1.0, return_probability=1.0), 3)
    assert [each.available.all() for each in devices] == [True, False, True, False]
    assert not devices[1].available.any()


def test_steady_devices_draw_nothing() -> None:
    rng = np.random.default_rng(1)
    clients = Clients(count=4)
    before = first_devices([rng], clients, Family())
    drawn = rng.bit_generator.state
    after = next_devices([rng], clients, before)
    assert rng.bit_generator.state == drawn
    np.testing.assert_array_equal(after.client_hz, before.nominal_hz)
    assert after.available.all()
