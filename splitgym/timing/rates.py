"""Rates of the links, bits/s: the only place where Shannon's formula stands."""

from math import log, log1p

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LN2 = log(2.0)


@njit(cache=True)
def subchannel_rate(bandwidth_hz: float, psd_w_per_hz: float, gain: float, noise_psd_w_per_hz: float) -> float:
    """B log2(1 + p G g / N0), bits/s, exact for the weakest signals too; `gain` includes the antenna gains G."""
    return bandwidth_hz * log1p(psd_w_per_hz * gain / noise_psd_w_per_hz) / LN2


@njit(cache=True)
def own_rates(gain: Floats, assignment: NDArray[np.int64], psd: Floats, bandwidth_hz: Floats, noise: float) -> Floats:
    """R_i = sum_k r_ik B_k log2(1 + p_k G g_ik / N0): each client over its own subchannels.

    Args:
        gain: [C, M] linear, antenna gains included.
        assignment: [M] owner of each subchannel, -1: nobody.
        psd: [M] W/Hz on each subchannel: the client's for R^U, the base station's for R^D.
        bandwidth_hz: [M].
        noise: N0, W/Hz.

    Returns:
        [C] bits/s; 0 for a client without a subchannel.
    """
    rates = np.zeros(gain.shape[0])
    for k in range(assignment.shape[0]):
        i = assignment[k]
        if i >= 0:
            rates[i] += subchannel_rate(bandwidth_hz[k], psd[k], gain[i, k], noise)
    return rates


@njit(cache=True)
def whole_band_rates(gain: Floats, psd: float, bandwidth_hz: Floats, noise: float) -> Floats:
    """sum_k B_k log2(1 + p_DL G g_ik / N0): what each client could receive of a broadcast over the whole band.

    The broadcast rate R^B is the least of them over the clients that take part.

    Returns:
        [C] bits/s.
    """
    rates = np.zeros(gain.shape[0])
    for i in range(gain.shape[0]):
        for k in range(gain.shape[1]):
            rates[i] += subchannel_rate(bandwidth_hz[k], psd, gain[i, k], noise)
    return rates
