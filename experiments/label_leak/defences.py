"""What clients do to the gradients that they send, so that these tell less of the labels.

Max-norm noise and Marvell: Li et al., "Label leakage and protection in two-party split learning" (ICLR 2022).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.arrays import Floats

OFFSETS = np.indices((3, 3, 3, 3)).reshape(4, -1).T - 1.0
"""[81, 4] steps of the search."""


def max_norm(gradients: Tensor, chance: torch.Generator, strength: float = 1.0) -> Tensor:
    """[b, d] gradients with noise along each, so that with strength 1 all expect the largest squared length.

    g + strength sqrt(max_j ||g_j||^2 - ||g||^2) e g / ||g||, e standard normal. A row without a gradient has no noise.
    """
    squares = gradients.square().sum(1, keepdim=True)
    size = strength * (squares.max() - squares).sqrt()
    noise = torch.randn(len(gradients), 1, generator=chance, dtype=gradients.dtype)
    return gradients + size * noise * F.normalize(gradients)


def marvell(gradients: Tensor, positive: Tensor, chance: torch.Generator, strength: float) -> Tensor:
    """[b, d] gradients of two classes with the noise that leaves their distributions the most alike for its power.

    Each class has noise along the difference of the class means and around it, see `variances`; its mean power is
    strength times the square of that difference. A batch of one class goes as it is: there is nothing to hide in it.

    Args:
        gradients: [b, d].
        positive: [b] bool.
        chance: Draws the noise.
        strength: 0: none.
    """
    if not 0 < int(positive.sum()) < len(positive):
        return gradients
    ones, zeros = gradients[positive], gradients[~positive]
    difference = ones.mean(0) - zeros.mean(0)
    length, dimensions = float(difference.norm()), gradients.shape[1]
    if length == 0.0:
        return gradients
    spread = [float((own - own.mean(0)).square().sum(1).mean()) / dimensions for own in (zeros, ones)]
    noise = variances(spread, length, float(positive.float().mean()), dimensions, strength * length**2)
    along = difference / length
    white = torch.randn(gradients.shape, generator=chance, dtype=gradients.dtype)
    on_line = (white @ along)[:, None] * along
    of_row = torch.tensor(noise, dtype=gradients.dtype).sqrt()[positive.long()]
    return gradients + of_row[:, :1] * on_line + of_row[:, 1:] * (white - on_line)


def variances(spread: list[float], length: float, fraction: float, dimensions: int, power: float) -> Floats:
    """[2, 2] variances of the noise of class 0 and 1, along the difference of their means and around it.

    They minimise the sum of both Kullback-Leibler divergences of N(0, S_0) and N(difference, S_1), where class c has
    variance spread_c + noise in each direction, with mean power at most `power`:

        (a1/a0 + a0/a1 + (d - 1) (r1/r0 + r0/r1) + length^2 (1/a0 + 1/a1)) / 2 - d

    Args:
        spread: Variance of each class by itself, in each direction.
        length: Of the difference of the means.
        fraction: Of rows of class 1.
        dimensions: d.
        power: Expected square of the noise of a row.
    """
    weights = np.outer([1 - fraction, fraction], [1.0, dimensions - 1.0]).ravel()
    floor, unit = np.repeat(spread, 2) + 1e-9 * length**2, power / weights

    def divergence(shares: Floats) -> Floats:
        a0, r0, a1, r1 = (floor + shares * unit).T
        around = (dimensions - 1) * (r1 / r0 + r0 / r1)
        total: Floats = a1 / a0 + a0 / a1 + around + length**2 * (1 / a0 + 1 / a1)
        return total

    # Shares of the power, which sum to 1 as all of it is of use; the search halves its steps around the best.
    best = np.full(4, 0.25)
    for step in np.repeat(0.5 ** np.arange(2, 16), 4):
        tried = np.clip(best + step * OFFSETS, 0.0, None)
        tried = tried[tried.sum(1) > 0]
        tried /= tried.sum(1, keepdims=True)
        best = tried[divergence(tried).argmin()]
    return (best * unit).reshape(2, 2)
