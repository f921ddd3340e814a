"""3GPP TR 38.901 V16.1.0, UMi street canyon: Tables 7.4.1-1 and 7.4.2-1. Specified from 10 m on, also used below."""

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.path_loss.model import PathLoss
from splitgym.scenario import Cell

SPEED_OF_LIGHT_M_PER_S = 3.0e8  # the rounded value that TR 38.901 prescribes
ENVIRONMENT_HEIGHT_M = 1.0  # what antennas stand above counts (TR 38.901 Table 7.4.1-1, note 1)


def loss_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, line_of_sight: Bools) -> Floats:
    """PL_UMi-LOS, or PL_UMi-NLOS, which is no less."""
    distance_m = np.hypot(ground_distance_m, cell.base_station_height_m - cell.client_height_m)
    seen_db = _seen_db(cell, carrier_hz, ground_distance_m, distance_m)
    hidden_db = np.maximum(seen_db, _hidden_db(cell, carrier_hz, distance_m))
    return np.where(line_of_sight, seen_db, hidden_db)


def line_of_sight_probability(ground_distance_m: Floats) -> Floats:
    """Table 7.4.2-1."""
    near = np.minimum(18.0 / ground_distance_m, 1.0)
    return near + np.exp(-ground_distance_m / 36.0) * (1 - near)


def _seen_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, distance_m: Floats) -> Floats:
    """PL_UMi-LOS: PL1 up to the breakpoint distance, PL2 beyond."""
    effective_heights_m = (
        cell.base_station_height_m - ENVIRONMENT_HEIGHT_M,
        cell.client_height_m - ENVIRONMENT_HEIGHT_M,
    )
    breakpoint_m = 4 * effective_heights_m[0] * effective_heights_m[1] * carrier_hz / SPEED_OF_LIGHT_M_PER_S
    height_difference_m = cell.base_station_height_m - cell.client_height_m
    at_one_metre_db = 32.4 + 20 * np.log10(carrier_hz / 1e9)
    decades = np.log10(distance_m)
    near_db = at_one_metre_db + 21 * decades
    far_db = at_one_metre_db + 40 * decades - 9.5 * np.log10(breakpoint_m**2 + height_difference_m**2)
    return np.where(ground_distance_m <= breakpoint_m, near_db, far_db)


def _hidden_db(cell: Cell, carrier_hz: float, distance_m: Floats) -> Floats:
    """PL'_UMi-NLOS, before the maximum with the loss in line of sight."""
    height_gain_db = 0.3 * (cell.client_height_m - 1.5)
    return 35.3 * np.log10(distance_m) + 22.4 + 21.3 * np.log10(carrier_hz / 1e9) - height_gain_db


MODEL = PathLoss(loss_db, line_of_sight_probability, deviation_db=(4.0, 7.82))
