"""The same loss for all clients, without shadowing: for tests and for networks without distance."""

from splitgym.kernels import INLINED, kernel
from splitgym.network.path_loss.model import Antennas, PathLoss


@kernel(INLINED)
def loss_db(antennas: Antennas, ground_distance_m: float, sees: bool) -> float:
    """`cell.constant_loss_db`."""
    return antennas.constant_loss_db


@kernel(INLINED)
def line_of_sight_probability(ground_distance_m: float) -> float:
    """1."""
    return 1.0


MODEL = PathLoss.of_one_client(loss_db, line_of_sight_probability)
