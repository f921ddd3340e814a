"""Who has which part of the band in a turn."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@njit(cache=True)
def band_of_turn(
    assignment: Ints,
    psd: Floats,
    members: Bools,
    anew: bool,
    subchannel_hz: Floats,
    client_max_w: float,
    total_max_w: float,
) -> tuple[Ints, Floats]:
    """The band of a turn's members: what they own in the decision, or the whole band dealt anew.

    Dealt anew, members keep what they own; every other subchannel goes, in increasing index, to the member with the
    fewest Hz at that moment (the lowest index of several). Whoever has something then spends min(p_max, p_th / how
    many they are), spread evenly.

    Args:
        assignment: [M] owner of each subchannel in the decision, -1: unused.
        psd: [M] powers in the decision, W/Hz.
        members: [C] who is in the turn; somebody, if the band is dealt anew.
        anew: Whether the band is dealt anew.
        subchannel_hz: [M].
        client_max_w: p_max, W.
        total_max_w: p_th, W.

    Returns:
        [M] owners, members all, -1: unused, and [M] transmit power spectral densities, W/Hz.
    """
    owner = np.full(assignment.shape[0], -1)
    own_hz = np.where(members, 0.0, np.inf)
    for k in range(owner.shape[0]):
        if assignment[k] >= 0 and members[assignment[k]]:
            owner[k] = assignment[k]
            own_hz[owner[k]] += subchannel_hz[k]
    if not anew:
        return owner, psd
    for k in range(owner.shape[0]):
        if owner[k] < 0:
            owner[k] = np.argmin(own_hz)
            own_hz[owner[k]] += subchannel_hz[k]
    served = np.sum(members & (own_hz > 0.0))
    return owner, min(client_max_w, total_max_w / served) / own_hz[owner]
