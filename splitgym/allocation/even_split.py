"""Every owner spends the same power, spread evenly over its subchannels."""

import numpy as np

from splitgym.allocation.assignment import AssignmentState
from splitgym.allocation.budget import even_power_w
from splitgym.allocation.link_budget import Links
from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.timing.power import even_power
from splitgym.types import RoundState
from splitgym.types.legal import check_arguments


def even_psd(state: RoundState, assignment: Ints) -> Floats:
    """[M] W/Hz: every owner spends min(p_max, p_th / n), spread evenly over its subchannels.

    Args:
        state: Of one world.
        assignment: [M] owner of each subchannel, -1: unused.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, assignment=assignment)
    assignment = np.asarray(assignment, np.int64)
    owners = len(np.unique(assignment[assignment >= 0]))
    power_w = np.full(len(state.client_hz), even_power_w(state, owners))
    psd = np.empty(len(assignment))
    spread_power(power_w, assignment, state.subchannel_hz, np.empty(len(power_w)), psd)
    return psd


@kernel(INLINED)
def spread_power(power_w: Floats, assignment: Ints, subchannel_hz: Floats, own_hz: Floats, psd: Floats) -> None:
    """Fills in [M] W/Hz: every owner spreads its power ([C], W) evenly over its subchannels; `own_hz` is workspace."""
    for i in range(power_w.shape[0]):
        own_hz[i] = 0.0
    for k in range(assignment.shape[0]):
        if assignment[k] >= 0:
            own_hz[assignment[k]] += subchannel_hz[k]
    for k in range(assignment.shape[0]):
        psd[k] = power_w[assignment[k]] / own_hz[assignment[k]] if assignment[k] >= 0 else 0.0


@kernel(NO_REFCOUNT)
def even_share_w(held: AssignmentState, links: Links) -> float:
    """What each of those that hold something may spend if all spend the same, W."""
    holders = 0
    for i in range(held.number.shape[0]):
        holders += held.number[i] > 0
    return even_power(links.client_max_w, links.total_max_w, holders)
