"""28 GHz, measured in New York.

M. R. Akdeniz et al., "Millimeter Wave Channel Modeling and Cellular Capacity Evaluation", IEEE JSAC 32(6), 2014,
Table I and Eq. (8), with their outage state left out: an outage is not a matter of distance here, see
`Clients.dropout_probability`.
"""

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.path_loss.model import PathLoss
from splitgym.scenario import Cell

LINE_OF_SIGHT_DECAY_M = 67.1
"""1 / a_los."""


def loss_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, line_of_sight: Bools) -> Floats:
    """PL = alpha + 10 beta log10(d), Table I at 28 GHz."""
    decades = np.log10(np.hypot(ground_distance_m, cell.base_station_height_m - cell.client_height_m))
    return np.where(line_of_sight, 61.4 + 10 * 2.0 * decades, 72.0 + 10 * 2.92 * decades)


def line_of_sight_probability(ground_distance_m: Floats) -> Floats:
    """exp(-a_los d), Eq. (8)."""
    return np.exp(-ground_distance_m / LINE_OF_SIGHT_DECAY_M)


MODEL = PathLoss(loss_db, line_of_sight_probability, deviation_db=(5.8, 8.7))
