"""Shadowing: log-normal, as drawn while nobody moves, and forgotten with the distance a client moves."""

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network.path_loss import is_shadowed
from splitgym.network.worlds import gauss_markov
from splitgym.random import Generators, NormalBlock, standard_normal
from splitgym.scenario import Cell

CORRELATION_DISTANCE_M = (10.0, 13.0)
"""With and without line of sight, m: UMi of 3GPP TR 38.901 Table 7.5-6; for the 28 GHz model too, which states none."""


def numbers_per_round(cell: Cell, clients: int) -> int:
    """Standard normal numbers that a world's shadowing needs for a round."""
    return clients if is_shadowed(cell) and cell.speed_m_per_s > 0 else 0


def draw_shadow(rngs: Generators | NormalBlock, cell: Cell, clients: int) -> Floats:
    """Draws the shadowing in units of its standard deviation, [N, C]; 0 where the scenario has none."""
    return standard_normal(rngs, (clients,)) if is_shadowed(cell) else np.zeros((len(rngs), clients))


def next_shadow(
    rngs: Generators | NormalBlock, cell: Cell, shadow: Floats, moved_m: Floats, line_of_sight: Bools
) -> Floats:
    """The shadowing after a move: correlation exp(-moved / d_corr) (Gudmundson, Electronics Letters 27(23), 1991).

    Args:
        rngs: One generator per world, or the numbers of a round.
        cell: Whether there is shadowing.
        shadow: [N, C] before the move, in standard deviations.
        moved_m: [N, C] distance between the old and the new position, m.
        line_of_sight: [N, C].

    Returns:
        [N, C] after the move, in standard deviations.
    """
    if not is_shadowed(cell):
        return shadow
    return gauss_markov(rngs, shadow, np.exp(-moved_m / np.where(line_of_sight, *CORRELATION_DISTANCE_M)))
