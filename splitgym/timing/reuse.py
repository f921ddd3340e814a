"""Links where every station uses all subchannels: who sends on the same one at other stations interferes.

A band of S M subchannels stands for S stations with M each, those of the first station first. What is sent on one is
heard as interference on the same one of every other station. Everybody is taken to send during the whole uplink, and
every station during the whole unicast, so interference is never more than that.
"""

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.timing.cell import Links, Spectrum
from splitgym.timing.rates import subchannel_rate


@kernel(INLINED)
def from_clients(station_gain: Floats, owner: Ints, psd: Floats, k: int) -> float:
    """Sum over t != s of p_tm g_{o s}: what the station of subchannel k hears of clients at other stations, W/Hz.

    Args:
        station_gain: [C, S] mean gain over fading between clients and stations, linear.
        owner: [S M] -1: nobody.
        psd: [S M] of the owners, W/Hz.
        k: Index s M + m.
    """
    subchannels, heard = owner.shape[0] // station_gain.shape[1], 0.0
    s, m = k // subchannels, k % subchannels
    for t in range(station_gain.shape[1]):
        other = t * subchannels + m
        if t != s and owner[other] >= 0:
            heard += psd[other] * station_gain[owner[other], s]
    return heard


@kernel(INLINED)
def from_stations(station_gain: Floats, owner: Ints, downlink_psd: float, i: int, k: int) -> float:
    """p_DL sum over t != s of g_it where t sends on m: what client i hears of other stations, W/Hz; arguments likewise.

    Args:
        station_gain: [C, S].
        owner: [S M] -1: the station does not send there.
        downlink_psd: W/Hz.
        i: The client.
        k: Index s M + m.
    """
    subchannels, heard = owner.shape[0] // station_gain.shape[1], 0.0
    s, m = k // subchannels, k % subchannels
    for t in range(station_gain.shape[1]):
        if t != s and owner[t * subchannels + m] >= 0:
            heard += downlink_psd * station_gain[i, t]
    return heard


@kernel(INLINED)
def fill_links_with_interference(
    spectrum: Spectrum, gain: Floats, station_gain: Floats, owner: Ints, psd: Floats, links: Links
) -> None:
    """R_i = sum_k r_ik B_k log2(1 + p_k g_ik / (N0 + I_k)): each client over its own subchannels, up and down.

    Args:
        spectrum: Of the world.
        gain: [C, S M] linear, antenna gains included.
        station_gain: [C, S].
        owner: [S M] of each subchannel, -1: nobody.
        psd: [S M] of the owners, W/Hz.
        links: Filled; nothing for a client without a subchannel.
    """
    hz, noise, downlink_psd = spectrum.subchannel_hz, spectrum.noise, spectrum.downlink_psd
    for i in range(links.hz.shape[0]):
        links.hz[i] = links.power_w[i] = links.uplink[i] = links.downlink[i] = 0.0
    for k in range(owner.shape[0]):
        i = owner[k]
        if i >= 0:
            up = noise + from_clients(station_gain, owner, psd, k)
            down = noise + from_stations(station_gain, owner, downlink_psd, i, k)
            links.hz[i] += hz[k]
            links.power_w[i] += psd[k] * hz[k]
            links.uplink[i] += subchannel_rate(hz[k], psd[k], gain[i, k], up)
            links.downlink[i] += subchannel_rate(hz[k], downlink_psd, gain[i, k], down)


@kernel(NO_REFCOUNT)
def _fill_interference(
    station_gain: Floats, owner: Ints, psd: Floats, downlink_psd: float, uplink: Floats, downlink: Floats
) -> None:
    for n in range(owner.shape[0]):
        for k in range(owner.shape[1]):
            uplink[n, k] = from_clients(station_gain[n], owner[n], psd[n], k)
            for i in range(downlink.shape[1]):
                downlink[n, i, k] = from_stations(station_gain[n], owner[n], downlink_psd, i, k)


def fill_interference(
    station_gain: Floats, owner: Ints, psd: Floats, downlink_psd: float, uplink: Floats, downlink: Floats
) -> None:
    """Interference that owners and their stations make, in N worlds.

    Args:
        station_gain: [N, C, S].
        owner: [N, S M] -1: nobody.
        psd: [N, S M] W/Hz.
        downlink_psd: W/Hz.
        uplink: [N, S M] filled: at the station of each subchannel, W/Hz.
        downlink: [N, C, S M] filled: at each client, W/Hz.
    """
    _fill_interference(station_gain, np.asarray(owner, np.int64), psd, downlink_psd, uplink, downlink)
