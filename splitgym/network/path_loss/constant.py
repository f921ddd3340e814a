"""The same loss for all clients, without shadowing: for tests and for networks without distance."""

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.path_loss.model import PathLoss
from splitgym.scenario import Cell


def loss_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, line_of_sight: Bools) -> Floats:
    """`cell.constant_loss_db`."""
    return np.full(ground_distance_m.shape, cell.constant_loss_db)


def line_of_sight_probability(ground_distance_m: Floats) -> Floats:
    """1."""
    return np.ones(ground_distance_m.shape)


MODEL = PathLoss(loss_db, line_of_sight_probability)
