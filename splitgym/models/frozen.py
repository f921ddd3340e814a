"""Layers whose weights stay as they are: known to everybody, neither trained nor sent nor averaged."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Frozen(nn.Module):
    """A layer whose own tensors are frozen: buffers that no state holds, so only memory counts them."""

    def freeze(self, name: str, *shape: int) -> None:
        """Makes room for a frozen tensor."""
        self.register_buffer(name, torch.empty(shape), persistent=False)

    def draw(self, generator: torch.Generator) -> None:
        """Draws what the layer has before it has been trained: normal numbers with a deviation of 0.02."""
        for tensor in self.buffers(recurse=False):
            nn.init.normal_(tensor, std=0.02, generator=generator)

    def flops(self, x: Tensor, output: Tensor) -> tuple[int, int]:
        """FLOPs of the forward and the backward pass; see `splitgym.models.profile` for what counts."""
        return 0, 0


class FrozenLinear(Frozen):
    """y = W x + c with frozen W, [outputs, inputs], and c."""

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.freeze("weight", outputs, inputs)
        self.freeze("bias", outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., inputs] to [..., outputs]."""
        return F.linear(x, self.weight, self.bias)

    def draw(self, generator: torch.Generator) -> None:
        """Draws W, and sets c to 0."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5, generator=generator)
        nn.init.zeros_(self.bias)

    def flops(self, x: Tensor, output: Tensor) -> tuple[int, int]:
        """The backward pass gives the gradient of the input alone, where something in front of it is trained."""
        flops = 2 * output.numel() * self.weight.shape[1]
        return flops, flops if x.requires_grad else 0


class FrozenNorm(Frozen):
    """Layer norm (Ba et al., arXiv 1607.06450) with frozen scale and shift."""

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.freeze("weight", width)
        self.freeze("bias", width)

    def forward(self, x: Tensor) -> Tensor:
        """Normalises the last axis."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)

    def draw(self, generator: torch.Generator) -> None:
        """Ones and zeros."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)


class FrozenEmbedding(Frozen):
    """A vector for each character, and one for each place in the window."""

    characters: Tensor
    places: Tensor

    def __init__(self, alphabet: int, window: int, width: int) -> None:
        super().__init__()
        self.freeze("characters", alphabet, width)
        self.freeze("places", window, width)

    def forward(self, codes: Tensor) -> Tensor:
        """Maps codes of characters, [rows, 1, 1, window] of whole numbers, to [rows, window, width]."""
        return self.characters[codes.flatten(1).long()] + self.places


class AdaptedLinear(nn.Module):
    """y = W x + c + (alpha / r) B A x: a frozen layer beside an adapter (Hu et al., LoRA, ICLR 2022).

    B is 0 at first, so the layer begins as the frozen one. Only A, [r, inputs], and B, [outputs, r], are trained.

    Args:
        inputs: Length of x.
        outputs: Length of y.
        rank: r.
    """

    ALPHA = 8.0
    """alpha, whatever the rank: what an adapter adds then depends little on it."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.frozen = FrozenLinear(inputs, outputs)
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        self.scale = self.ALPHA / rank

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., inputs] to [..., outputs]."""
        adapted: Tensor = self.frozen(x) + self.scale * self.up(self.down(x))
        return adapted

    @torch.no_grad()
    def merged(self) -> FrozenLinear:
        """A frozen layer that computes the same: W + (alpha / r) B A."""
        outputs, inputs = self.frozen.weight.shape
        layer = FrozenLinear(inputs, outputs)
        layer.weight = self.frozen.weight + self.scale * self.up.weight @ self.down.weight
        layer.bias = self.frozen.bias.clone()
        return layer
