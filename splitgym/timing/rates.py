"""Rates of the links, bits/s: the only place where Shannon's formula stands."""

from math import log, log1p

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.timing.cell import Links, Spectrum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LN2 = log(2.0)
LARGEST_SNR = 1e150
"""Its square can still be told from infinity."""


@njit(cache=True, nogil=True, error_model="numpy")
def subchannel_rate(bandwidth_hz: float, psd_w_per_hz: float, gain: float, noise_psd_w_per_hz: float) -> float:
    """B log2(1 + p G g / N0), bits/s, exact for the weakest signals too; `gain` includes the antenna gains G."""
    return bandwidth_hz * log1p(psd_w_per_hz * gain / noise_psd_w_per_hz) / LN2


@njit(cache=True, nogil=True, error_model="numpy")
def fill_own_links(spectrum: Spectrum, gain: Floats, owner: Ints, psd: Floats, links: Links) -> None:
    """R_i = sum_k r_ik B_k log2(1 + p_k G g_ik / N0): each client over its own subchannels, up and down.

    Args:
        spectrum: Of the world.
        gain: [C, M] linear, antenna gains included.
        owner: [M] of each subchannel, -1: nobody.
        psd: [M] of the owners, W/Hz.
        links: Filled; nothing for a client without a subchannel.
    """
    hz, noise, downlink_psd = spectrum.subchannel_hz, spectrum.noise, spectrum.downlink_psd
    own_hz, power_w, uplink, downlink = links.hz, links.power_w, links.uplink, links.downlink
    for i in range(uplink.shape[0]):
        own_hz[i] = power_w[i] = uplink[i] = downlink[i] = 0.0
    for k in range(owner.shape[0]):
        i = owner[k]
        if i >= 0:
            own_hz[i] += hz[k]
            power_w[i] += psd[k] * hz[k]
            uplink[i] += subchannel_rate(hz[k], psd[k], gain[i, k], noise)
            downlink[i] += subchannel_rate(hz[k], downlink_psd, gain[i, k], noise)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_band_rates(spectrum: Spectrum, gain: Floats, band: Floats) -> None:
    """sum_k B_k log2(1 + p_DL G g_ik / N0): what each client could receive of a broadcast over the whole band.

    The broadcast rate R^B is the least of them over the clients that take part. Subchannels of the same width that
    follow each other need a single logarithm: (1 + a) (1 + b) = 1 + (a + b + a b).

    Args:
        spectrum: Of the world.
        gain: [C, M] linear, antenna gains included.
        band: [C] filled, bits/s.
    """
    hz, noise, psd = spectrum.subchannel_hz, spectrum.noise, spectrum.downlink_psd
    for i in range(gain.shape[0]):
        rate = joint_snr = 0.0
        for k in range(gain.shape[1]):
            if k > 0 and (hz[k] != hz[k - 1] or joint_snr > LARGEST_SNR):
                rate += hz[k - 1] * log1p(joint_snr)
                joint_snr = 0.0
            snr = psd * gain[i, k] / noise
            joint_snr += snr + joint_snr * snr
        band[i] = (rate + hz[gain.shape[1] - 1] * log1p(joint_snr)) / LN2
