"""Rates of the links, bits/s: the only place where Shannon's formula stands."""

from math import log
from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import EXACT_ENOUGH, ln1p
from splitgym.timing.cell import Links, Spectrum

LN2 = log(2.0)
LARGEST_SNR = 1e150
"""Its square can still be told from infinity."""


@kernel(INLINED)
def subchannel_rate(bandwidth_hz: float, psd_w_per_hz: float, gain: float, noise_psd_w_per_hz: float) -> float:
    """B log2(1 + p G g / N0), bits/s, exact for the weakest signals too; `gain` includes the antenna gains G."""
    return shannon_rate(bandwidth_hz, psd_w_per_hz * gain / noise_psd_w_per_hz)


@kernel(INLINED)
def shannon_rate(bandwidth_hz: float, snr: float) -> float:
    """B log2(1 + SNR), bits/s."""
    return natural_rate(bandwidth_hz, snr) / LN2


@kernel(INLINED)
def natural_rate(bandwidth_hz: float, snr: float) -> float:
    """B ln(1 + SNR), nats/s: for sums that are converted once."""
    return bandwidth_hz * ln1p(snr)


def shannon_rates(bandwidth_hz: Any, snr: Floats) -> Floats:
    """`shannon_rate` of arrays that broadcast."""
    rates: Floats = bandwidth_hz * np.log1p(snr) / LN2
    return rates


@kernel(INLINED)
def fill_own_links(spectrum: Spectrum, gain: Floats, owner: Ints, psd: Floats, links: Links, joint: Floats) -> None:
    """R_i = sum_k r_ik B_k log2(1 + p_k G g_ik / N0): each client over its own subchannels, up and down.

    Args:
        spectrum: Of the world.
        gain: [C, M] linear, antenna gains included.
        owner: [M] of each subchannel, -1: nobody.
        psd: [M] of the owners, W/Hz.
        links: Filled; nothing for a client without a subchannel.
        joint: [3, C] workspace: SNRs up and down that have been joined so far, and the width of their subchannels.
    """
    hz, per_noise = spectrum.subchannel_hz, 1.0 / spectrum.noise
    downlink = spectrum.downlink_psd * per_noise
    own_hz, power_w, up_rate, down_rate = links.hz, links.power_w, links.uplink, links.downlink
    up, down, width = joint[0], joint[1], joint[2]
    for i in range(width.shape[0]):
        own_hz[i] = power_w[i] = up_rate[i] = down_rate[i] = up[i] = down[i] = 0.0
        width[i] = hz[0]  # So that subchannels of one width never differ from what was there before them.
    for k in range(owner.shape[0]):
        i = owner[k]
        if i < 0:
            continue
        if hz[k] != width[i] or max(up[i], down[i]) > LARGEST_SNR:
            up_rate[i] += shannon_rate(width[i], up[i])
            down_rate[i] += shannon_rate(width[i], down[i])
            up[i], down[i], width[i] = 0.0, 0.0, hz[k]
        own_hz[i] += hz[k]
        power_w[i] += psd[k] * hz[k]
        up[i] = with_snr(up[i], psd[k] * per_noise * gain[i, k])
        down[i] = with_snr(down[i], downlink * gain[i, k])
    _add_rates(width, up, up_rate)
    _add_rates(width, down, down_rate)


@kernel(INLINED)
def _add_rates(bandwidth_hz: Floats, snr: Floats, rate: Floats) -> None:
    """Adds to [C] rates, bits/s, what SNRs in bandwidths carry; a loop by itself, so that it fits into vectors."""
    for i in range(rate.shape[0]):
        rate[i] += shannon_rate(bandwidth_hz[i], snr[i])


@kernel(INLINED)
def fill_band_rates(spectrum: Spectrum, gain: Floats, wanted: Bools, band: Floats) -> None:
    """sum_k B_k log2(1 + p_DL G g_ik / N0): what each client could receive of a broadcast over the whole band.

    The broadcast rate R^B is the least of them over the clients that take part.

    Args:
        spectrum: Of the world.
        gain: [C, M] linear, antenna gains included.
        wanted: [C] whose rates are of interest.
        band: [C] filled for them, bits/s.
    """
    hz, factor, together = spectrum.subchannel_hz, spectrum.downlink_psd / spectrum.noise, True
    for k in range(hz.shape[0]):
        together &= hz[k] == hz[0]
    for i in range(gain.shape[0] if together else 0):
        # Also of those whose rates are of no interest: a jump that cannot be foreseen takes longer.
        band[i] = _joined(gain[i], factor)
        together &= band[i] <= LARGEST_SNR
    if together:
        width = hz[0]
        for i in range(gain.shape[0]):
            band[i] = shannon_rate(width, band[i])
        return
    for i in range(gain.shape[0]):
        rate = snr = width = 0.0
        for k in range(gain.shape[1] if wanted[i] else 0):
            if hz[k] != width or snr > LARGEST_SNR:
                rate += shannon_rate(width, snr)
                snr, width = 0.0, hz[k]
            snr = with_snr(snr, factor * gain[i, k])
        band[i] = rate + shannon_rate(width, snr)


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def _joined(gain: Floats, factor: float) -> float:
    """The SNR that carries what all subchannels do, in four chains that need not wait for each other."""
    a = b = c = d = 0.0
    subchannels = gain.shape[0]
    for k in range(0, subchannels - 3, 4):
        a, b = with_snr(a, factor * gain[k]), with_snr(b, factor * gain[k + 1])
        c, d = with_snr(c, factor * gain[k + 2]), with_snr(d, factor * gain[k + 3])
    for k in range(subchannels - subchannels % 4, subchannels):
        a = with_snr(a, factor * gain[k])
    return with_snr(with_snr(a, b), with_snr(c, d))


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def with_snr(joint: float, snr: float) -> float:
    """The SNR that carries what two do, each in a band of the same width: (1 + a) (1 + b) = 1 + (a + b + a b)."""
    return joint + snr + joint * snr
