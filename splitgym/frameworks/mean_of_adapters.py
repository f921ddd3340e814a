"""Adapters averaged as what they compute: the mean of the products B A, not of B and A apart.

What a client adds to a layer is B_i A_i, so the mean of the clients' networks has M = sum_i w_i B_i A_i. The product of
the means of B and A is something else: it has terms B_i A_j of different clients. M has a rank of up to n r, and what
goes on is the product of rank r that is nearest to it (Eckart and Young, 1936): M itself where clients have A in
common, or B, or differ little. So as much travels as without a mean: A and B of each client, and one A and B back.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from splitgym.models.frozen import AdaptedLinear

ROUNDING = 1e-12
"""Singular values below this share of the largest one are those of rounding errors."""


class MeanOfAdapters:
    """What several nodes make of the adapters of some units, averaged as products.

    Each node: `add`. Then A and B get their own means, by whoever averages all weights, and `finish` makes of them
    factors of the mean product.

    Args:
        units: Whose adapters are written to; without any there is nothing to do.
    """

    def __init__(self, units: Sequence[nn.Module]) -> None:
        self._adapters = adapters_of(units)
        self._products = [torch.zeros_like(layer.frozen.weight, dtype=torch.float64) for layer in self._adapters]

    @torch.no_grad()
    def add(self, weight: Tensor | float, units: Sequence[nn.Module] | None = None) -> None:
        """Counts the present products of these units (absent: of its own) with a weight; weights are to sum to 1."""
        adapters = self._adapters if units is None else adapters_of(units)
        for total, layer in zip(self._products, adapters, strict=True):
            total.add_(layer.up.weight.double() @ layer.down.weight.double() * weight)

    @torch.no_grad()
    def finish(self) -> None:
        """Writes factors of the mean products; A and B hold their means now."""
        for product, layer in zip(self._products, self._adapters, strict=True):
            up, down = factors(product, layer.down.weight.double())
            layer.up.weight.copy_(up)
            layer.down.weight.copy_(down)


def adapters_of(units: Sequence[nn.Module]) -> list[AdaptedLinear]:
    """All layers with an adapter, in the order of the units."""
    return [layer for unit in units for layer in unit.modules() if isinstance(layer, AdaptedLinear)]


def factors(product: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """B and A of the product of rank r that is nearest to a matrix.

    Of all factors those whose A is a projection of the one that is given, so that what optimisers remember of it still
    fits: onto the rows of the product, and where these are fewer than r, onto further directions that it has.

    Args:
        product: [outputs, inputs].
        down: [r, inputs].

    Returns:
        [outputs, r] and [r, inputs].
    """
    rank = len(down)
    u, s, rows = torch.linalg.svd(product, full_matrices=False)
    kept = min(int((s > ROUNDING * s[0]).sum()), rank)
    nearest, rows = (u[:, :kept] * s[:kept]) @ rows[:kept], rows[:kept]
    rest = down - down @ rows.T @ rows
    rows = torch.cat([rows, torch.linalg.svd(rest, full_matrices=False)[2][: rank - kept]])
    projected = down @ rows.T @ rows
    return nearest @ torch.linalg.pinv(projected), projected
