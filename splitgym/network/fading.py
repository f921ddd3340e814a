"""Small-scale fading: a complex coefficient per client and subchannel, correlated over rounds, of unit mean power."""

from math import sqrt

from splitgym.arrays import Bools, Floats
from splitgym.kernels import INLINED, kernel
from splitgym.kernels.functions import EXACT_ENOUGH


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def mix(values: Floats, new: Floats, correlation: float) -> None:
    """The next values of stationary first-order processes: x' = rho x + sqrt(1 - rho^2) w, w standard normal.

    Args:
        values: [n] of unit variance, changed.
        new: [n] at least, standard normal.
        correlation: rho in [-1, 1].
    """
    innovation = sqrt(1.0 - correlation * correlation)
    for k in range(values.shape[0]):
        values[k] = correlation * values[k] + innovation * new[k]


@kernel(INLINED, fastmath=EXACT_ENOUGH)
def fill_gain(large_scale_gain: Floats, scatter: Floats, line_of_sight: Bools, factor: float, gain: Floats) -> None:
    """Large-scale gain times |h|^2 of h = sqrt(K / (K+1)) + sqrt(1 / (K+1)) CN(0, 1); K = 0 without line of sight.

    The dominant path keeps its phase over the episode. That phase is taken as 0: the scatter is circularly symmetric,
    so another phase would not change the law of |h|^2, whose mean is 1.

    Args:
        large_scale_gain: [C] linear.
        scatter: [2, C, M] standard normal in-phase and quadrature components; M = 0: there is no fading.
        line_of_sight: [C].
        factor: K with line of sight.
        gain: [C, M] linear power gain, filled.
    """
    clients, subchannels = gain.shape
    fades = scatter.shape[2] > 0
    for i in range(clients):
        own, large = gain[i], large_scale_gain[i]
        if not fades:
            own[:] = large
            continue
        k_factor = factor if line_of_sight[i] else 0.0
        dominant, deviation = sqrt(k_factor / (k_factor + 1.0)), sqrt(0.5 / (k_factor + 1.0))
        real, imaginary = scatter[0, i], scatter[1, i]
        for k in range(subchannels):
            in_phase, quadrature = dominant + deviation * real[k], deviation * imaginary[k]
            own[k] = large * (in_phase * in_phase + quadrature * quadrature)
