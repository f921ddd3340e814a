"""Large-scale loss by distance: 3GPP TR 38.901 UMi street canyon, 28 GHz of Akdeniz et al. (2014), or a constant.

Sources: 3GPP TR 38.901 V16.1.0, Tables 7.4.1-1 and 7.4.2-1; M. R. Akdeniz et al., "Millimeter Wave Channel Modeling and
Cellular Capacity Evaluation", IEEE JSAC 32(6), 2014, Table I and Eq. (8).
"""

import numpy as np

from splitgym.network.worlds import Bools, Floats
from splitgym.scenario import Cell

SPEED_OF_LIGHT_M_PER_S = 3.0e8  # the rounded value that TR 38.901 prescribes
ENVIRONMENT_HEIGHT_M = 1.0  # UMi: what antennas stand above counts (TR 38.901 Table 7.4.1-1, note 1)
LINE_OF_SIGHT_DECAY_M = 67.1  # 1/a_los of Akdeniz et al.

DEVIATION_DB = {"umi": (4.0, 7.82), "mmwave-28ghz": (5.8, 8.7), "constant": (0.0, 0.0)}
"""Standard deviation of the shadowing with and without line of sight, dB."""


def path_loss_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, line_of_sight: Bools) -> Floats:
    """Median loss between base station and clients.

    Args:
        cell: Path-loss model and antenna heights.
        carrier_hz: Carrier frequency, Hz (used by 'umi').
        ground_distance_m: [...] distance on the ground, m. UMi is specified from 10 m on and used as it is below.
        line_of_sight: [...] whether the client sees the base station.

    Returns:
        [...] loss, dB.
    """
    if cell.path_loss == "constant":
        return np.full(ground_distance_m.shape, cell.constant_loss_db)
    distance_m = np.hypot(ground_distance_m, cell.base_station_height_m - cell.client_height_m)
    if cell.path_loss == "mmwave-28ghz":
        return _akdeniz_db(distance_m, line_of_sight)
    seen_db = _umi_seen_db(cell, carrier_hz, ground_distance_m, distance_m)
    hidden_db = np.maximum(seen_db, _umi_hidden_db(cell, carrier_hz, distance_m))
    return np.where(line_of_sight, seen_db, hidden_db)


def _akdeniz_db(distance_m: Floats, line_of_sight: Bools) -> Floats:
    """PL = alpha + 10 beta log10(d), Table I at 28 GHz."""
    decades = np.log10(distance_m)
    return np.where(line_of_sight, 61.4 + 10 * 2.0 * decades, 72.0 + 10 * 2.92 * decades)


def _umi_seen_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, distance_m: Floats) -> Floats:
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


def _umi_hidden_db(cell: Cell, carrier_hz: float, distance_m: Floats) -> Floats:
    """PL'_UMi-NLOS, before the maximum with the loss in line of sight."""
    height_gain_db = 0.3 * (cell.client_height_m - 1.5)
    return 35.3 * np.log10(distance_m) + 22.4 + 21.3 * np.log10(carrier_hz / 1e9) - height_gain_db


def shadowing_deviation_db(model: str, line_of_sight: Bools) -> Floats:
    """Standard deviation of the log-normal shadowing, dB: TR 38.901 Table 7.4.1-1; Akdeniz et al., Table I."""
    seen_db, hidden_db = DEVIATION_DB[model]
    return np.where(line_of_sight, seen_db, hidden_db)


def line_of_sight_probability(model: str, ground_distance_m: Floats) -> Floats:
    """Probability that a client sees the base station.

    UMi: TR 38.901 Table 7.4.2-1. 28 GHz: exp(-a_los d) of Akdeniz et al., Eq. (8), with their outage state left out (an
    outage is not a matter of distance here, see `Clients.dropout_probability`). Constant: 1.

    Args:
        model: Path-loss model, as in `Cell.path_loss`.
        ground_distance_m: [...] distance on the ground, m.

    Returns:
        [...] probability.
    """
    if model == "constant":
        return np.ones(ground_distance_m.shape)
    if model == "mmwave-28ghz":
        return np.exp(-ground_distance_m / LINE_OF_SIGHT_DECAY_M)
    near = np.minimum(18.0 / ground_distance_m, 1.0)
    return near + np.exp(-ground_distance_m / 36.0) * (1 - near)
