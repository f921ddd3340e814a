"""Power budgets: p_max of each client and p_th of all together."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from splitgym.rounds import Decision, RoundState

TOLERANCE = 1e-9
"""Relative excess over a budget that counts as rounding."""


def even_power_w(state: RoundState, clients: int) -> float:
    """min(p_max, p_th / n): what each of n clients may spend if all spend the same, W."""
    return min(state.system.client_power_max_w, state.system.total_power_max_w / max(clients, 1))


def project_power(decision: Decision, state: RoundState) -> tuple[Decision, bool]:
    """Scales powers down until every budget holds: first each client's own, then all together.

    Turns do not transmit at the same time: with a row for each, the budgets hold in each by itself. The power on a
    subchannel that nobody uses is set to 0.

    Args:
        decision: Of one world.
        state: Of one world.

    Returns:
        The decision within the budgets, and whether a budget had been broken.
    """
    used = decision.used(state.system.program.turns)
    owner, psd = np.atleast_2d(decision.assignment), np.atleast_2d(decision.power_w_per_hz)
    bands = [_within_budgets(*band, state) for band in zip(owner, psd, np.atleast_2d(used), strict=True)]
    within = np.reshape([powers for powers, _ in bands], used.shape)
    return replace(decision, power_w_per_hz=within), any(broken for _, broken in bands)


def _within_budgets(
    owner: NDArray[np.int64], power_w_per_hz: NDArray[np.float64], used: NDArray[np.bool_], state: RoundState
) -> tuple[NDArray[np.float64], bool]:
    """The powers of one band ([M], W/Hz) within the budgets, and whether one had been broken."""
    system = state.system
    psd: NDArray[np.float64] = np.where(used, power_w_per_hz, 0.0)
    spent_w = np.bincount(owner[used], (psd * system.subchannel_hz)[used], minlength=len(state.client_hz))
    over = spent_w > system.client_power_max_w * (1 + TOLERANCE)
    scale = np.where(over, system.client_power_max_w / np.maximum(spent_w, np.finfo(float).tiny), 1.0)
    psd = psd * np.where(used, scale[np.maximum(owner, 0)], 1.0)
    total_w = float(psd @ system.subchannel_hz)
    total_over = total_w > system.total_power_max_w * (1 + TOLERANCE)
    if total_over:
        psd = psd * (system.total_power_max_w / total_w)
    return psd, bool(over.any() or total_over)
