"""Large-scale loss by distance: one file for each model."""

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.path_loss.model import MODELS, PathLoss, model_of
from splitgym.scenario import Cell


def path_loss_db(cell: Cell, carrier_hz: float, ground_distance_m: Floats, line_of_sight: Bools) -> Floats:
    """Median loss between base station and clients.

    Args:
        cell: Path-loss model and antenna heights.
        carrier_hz: Carrier frequency, Hz.
        ground_distance_m: [...] distance on the ground, m.
        line_of_sight: [...] whether the client sees the base station.

    Returns:
        [...] loss, dB.
    """
    return model_of(cell.path_loss).loss_db(cell, carrier_hz, ground_distance_m, line_of_sight)


def shadowing_deviation_db(model: str, line_of_sight: Bools) -> Floats:
    """Standard deviation of the log-normal shadowing, dB, of a model as in `Cell.path_loss`."""
    seen_db, hidden_db = model_of(model).deviation_db
    return np.where(line_of_sight, seen_db, hidden_db)


def line_of_sight_probability(model: str, ground_distance_m: Floats) -> Floats:
    """Probability that a client sees the base station.

    Args:
        model: Path-loss model, as in `Cell.path_loss`.
        ground_distance_m: [...] distance on the ground, m.

    Returns:
        [...] probability.
    """
    return model_of(model).line_of_sight_probability(ground_distance_m)


def is_shadowed(cell: Cell) -> bool:
    """Whether the scenario has shadowing at all, and its model some."""
    return cell.shadowing and any(model_of(cell.path_loss).deviation_db)


__all__ = [
    "MODELS",
    "PathLoss",
    "is_shadowed",
    "line_of_sight_probability",
    "path_loss_db",
    "shadowing_deviation_db",
]
