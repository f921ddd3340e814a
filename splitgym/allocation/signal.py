"""Received signal strength: each subchannel to who hears it best."""

from math import inf

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, error_model="numpy")
def best_heard(floor: Floats, served: Ints, handicap: Floats) -> Ints:
    """Each subchannel goes to the client with the lowest noise floor on it, in relation to its handicap.

    As long as somebody has none, one who has several gives one away: the one that loses the least signal, in dB, by the
    exchange.

    Args:
        floor: [C, M] noise over gain, W/Hz.
        served: Clients that get something, if there are enough subchannels.
        handicap: [C] floors are divided by this.

    Returns:
        [M] owner of each subchannel; -1 if nobody is served.
    """
    subchannels = floor.shape[1]
    owner, lowest = np.full(subchannels, -1), np.full(subchannels, inf)
    number = np.zeros(floor.shape[0], np.int64)
    for k in range(subchannels):
        for i in served:
            if floor[i, k] / handicap[i] < lowest[k]:
                owner[k], lowest[k] = i, floor[i, k] / handicap[i]
        if owner[k] >= 0:
            number[owner[k]] += 1
    _share_out(floor, handicap, served, owner, lowest, number)
    return owner


@njit(cache=True, error_model="numpy")
def _share_out(floor: Floats, handicap: Floats, served: Ints, owner: Ints, lowest: Floats, number: Ints) -> None:
    """Gives one subchannel to everybody who has none, if there are enough; `owner` [M] and `number` [C] are changed."""
    waiting = served[number[served] == 0]
    subchannel, loss = np.full(waiting.shape[0], -1), np.zeros(waiting.shape[0])
    left = waiting.shape[0]
    while left > 0:
        # What a client can get only grows worse, so only the best offer has to be up to date.
        n = int(np.argmin(loss))
        if subchannel[n] >= 0 and number[owner[subchannel[n]]] > 1:
            number[owner[subchannel[n]]] -= 1
            owner[subchannel[n]], number[waiting[n]] = waiting[n], 1
            loss[n] = inf
            left -= 1
            continue
        i, best = waiting[n], inf
        for k in range(owner.shape[0]):
            if number[owner[k]] > 1 and floor[i, k] / handicap[i] / lowest[k] < best:
                best = floor[i, k] / handicap[i] / lowest[k]
                subchannel[n] = k
        if best == inf:
            return
        loss[n] = best
