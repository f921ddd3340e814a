"""Losses and probabilities against values worked out by hand from the sources' tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitgym.network import line_of_sight_probability, path_loss_db, shadowing_deviation_db
from splitgym.scenario import Cell

SEEN, HIDDEN = np.array([True]), np.array([False])


def loss_db(cell: Cell, carrier_hz: float, distance_m: float, line_of_sight: np.ndarray) -> float:
    return path_loss_db(cell, carrier_hz, np.array([distance_m]), line_of_sight).item()


@pytest.mark.parametrize(
    ("client_height_m", "distance_m", "line_of_sight", "by_hand_db"),
    [
        # 3.5 GHz, base station at 10 m. Client at 1.5 m: breakpoint 4 * 9 * 0.5 * 3.5e9 / 3e8 = 210 m.
        (1.5, 100.0, SEEN, 85.314189),  # 32.4 + 21 * 2.00156325 + 10.88136089
        (1.5, 400.0, SEEN, 103.238762),  # 32.4 + 40 * 2.60215803 + 10.88136089 - 9.5 * 4.64514952
        (1.5, 100.0, HIDDEN, 104.643832),  # 35.3 * 2.00156325 + 22.4 + 11.58864935
        (5.0, 100.0, HIDDEN, 103.557789),  # 35.3 * 2.00054219 + 22.4 + 11.58864935 - 0.3 * 3.5
    ],
)
def test_umi_by_hand(client_height_m: float, distance_m: float, line_of_sight: np.ndarray, by_hand_db: float) -> None:
    cell = Cell(client_height_m=client_height_m, base_station_height_m=10.0)
    assert loss_db(cell, 3.5e9, distance_m, line_of_sight) == pytest.approx(by_hand_db, abs=2e-6)


def test_umi_hidden_is_never_better_than_seen() -> None:
    cell = Cell(base_station_height_m=1.5, client_height_m=1.5)
    # At 2 m the NLoS formula alone would give 44.6 dB: 32.4 + 21 * 0.30103 + 10.88136 counts.
    assert loss_db(cell, 3.5e9, 2.0, HIDDEN) == pytest.approx(49.602991, abs=1e-5)


@given(st.floats(0.5e9, 100e9), st.floats(5.0, 30.0), st.floats(1.5, 4.0))
def test_umi_is_continuous_at_the_breakpoint(carrier_hz: float, base_m: float, client_m: float) -> None:
    cell = Cell(base_station_height_m=base_m, client_height_m=client_m)
    breakpoint_m = 4 * (base_m - 1) * (client_m - 1) * carrier_hz / 3e8
    before, after = (loss_db(cell, carrier_hz, breakpoint_m * side, SEEN) for side in (1 - 1e-9, 1 + 1e-9))
    assert after == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize(("line_of_sight", "by_hand_db"), [(SEEN, 101.431265), (HIDDEN, 130.445647)])
def test_mmwave_by_hand(line_of_sight: np.ndarray, by_hand_db: float) -> None:
    # 3D distance sqrt(100^2 + 8.5^2): 61.4 + 20 * 2.00156325; 72 + 29.2 * 2.00156325
    cell = Cell(path_loss="mmwave-28ghz", base_station_height_m=10.0, client_height_m=1.5)
    assert loss_db(cell, 28e9, 100.0, line_of_sight) == pytest.approx(by_hand_db, abs=2e-6)


def test_constant_loss_ignores_distance() -> None:
    cell = Cell(path_loss="constant", constant_loss_db=87.5)
    losses = path_loss_db(cell, 1e9, np.array([[20.0, 90.0]]), np.array([[True, False]]))
    np.testing.assert_array_equal(losses, [[87.5, 87.5]])


@pytest.mark.parametrize("heights", [{"client_height_m": 1.0}, {"base_station_height_m": 0.5}])
def test_umi_refuses_antennas_it_is_not_made_for(heights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must exceed 1 m"):
        Cell(**heights)


def test_line_of_sight_probabilities_by_hand() -> None:
    umi = line_of_sight_probability("umi", np.array([10.0, 18.0, 36.0, 180.0]))
    np.testing.assert_allclose(umi, [1.0, 1.0, 0.68393972, 0.10606415], atol=1e-8)
    mmwave = line_of_sight_probability("mmwave-28ghz", np.array([67.1, 134.2]))
    np.testing.assert_allclose(mmwave, [0.36787944, 0.13533528], atol=1e-8)
    np.testing.assert_array_equal(line_of_sight_probability("constant", np.array([1.0, 1e4])), [1.0, 1.0])


@pytest.mark.parametrize(
    ("model", "deviations_db"), [("umi", [4.0, 7.82]), ("mmwave-28ghz", [5.8, 8.7]), ("constant", [0.0, 0.0])]
)
def test_shadowing_deviations(model: str, deviations_db: list[float]) -> None:
    np.testing.assert_array_equal(shadowing_deviation_db(model, np.array([True, False])), deviations_db)
