"""What a path-loss model says, and the models by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.parts import Parts
from splitgym.scenario import Cell, ScenarioError
from splitgym.scenario.parts import PATH_LOSSES


class Antennas(NamedTuple):
    """What losses depend on beside distances, the same for all clients."""

    base_station_m: float
    """Height of the base station's antenna, m."""
    client_m: float
    """Height of the clients' antennas, m."""
    carrier_hz: float
    constant_loss_db: float
    """Of the model "constant"."""


def antennas_of(cell: Cell, carrier_hz: float) -> Antennas:
    """The antennas of a cell."""
    return Antennas(cell.base_station_height_m, cell.client_height_m, float(carrier_hz), cell.constant_loss_db)


@dataclass(frozen=True)
class PathLoss:
    """Large-scale loss by distance."""

    loss_db: Callable[[Cell, float, Floats, Bools], Floats]
    """[...] median loss, dB, from the cell, the carrier frequency, Hz, ground distances to the base station, [...] m,
    and whether clients see it, [...]."""
    line_of_sight_probability: Callable[[Floats], Floats]
    """[...] probability that a client sees the base station, from ground distances [...], m."""
    deviation_db: tuple[float, float] = (0.0, 0.0)
    """Standard deviation of the log-normal shadowing with and without line of sight, dB; (0, 0): there is none."""

    @classmethod
    def of_one_client(
        cls,
        loss_db: Callable[[Antennas, float, bool], float],
        line_of_sight_probability: Callable[[float], float],
        deviation_db: tuple[float, float] = (0.0, 0.0),
    ) -> Self:
        """From functions of one client, as kernels use them, see `splitgym.network.path_loss.compiled`."""
        losses = np.vectorize(loss_db, otypes=[np.float64], excluded=[0])

        def losses_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, line_of_sight: Bools) -> Floats:
            found: Floats = losses(antennas_of(cell, carrier_hz), ground_distance_m, line_of_sight)
            return found

        return cls(losses_db, np.vectorize(line_of_sight_probability, otypes=[np.float64]), deviation_db)


MODELS: Parts[PathLoss] = Parts("PathLoss", lambda part: isinstance(part, PathLoss), PATH_LOSSES, ScenarioError)
"""All path-loss models; what is asked for is imported."""


def model_of(name: str) -> PathLoss:
    """The model of that name, or one's own by `module:NAME`.

    Raises:
        ScenarioError: there is none.
    """
    return MODELS.find(name, "cell.path_loss")
