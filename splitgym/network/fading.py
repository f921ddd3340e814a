"""Small-scale fading: a complex coefficient per client and subchannel, correlated over rounds, of unit mean power."""

import numpy as np

from splitgym.network.worlds import Bools, Floats, Generators, gauss_markov, standard_normal
from splitgym.scenario import Radio


def draw_scatter(rngs: Generators, radio: Radio, clients: int) -> Floats:
    """Draws the scattered part of the coefficients.

    Returns:
        [N, 2, C, M] in-phase and quadrature components, standard normal (M = 0 where the scenario has no fading).
    """
    subchannels = 0 if radio.fading == "none" else radio.subchannels
    return standard_normal(rngs, (2, clients, subchannels))


def next_scatter(rngs: Generators, radio: Radio, scatter: Floats) -> Floats:
    """The scattered part one round later, [N, 2, C, M]: first-order autoregression with `fading_correlation`."""
    return gauss_markov(rngs, scatter, radio.fading_correlation)


def fading_power(radio: Radio, scatter: Floats, line_of_sight: Bools) -> Floats:
    """|h|^2 of h = sqrt(K / (K+1)) + sqrt(1 / (K+1)) CN(0, 1); K = 0 (Rayleigh) without line of sight.

    The dominant path keeps its phase over the episode. That phase is taken as 0: the scatter is circularly symmetric,
    so another phase would not change the law of |h|^2.

    Args:
        radio: Kind of fading and Rician factor.
        scatter: [N, 2, C, M] standard normal components.
        line_of_sight: [N, C].

    Returns:
        [N, C, M] power gain with mean 1.
    """
    if radio.fading == "none":
        return np.ones((*line_of_sight.shape, radio.subchannels))
    rician_factor = 10 ** (radio.rician_factor_db / 10) if radio.fading == "rician" else 0.0
    factor = np.where(line_of_sight, rician_factor, 0.0)[..., None]
    dominant = np.sqrt(factor / (factor + 1))
    deviation = np.sqrt(0.5 / (factor + 1))
    in_phase = dominant + deviation * scatter[:, 0]
    quadrature = deviation * scatter[:, 1]
    return in_phase * in_phase + quadrature * quadrature
