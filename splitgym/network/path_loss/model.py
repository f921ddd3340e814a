"""What a path-loss model says, and the models by name."""

from collections.abc import Callable
from dataclasses import dataclass

from splitgym.arrays import Bools, Floats
from splitgym.parts import Parts
from splitgym.scenario import Cell, ScenarioError
from splitgym.scenario.parts import PATH_LOSSES


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


MODELS: Parts[PathLoss] = Parts("PathLoss", lambda part: isinstance(part, PathLoss), PATH_LOSSES, ScenarioError)
"""All path-loss models; what is asked for is imported."""


def model_of(name: str) -> PathLoss:
    """The model of that name, or one's own by `module:NAME`.

    Raises:
        ScenarioError: there is none.
    """
    return MODELS.find(name, "cell.path_loss")
