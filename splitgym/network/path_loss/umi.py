"""3GPP TR 38.901 V16.1.0, UMi street canyon: Tables 7.4.1-1 and 7.4.2-1. Specified from 10 m on, also used below."""

from math import exp, hypot, log10

from splitgym.kernels import INLINED, kernel
from splitgym.network.path_loss.model import Antennas, PathLoss

SPEED_OF_LIGHT_M_PER_S = 3.0e8  # the rounded value that TR 38.901 prescribes
ENVIRONMENT_HEIGHT_M = 1.0  # what antennas stand above counts (TR 38.901 Table 7.4.1-1, note 1)


@kernel(INLINED)
def loss_db(antennas: Antennas, ground_distance_m: float, sees: bool) -> float:
    """PL_UMi-LOS, or PL_UMi-NLOS, which is no less."""
    height_m = antennas.base_station_m - antennas.client_m
    decades, ghz_db = log10(hypot(ground_distance_m, height_m)), log10(antennas.carrier_hz / 1e9)
    seen_db = _seen_db(antennas, ground_distance_m, height_m, decades, ghz_db)
    if sees:
        return seen_db
    hidden_db = 35.3 * decades + 22.4 + 21.3 * ghz_db - 0.3 * (antennas.client_m - 1.5)
    return max(seen_db, hidden_db)


@kernel(INLINED)
def line_of_sight_probability(ground_distance_m: float) -> float:
    """Table 7.4.2-1."""
    near = min(18.0 / ground_distance_m, 1.0)
    return near + exp(-ground_distance_m / 36.0) * (1.0 - near)


@kernel(INLINED)
def _seen_db(antennas: Antennas, ground_distance_m: float, height_m: float, decades: float, ghz_db: float) -> float:
    """PL_UMi-LOS: PL1 up to the breakpoint distance, PL2 beyond; `decades` and `ghz_db` are log10 of metres and GHz."""
    base_station_m, client_m = antennas.base_station_m - ENVIRONMENT_HEIGHT_M, antennas.client_m - ENVIRONMENT_HEIGHT_M
    breakpoint_m = 4 * base_station_m * client_m * antennas.carrier_hz / SPEED_OF_LIGHT_M_PER_S
    at_one_metre_db = 32.4 + 20 * ghz_db
    if ground_distance_m <= breakpoint_m:
        return at_one_metre_db + 21 * decades
    return at_one_metre_db + 40 * decades - 9.5 * log10(breakpoint_m**2 + height_m**2)


MODEL = PathLoss.of_one_client(loss_db, line_of_sight_probability, deviation_db=(4.0, 7.82))
