"""Power budgets: p_max of each client and p_th of all together."""

from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.timing.power import even_power
from splitgym.timing.slots import slot_of_client
from splitgym.types import Decision, RoundState, with_axis
from splitgym.types.legal import check_decision

TOLERANCE = 1e-9
"""Relative excess over a budget that counts as rounding."""


def even_power_w(state: RoundState, clients: int) -> float:
    """What each of n clients may spend if all spend the same, W."""
    return float(even_power(state.system.client_power_max_w, state.system.total_power_max_w, clients))


def project_power(decision: Decision, state: RoundState) -> tuple[Decision, Any]:
    """Scales powers down until every budget holds: first each client's own, then all together.

    Slots do not transmit at the same time: with a row for each, the budgets hold in each by itself. The power on a
    subchannel that nobody uses is set to 0.

    Args:
        decision: Of one world or N.
        state: Of as many.

    Returns:
        The decision within the budgets, and whether a budget had been broken: a bool, or [N] of them.

    Raises:
        InputError: a field of the decision does not fit the state; the message names it.
    """
    check_decision(decision, state)
    return project_power_unchecked(decision, state)


def project_power_unchecked(decision: Decision, state: RoundState) -> tuple[Decision, Any]:
    """`project_power` of a decision that is known to fit."""
    system, one, by_slot = state.system, not state.batched, decision.by_slot
    owner = with_axis(np.asarray(decision.assignment, np.int64), one)
    psd = np.array(with_axis(decision.power_w_per_hz, one), np.float64)
    broken = np.zeros(len(psd), np.bool_)
    keep_within(
        int(system.program.access),
        by_slot,
        system.client_power_max_w,
        system.total_power_max_w,
        np.empty(decision.selected.shape[-1]),
        with_axis(state.subchannel_hz, one),
        with_axis(decision.selected, one),
        with_axis(np.asarray(decision.cluster, np.int64), one),
        owner if by_slot else owner[:, None],
        psd if by_slot else psd[:, None],
        broken,
    )
    return decision.with_power(psd[0] if one else psd), bool(broken[0]) if one else broken


@kernel(NO_REFCOUNT)
def keep_within(
    access: int,
    by_slot: bool,
    client_max_w: float,
    total_max_w: float,
    spent_w: Floats,
    hz: Floats,
    selected: Bools,
    cluster: Ints,
    owner: Ints,
    psd: Floats,
    broken: Bools,
) -> None:
    """The budgets of N worlds with T bands each.

    Args:
        access: A number of `Access`.
        by_slot: Whether a band is that of the slot at its index alone.
        client_max_w: p_max.
        total_max_w: p_th.
        spent_w: [C] workspace.
        hz: [N, M].
        selected: [N, C].
        cluster: [N, C].
        owner: [N, T, M] -1: unused.
        psd: [N, T, M] W/Hz, changed.
        broken: [N] filled.
    """
    worlds, bands, subchannels = psd.shape
    for n in range(worlds):
        for band in range(bands):
            for i in range(spent_w.shape[0]):
                spent_w[i] = 0.0
            for k in range(subchannels):
                i = owner[n, band, k]
                if i < 0 or not selected[n, i] or (by_slot and slot_of_client(access, cluster[n, i], i) != band):
                    psd[n, band, k] = 0.0
                else:
                    spent_w[i] += psd[n, band, k] * hz[n, k]
            total_w = 0.0
            for k in range(subchannels):
                i = owner[n, band, k]
                if psd[n, band, k] > 0.0 and spent_w[i] > client_max_w * (1.0 + TOLERANCE):
                    psd[n, band, k] *= client_max_w / spent_w[i]
                    broken[n] = True
                total_w += psd[n, band, k] * hz[n, k]
            if total_w > total_max_w * (1.0 + TOLERANCE):
                for k in range(subchannels):
                    psd[n, band, k] *= total_max_w / total_w
                broken[n] = True
