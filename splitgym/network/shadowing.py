"""Shadowing: log-normal, as drawn while nobody moves, and forgotten with the distance a client moves."""

import numpy as np

from splitgym.arrays import Bools, Floats

CORRELATION_DISTANCE_M = (10.0, 13.0)
"""With and without line of sight, m: UMi of 3GPP TR 38.901 Table 7.5-6; for the 28 GHz model too, which states none."""


def next_shadow(shadow: Floats, new: Floats, moved_m: Floats, line_of_sight: Bools) -> Floats:
    """The shadowing after a move: correlation exp(-moved / d_corr) (Gudmundson, Electronics Letters 27(23), 1991).

    Args:
        shadow: [...] before the move, in standard deviations.
        new: [...] standard normal numbers.
        moved_m: [...] distance between the old and the new position, m.
        line_of_sight: [...].

    Returns:
        [...] after the move, in standard deviations.
    """
    correlation = np.exp(-moved_m / np.where(line_of_sight, *CORRELATION_DISTANCE_M))
    after: Floats = correlation * shadow + np.sqrt(1 - np.square(correlation)) * new
    return after
