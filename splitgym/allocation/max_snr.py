"""Max-SNR assignment: each subchannel goes to the client with the largest SNR on it."""

from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.kernels import NO_REFCOUNT, kernel

NO_SIGNAL = 1e100
"""In relation to a handicap, or to another floor: with a higher one nothing comes through."""


class MaxSnr(NamedTuple):
    """Workspace of the assignment, of C clients over M subchannels."""

    owner: Ints
    """[M] -1: nobody."""
    lowest: Floats
    """[M] the owner's noise floor, in relation to its handicap."""
    number: Ints
    """[C] how many each owns."""
    waiting: Ints
    """[C] clients that have none."""
    offer: Ints
    """[C] the best subchannel for each of those, -1: not known."""
    loss: Floats
    """[C] what it costs its owner."""
    handicap: Floats
    """[C]."""


def max_snr_workspace(clients: int, subchannels: int) -> MaxSnr:
    """An empty workspace without handicaps."""
    return MaxSnr(
        np.zeros(subchannels, np.int64),
        np.zeros(subchannels),
        np.zeros(clients, np.int64),
        np.zeros(clients, np.int64),
        np.zeros(clients, np.int64),
        np.zeros(clients),
        np.ones(clients),
    )


@kernel(NO_REFCOUNT)
def assign_max_snr(floor: Floats, served: Ints, max_snr: MaxSnr) -> None:
    """Each subchannel goes to the client with the lowest noise floor on it, in relation to its handicap.

    As long as a client has none, a client with several gives one up: the one that loses the least signal, in dB.

    Args:
        floor: [C, M] noise over gain, W/Hz; divided by the handicap.
        served: Clients that get something, if there are enough subchannels.
        max_snr: Filled, but the handicaps; the owners are -1 if nobody is served.
    """
    owner, lowest, number, handicap = max_snr.owner, max_snr.lowest, max_snr.number, max_snr.handicap
    for i in range(number.shape[0]):
        number[i] = 0
    for k in range(floor.shape[1]):
        owner[k], lowest[k] = -1, NO_SIGNAL
        for i in served:
            if floor[i, k] / handicap[i] < lowest[k]:
                owner[k], lowest[k] = i, floor[i, k] / handicap[i]
        if owner[k] >= 0:
            number[owner[k]] += 1
    _assign_one_each(floor, served, max_snr)


@kernel(NO_REFCOUNT)
def _assign_one_each(floor: Floats, served: Ints, max_snr: MaxSnr) -> None:
    """Gives one subchannel to every client that has none, if there are enough."""
    owner, lowest, number, handicap = max_snr.owner, max_snr.lowest, max_snr.number, max_snr.handicap
    waiting, offer, loss, count = max_snr.waiting, max_snr.offer, max_snr.loss, 0
    for i in served:
        if number[i] == 0:
            waiting[count], offer[count], loss[count] = i, -1, 0.0
            count += 1
    left = count
    while left > 0:
        # What a client can get only grows worse, so only the best offer has to be up to date.
        n = 0
        for other in range(1, count):
            if loss[other] < loss[n]:
                n = other
        i, k = waiting[n], offer[n]
        if k >= 0 and number[owner[k]] > 1:
            number[owner[k]] -= 1
            owner[k], number[i] = i, 1
            loss[n] = inf
            left -= 1
            continue
        best = NO_SIGNAL
        for k in range(owner.shape[0]):
            if owner[k] >= 0 and number[owner[k]] > 1 and floor[i, k] / handicap[i] / lowest[k] < best:
                best = floor[i, k] / handicap[i] / lowest[k]
                offer[n] = k
        if best == NO_SIGNAL:
            return
        loss[n] = best
