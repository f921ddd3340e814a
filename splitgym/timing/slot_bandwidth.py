"""Which client has which part of the band in a slot."""

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.timing.cell import Spectrum
from splitgym.timing.power import even_power


@kernel(INLINED)
def band_of_slot(
    assignment: Ints,
    decided_psd: Floats,
    members: Bools,
    again: bool,
    spectrum: Spectrum,
    own_hz: Floats,
    owner: Ints,
    psd: Floats,
) -> None:
    """The band of a slot's members: what they own in the decision, or the whole band assigned again.

    Assigned again, members keep what they own; every other subchannel goes, in increasing index, to the member with the
    fewest Hz at that moment (the lowest index of several). Whoever has something then spends min(p_max, p_th / how
    many they are), spread evenly.

    Args:
        assignment: [M] owner of each subchannel in the decision, -1: unused.
        decided_psd: [M] powers in the decision, W/Hz.
        members: [C] clients that are in the slot; somebody, if the band is assigned again.
        again: Whether the band is assigned again.
        spectrum: Of the world.
        own_hz: [C] workspace.
        owner: [M] filled with members, -1: unused.
        psd: [M] filled with transmit power spectral densities, W/Hz.
    """
    for k in range(owner.shape[0]):
        i = assignment[k]
        owner[k], psd[k] = i if i >= 0 and members[max(i, 0)] else -1, decided_psd[k]
    if again:
        _assign_again(members, spectrum, own_hz, owner, psd)


@kernel(INLINED)
def _assign_again(members: Bools, spectrum: Spectrum, own_hz: Floats, owner: Ints, psd: Floats) -> None:
    """The whole band to the members, evenly, and even powers; they keep what they own."""
    hz = spectrum.subchannel_hz
    for i in range(members.shape[0]):
        own_hz[i] = 0.0 if members[i] else np.inf
    for k in range(owner.shape[0]):
        if owner[k] >= 0:
            own_hz[owner[k]] += hz[k]
    for k in range(owner.shape[0]):
        if owner[k] < 0:
            owner[k] = _first_lowest(own_hz)
            own_hz[owner[k]] += hz[k]
    served = 0
    for i in range(members.shape[0]):
        served += members[i] and own_hz[i] > 0.0
    for k in range(owner.shape[0]):
        psd[k] = even_power(spectrum.client_max_w, spectrum.total_max_w, served) / own_hz[owner[k]]


@kernel(INLINED)
def _first_lowest(values: Floats) -> int:
    """Index of the lowest, the first of several."""
    lowest = 0
    for i in range(1, values.shape[0]):
        if values[i] < values[lowest]:
            lowest = i
    return lowest
