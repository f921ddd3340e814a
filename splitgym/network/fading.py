"""Small-scale fading: a complex coefficient per client and subchannel, correlated over rounds, of unit mean power."""

from math import sqrt

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.network.worlds import gauss_markov
from splitgym.random import Generators, NormalBlock, standard_normal
from splitgym.scenario import Radio


def numbers_per_round(radio: Radio, clients: int) -> int:
    """Standard normal numbers that a world's fading needs for a round."""
    return 0 if radio.fading == "none" else 2 * clients * radio.subchannels


def draw_scatter(rngs: Generators | NormalBlock, radio: Radio, clients: int) -> Floats:
    """Draws the scattered part of the coefficients.

    Returns:
        [N, 2, C, M] in-phase and quadrature components, standard normal (M = 0 where the scenario has no fading).
    """
    subchannels = 0 if radio.fading == "none" else radio.subchannels
    return standard_normal(rngs, (2, clients, subchannels))


def next_scatter(rngs: Generators | NormalBlock, radio: Radio, scatter: Floats) -> Floats:
    """The scattered part one round later, [N, 2, C, M]: first-order autoregression with `fading_correlation`."""
    return gauss_markov(rngs, scatter, radio.fading_correlation)


def faded_gain(radio: Radio, large_scale_gain: Floats, scatter: Floats, line_of_sight: Bools) -> Floats:
    """Large-scale gain times |h|^2 of h = sqrt(K / (K+1)) + sqrt(1 / (K+1)) CN(0, 1); K = 0 without line of sight.

    The dominant path keeps its phase over the episode. That phase is taken as 0: the scatter is circularly symmetric,
    so another phase would not change the law of |h|^2, whose mean is 1.

    Args:
        radio: Kind of fading and Rician factor.
        large_scale_gain: [N, C] linear.
        scatter: [N, 2, C, M] standard normal components.
        line_of_sight: [N, C].

    Returns:
        [N, C, M] linear power gain.
    """
    if radio.fading == "none":
        return np.repeat(large_scale_gain[..., None], radio.subchannels, axis=2)
    rician_factor = 10 ** (radio.rician_factor_db / 10) if radio.fading == "rician" else 0.0
    gain = np.empty((len(scatter), *scatter.shape[2:]))
    _fill_gain(large_scale_gain, scatter, line_of_sight, rician_factor, gain)
    return gain


@kernel(NO_REFCOUNT)
def _fill_gain(
    large_scale_gain: Floats, scatter: Floats, line_of_sight: Bools, rician_factor: float, gain: Floats
) -> None:
    """As `faded_gain`, with K for the links with line of sight, into [N, C, M]."""
    worlds, _, clients, subchannels = scatter.shape
    for n in range(worlds):
        for i in range(clients):
            factor = rician_factor if line_of_sight[n, i] else 0.0
            dominant, deviation = sqrt(factor / (factor + 1)), sqrt(0.5 / (factor + 1))
            for k in range(subchannels):
                in_phase = dominant + deviation * scatter[n, 0, i, k]
                quadrature = deviation * scatter[n, 1, i, k]
                gain[n, i, k] = large_scale_gain[n, i] * (in_phase * in_phase + quadrature * quadrature)
