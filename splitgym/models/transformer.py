"""A decoder for characters whose weights are frozen, with adapters that are trained."""

import torch.nn.functional as F
from torch import Tensor, nn

from splitgym.inputs import InputError
from splitgym.models.frozen import AdaptedLinear, Frozen, FrozenEmbedding, FrozenNorm
from splitgym.models.network import CuttableNetwork

BLOCKS = 4
WIDTH = 64
HEADS = 4
WIDER = 4
"""Width inside the perceptron of a block, over that of the block."""


def transformer(input_shape: tuple[int, int, int], classes: int, rank: int = 4) -> CuttableNetwork:
    """A decoder of four blocks and a head (L = 5); every linear layer has an adapter of this rank.

    The first unit begins with the embedding, the last block ends with the last norm, so that the head is one layer.

    Args:
        input_shape: (1, 1, window): codes of so many characters.
        classes: Characters of the alphabet.
        rank: r of the adapters.

    Raises:
        InputError: the input is no window of characters.
    """
    if input_shape[:2] != (1, 1) or input_shape[2] < 2:
        raise InputError(f"input_shape = {input_shape}: 'transformer' needs windows of characters, (1, 1, 2 or more)")
    blocks: list[list[nn.Module]] = [[Block(WIDTH, HEADS, rank)] for _ in range(BLOCKS)]
    blocks[0].insert(0, FrozenEmbedding(classes, input_shape[2], WIDTH))
    blocks[-1].append(FrozenNorm(WIDTH))
    units: dict[str, nn.Module] = {f"block{k}": nn.Sequential(*layers) for k, layers in enumerate(blocks, start=1)}
    units["head"] = AdaptedLinear(WIDTH, classes, rank)
    return CuttableNetwork(units)


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a shortcut (Radford et al., GPT-2, 2019)."""

    def __init__(self, width: int, heads: int, rank: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            FrozenNorm(width),
            AdaptedLinear(width, 3 * width, rank),
            Attention(heads),
            AdaptedLinear(width, width, rank),
        )
        self.perceptron = nn.Sequential(
            FrozenNorm(width),
            AdaptedLinear(width, WIDER * width, rank),
            nn.GELU(),
            AdaptedLinear(WIDER * width, width, rank),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [rows, window, width] to as much."""
        x = x + self.attention(x)
        adapted: Tensor = x + self.perceptron(x)
        return adapted


class Attention(Frozen):
    """Every character attends to those up to itself (Vaswani et al., arXiv 1706.03762); no weights of its own."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self._heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """Maps queries, keys and values side by side, [rows, window, 3 width], to [rows, window, width]."""
        queries, keys, values = (part.unflatten(-1, (self._heads, -1)).transpose(1, 2) for part in x.chunk(3, -1))
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True).transpose(1, 2).flatten(2)

    def flops(self, x: Tensor, output: Tensor) -> tuple[int, int]:
        """Two products of a matrix for each pair of characters, also of those that are masked; twice that back."""
        flops = 2 * 2 * output.numel() * output.shape[1]
        return flops, 2 * flops if x.requires_grad else 0
