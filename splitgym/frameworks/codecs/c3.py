"""The codec C3: several rows are sent as the sum of their circular convolutions with keys."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, log2, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from splitgym.frameworks.codecs.codec import Codec, Costs
from splitgym.frameworks.codecs.packing import from_bytes, to_bytes
from splitgym.scenario import ScenarioError

MOST_ROWS = 256
"""Of a group; keys of more would fill the memory of a client."""


@dataclass(frozen=True)
class CircularConvolution(Codec):
    """Groups of R consecutive rows of D features, each sent as one row: V = sum_i K_i (*) Z_i.

    Decoding correlates with the keys, Z_i = K_i (corr) V, and is the adjoint of encoding; it adds what is left of the
    other rows as noise, of about R times the power of the features with Gaussian keys, R - 1 times with unitary ones.
    The gradient comes down with respect to V, which is the encoded gradient with respect to what was decoded; and the
    gradient at the smashed data is that, decoded. So gradients go through the same two functions, the downlink shrinks
    by R as well, and as keys are common one payload serves all clients. A gradient for some of the rows is exact if
    they begin with a group, so rows with aggregated gradients are to be encoded apart from the others.

    Keys have unit norm and are the same in all rounds and for all clients: Gaussian, or unitary, all of whose Fourier
    coefficients have magnitude 1. The last group has the rows that are left. Sums over D R numbers overflow before a
    single one would, from about 1e38 / (D R); such groups are decoded as numbers that are not finite, as are groups
    with one in it.

    Hsieh, Chuang and Wu, C3-SL: Circular Convolution-Based Batch-Wise Compression for Communication-Efficient Split
    Learning, 2022 (arXiv 2207.12397).

    Payload: V of each group, float32.
    """

    group: int = 4
    """R, rows of a group."""
    unitary: bool = False
    seed: int = 0
    """Of the keys."""

    def __post_init__(self) -> None:
        if not 1 <= self.group <= MOST_ROWS:
            raise ScenarioError(f"codec {self._family}: rows of a group = {self.group}, allowed: 1..{MOST_ROWS}")

    @property
    def _family(self) -> str:
        return "c3-unitary" if self.unitary else "c3"

    @property
    def name(self) -> str:
        """See `Codec.name`."""
        return f"{self._family}:{self.group}"

    def with_parameter(self, parameter: str) -> "CircularConvolution":
        """The same codec with groups of so many rows."""
        if not (parameter.isascii() and parameter.isdigit()):
            raise ScenarioError(f"codec {self._family}: rows of a group = {parameter!r}, allowed: 1..{MOST_ROWS}")
        return replace(self, group=int(parameter))

    def costs(self, rows: Any, features: Sequence[int]) -> Costs:
        """FLOPs: 2.5 D log2 D for the FFT of D real numbers or its inverse; 6 for a complex product, 2 for a sum."""
        D = prod(features)
        groups, fft, bins = -(-rows // self.group), ceil(2.5 * D * log2(D)), D // 2 + 1
        bits = 32 * groups * D
        transforms = (rows + groups) * fft
        encode, decode = transforms + 8 * rows * bins, transforms + 6 * rows * bins
        return Costs(bits, bits, encode, decode, encode, decode)

    def pack(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, None]:
        """See `Codec.pack`."""
        rows = x.flatten(1)
        grouped = F.pad(rows, (0, 0, 0, -len(rows) % self.group)).unflatten(0, (-1, self.group))
        bound = (torch.fft.rfft(grouped) * self._spectra(rows)).sum(1)
        return to_bytes(torch.fft.irfft(bound, n=rows.shape[1])), None

    def unpack(self, payload: Tensor, shape: torch.Size) -> tuple[Tensor, None]:
        """See `Codec.unpack`."""
        D = prod(shape[1:])
        bound = from_bytes(payload, torch.float32).view(-1, D)
        correlated = torch.fft.rfft(bound).unsqueeze(1) * self._spectra(bound).conj()
        return torch.fft.irfft(correlated, n=D).flatten(0, 1)[: shape[0]].reshape(shape), None

    def _spectra(self, rows: Tensor) -> Tensor:
        """[R, D // 2 + 1] Fourier coefficients of the keys of rows [..., D], on their device."""
        return _spectra(self.group, rows.shape[1], self.unitary, self.seed, rows.device)


@lru_cache(maxsize=16)
def _spectra(group: int, D: int, unitary: bool, seed: int, device: torch.device) -> Tensor:
    """[R, D // 2 + 1] Fourier coefficients of the keys; the same on every device, as they are drawn on the CPU."""
    gaussian = torch.randn(group, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spectra = torch.fft.rfft(F.normalize(gaussian))
    # Parseval: coefficients of magnitude 1 are those of a key of unit norm.
    spectra = spectra / spectra.abs() if unitary else spectra
    return spectra.to(device, torch.complex64)


C3, C3_UNITARY = CircularConvolution(), CircularConvolution(unitary=True)
