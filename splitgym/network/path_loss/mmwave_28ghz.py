"""28 GHz, measured in New York.

M. R. Akdeniz et al., "Millimeter Wave Channel Modeling and Cellular Capacity Evaluation", IEEE JSAC 32(6), 2014,
Table I and Eq. (8), with their outage state left out: an outage is not a matter of distance here, see
`Clients.dropout_probability`.
"""

from math import exp, hypot, log10

from splitgym.kernels import INLINED, kernel
from splitgym.network.path_loss.model import Antennas, PathLoss

LINE_OF_SIGHT_DECAY_M = 67.1
"""1 / a_los."""


@kernel(INLINED)
def loss_db(antennas: Antennas, ground_distance_m: float, sees: bool) -> float:
    """PL = alpha + 10 beta log10(d), Table I at 28 GHz."""
    decades = log10(hypot(ground_distance_m, antennas.base_station_m - antennas.client_m))
    return 61.4 + 10 * 2.0 * decades if sees else 72.0 + 10 * 2.92 * decades


@kernel(INLINED)
def line_of_sight_probability(ground_distance_m: float) -> float:
    """exp(-a_los d), Eq. (8)."""
    return exp(-ground_distance_m / LINE_OF_SIGHT_DECAY_M)


MODEL = PathLoss.of_one_client(loss_db, line_of_sight_probability, deviation_db=(5.8, 8.7))
