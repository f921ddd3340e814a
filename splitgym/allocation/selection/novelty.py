"""How much of a client's data is of classes that the rounds so far have taught little of."""

import numpy as np

from splitgym.arrays import Floats
from splitgym.inputs import InputError
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.types import RoundState, with_axis
from splitgym.types.checks import check_array
from splitgym.types.legal import check_state

HEAD_START = 0.5
"""Rounds with everybody that count beforehand."""
RAREST = 0.05
"""Classes are not told apart that have been taught less than this fraction of the mean."""


def novelty(state: RoundState) -> Floats:
    """Novelty of each client's classes, [C] or [N, C]; about 1: they have been taught as much as others on average.

    Client i has the fraction p_ik of class k. Novelty is sum_k p_ik / (t_k + 0.05), with t_k what the rounds so far
    have taught of class k over the mean of all K classes; a client counts with its fraction of the data times half a
    round more than it took part in. It is 0 for clients that are not present.

    Args:
        state: Of one world or N, as the scheduler believes it.

    Raises:
        InputError: labels are private, or the state is not as it should be.
    """
    check_state(state)
    if not np.shape(state.class_share)[-1]:
        raise InputError("state.class_share has no entries, as labels are private, allowed: those of each client")
    shape = state.available.shape
    check_array("state.class_share", state.class_share, "f", (*shape, np.shape(state.class_share)[-1]))
    check_array("state.data_share", state.data_share, "f", shape)
    check_array("state.experience", state.experience, "f", shape)
    one = not state.batched
    class_share = with_axis(state.class_share, one)
    found, rarity = np.zeros(class_share.shape[:2]), np.empty(class_share.shape[2])
    _fill_novelty(found, rarity, class_share, with_axis(state.data_share, one), with_axis(state.experience, one))
    return found[0] if one else found


@kernel(INLINED)
def fill_rarity(rarity: Floats, class_share: Floats, data_share: Floats, experience: Floats) -> None:
    """Fills in 1 / (t_k + 0.05), [K], of one world with [C, K] class fractions, [C] data fractions and [C] rounds."""
    rarity[:] = 0.0
    total = 0.0
    for i in range(len(data_share)):
        weight = (experience[i] + HEAD_START) * data_share[i]
        for k in range(len(rarity)):
            rarity[k] += weight * class_share[i, k]
        total += weight
    for k in range(len(rarity)):
        rarity[k] = 1 / (rarity[k] * len(rarity) / total + RAREST)


@kernel(INLINED)
def novelty_of_client(class_share: Floats, rarity: Floats) -> float:
    """sum_k p_k / (t_k + 0.05) of one client's class fractions [K]."""
    total = 0.0
    for k in range(len(rarity)):
        total += class_share[k] * rarity[k]
    return total


@kernel(NO_REFCOUNT)
def _fill_novelty(found: Floats, rarity: Floats, class_share: Floats, data_share: Floats, experience: Floats) -> None:
    """`novelty` of N worlds into [N, C]; with workspace for [K]."""
    for n in range(found.shape[0]):
        fill_rarity(rarity, class_share[n], data_share[n], experience[n])
        for i in range(found.shape[1]):
            found[n, i] = novelty_of_client(class_share[n, i], rarity)
