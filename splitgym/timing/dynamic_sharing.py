"""Which client has which subchannel at a moment, if those that nobody needs then are lent."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, kernel
from splitgym.timing.barrier import duration
from splitgym.timing.cell import Links, Spectrum
from splitgym.timing.rates import fill_own_links, subchannel_rate
from splitgym.timing.water_filling import largest_rate


class Band(NamedTuple):
    """The band as it was decided for a slot."""

    gain: Floats
    """[C, M] linear, antenna gains included."""
    best_first: Ints
    """[C, M] subchannels by falling gain, of clients in the slot."""
    owner: Ints
    """[M] -1: unused."""
    psd: Floats
    """[M] of the owners, W/Hz."""
    links: Links
    """Over what each client owns, as decided."""


class Loans(NamedTuple):
    """What was lent at a moment; filled again at the next."""

    holder: Ints
    """[M] owner of the subchannel, -1: nobody."""
    psd: Floats
    """[M] transmit power spectral density of a holder that sends, W/Hz."""
    rate: Floats
    """[C] bits/s of clients that send or receive."""


@kernel(COMPILED)
def band_as_decided(gain: Floats, owner: Ints, psd: Floats, members: Bools, spectrum: Spectrum) -> Band:
    """The band of a slot: owners ([M]) and their powers ([M], W/Hz) for its members ([C])."""
    best_first = np.zeros(gain.shape, np.int64)
    for i in range(gain.shape[0]):
        if members[i]:
            best_first[i] = np.argsort(-gain[i])
    clients = gain.shape[0]
    links = Links(np.zeros(clients), np.zeros(clients), np.zeros(clients), np.zeros(clients))
    fill_own_links(spectrum, gain, owner, psd, links, np.zeros((3, clients)))
    return Band(gain, best_first, owner, psd, links)


@kernel(COMPILED)
def lend(band: Band, sends: Bools, receives: Bools, left_bits: Floats, spectrum: Spectrum, loans: Loans) -> None:
    """Lends each subchannel that its owner does not use now to the client that would else end last.

    A client that sends or receives has its own subchannels, if they carry anything for it. Each idle one, in turn, goes
    to the client that would end last as things stand: the best one for it, unless that makes it no faster. A client
    that has borrowed and sends may spend what was decided and an even share of what all that send leave of p_th, at
    most p_max, by water-filling; one that has not borrowed sends as decided.

    Args:
        band: As it was decided.
        sends: [C] clients that send now.
        receives: [C] clients that receive now.
        left_bits: [C] what each of them has still to send or receive.
        spectrum: Of the world.
        loans: Filled.
    """
    clients, subchannels = band.gain.shape
    for i in range(clients):
        loans.rate[i] = band.links.uplink[i] if sends[i] else band.links.downlink[i] if receives[i] else 0.0
    idle = 0
    for k in range(subchannels):
        i = band.owner[k]
        used = i >= 0 and loans.rate[i] > 0.0
        loans.holder[k], loans.psd[k] = (i, band.psd[k]) if used else (-1, 0.0)
        idle += not used
    power_w = _power_to_spend(band.links.power_w, sends, spectrum)
    wants, borrows = sends | receives, np.zeros(clients, np.bool_)
    tried = np.zeros(clients, np.int64)
    while idle > 0:
        last = _last_to_end(left_bits, loans.rate, wants)
        if last < 0:
            break
        while loans.holder[band.best_first[last, tried[last]]] >= 0:
            tried[last] += 1
        k = band.best_first[last, tried[last]]
        loans.holder[k] = last
        rate = _rate_with(band, last, k, sends[last], power_w[last], spectrum, loans)
        if rate > loans.rate[last]:
            loans.rate[last], borrows[last] = rate, True
            idle -= 1
        else:
            loans.holder[k], wants[last] = -1, False
    for k in range(subchannels):
        i = loans.holder[k]
        if i >= 0 and sends[i] and not borrows[i]:
            loans.psd[k] = band.psd[k]


@kernel(COMPILED)
def _power_to_spend(decided_w: Floats, sends: Bools, spectrum: Spectrum) -> Floats:
    """[C] W: what was decided and an even share of what is left of p_th, at most p_max."""
    left_w = max(spectrum.total_max_w - float(np.sum(decided_w[sends])), 0.0)
    share_w = left_w / max(int(np.sum(sends)), 1)
    return np.maximum(decided_w, np.minimum(decided_w + share_w, spectrum.client_max_w))


@kernel(COMPILED)
def _rate_with(band: Band, i: int, k: int, sends: bool, power_w: float, spectrum: Spectrum, loans: Loans) -> float:
    """Rate of client i once it has subchannel k, too; 0 if it sends and would not use it."""
    hz, noise = spectrum.subchannel_hz, spectrum.noise
    if not sends:
        return loans.rate[i] + subchannel_rate(hz[k], spectrum.downlink_psd, band.gain[i, k], noise)
    rate = largest_rate(power_w, band.gain[i], band.best_first[i], loans.holder, i, hz, noise, loans.psd)
    return rate if loans.psd[k] > 0.0 else 0.0


@kernel(COMPILED)
def _last_to_end(left_bits: Floats, rate: Floats, among: Bools) -> int:
    """The client that needs longest for what is left, -1: there is nobody."""
    last, longest = -1, -1.0
    for i in range(among.shape[0]):
        if among[i]:
            seconds = duration(left_bits[i], rate[i])
            if seconds > longest:
                last, longest = i, seconds
    return last
