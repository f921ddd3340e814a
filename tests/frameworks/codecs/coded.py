"""What the tests of codecs share: shapes, numbers, and there and back."""

from math import prod

import torch
from hypothesis import strategies as st
from torch import Tensor

from splitgym.frameworks.codecs import Codec

NAMES = (
    "none",
    "fp16",
    "bf16",
    "uniform-8",
    "uniform-4",
    "uniform-2",
    "top-k:0.3",
    "random-top-k:0.3",
    "c3:3",
    "c3-unitary:3",
)
"""One of each family."""

SHAPES = st.tuples(st.integers(1, 9), st.lists(st.integers(1, 6), min_size=1, max_size=3)).map(lambda s: (s[0], *s[1]))
"""[b, *features]."""


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=chance(seed))


def relu(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return normal(shape, seed).relu()


def there(codec: Codec, smashed: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Smashed data as the server has them."""
    return codec.decode(codec.encode(smashed, generator).payload, smashed.shape, smashed.dtype).smashed


def back(codec: Codec, smashed: Tensor, gradient: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The gradient as the client has it, after its smashed data went up."""
    sent = codec.encode(smashed, generator)
    received = codec.decode(sent.payload, smashed.shape, smashed.dtype)
    return codec.decode_gradient(codec.encode_gradient(gradient, received.context, generator), sent.context)


def bits_of(payload: Tensor) -> list[int]:
    """Bits of bytes, lowest first."""
    return [byte >> i & 1 for byte in payload.tolist() for i in range(8)]


def numbers_in(bits: list[int], width: int, count: int) -> list[int]:
    """Whole numbers of that many bits, lowest first."""
    return [sum(bits[n * width + i] << i for i in range(width)) for n in range(count)]


def size(shape: tuple[int, ...]) -> int:
    return prod(shape)
