"""What codecs make of the mini-batches at each cut: bits that are sent, and FLOPs to encode and decode them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.scenario.quantities import FULL_BITS


class Coder(Protocol):
    """What is asked of a codec here; `splitgym.frameworks.codecs.Codec` is one."""

    @property
    def shares_gradients(self) -> bool:
        """Whether one payload of gradients serves all clients."""
        ...

    def costs(self, rows: Any, features: Sequence[int]) -> Any:
        """`splitgym.frameworks.codecs.Costs` of mini-batches of so many rows."""
        ...


def model_bits(numbers: Any, tensors: Any, bits: Any) -> Any:
    """Bits of a model that is sent: of float32, or in fixed point packed into bytes, with a step for each tensor.

    Args:
        numbers: How many weights and running statistics it has.
        tensors: Of how many tensors.
        bits: Of each number.
    """
    packed = 8 * np.ceil((bits * numbers + FULL_BITS * tensors) / 8)
    return np.where(bits == FULL_BITS, FULL_BITS * numbers, packed)


@dataclass(frozen=True)
class Payloads:
    """The codecs of a scenario, and what a network hands over at each cut layer."""

    codecs: Sequence[Sequence[Coder]]
    """[codecs][precisions] to choose from."""
    features: Sequence[Sequence[int]]
    """[L - 1] shape of a sample's activations behind each cut layer."""
    tensors: Sequence[int]
    """[L] tensors of each unit's model."""

    def cost(self, name: str, rows: Any, cuts: Ints) -> Floats:
        """[J, R, S, codecs, precisions] bits or FLOPs of one client's mini-batch, by that name in `Costs`.

        With batch sizes in front of the rows it is [B, J, R, S, codecs, precisions].

        Args:
            name: Of the cost.
            rows: How many rows are sent: a number (R = 1), or [1, R, 1, 1, 1]; with batch sizes in front of that
                [B, 1, R, 1, 1, 1]. Plans with more aggregated rows than there are send nothing.
            cuts: [J, 1, S, 1, 1] behind which unit, 1..L-1.
        """
        of_rows = np.maximum(np.asarray(rows, np.int64), 0)
        counts, places = np.unique(of_rows, return_inverse=True)

        def of(codec: Coder, shape: Sequence[int]) -> Floats:
            return np.broadcast_to(getattr(codec.costs(counts, shape), name), counts.shape)

        table = [[[of(codec, shape) for codec in row] for row in self.codecs] for shape in self.features]
        found = np.array(table, np.float64)[cuts[:, 0, :, 0, 0] - 1][..., places.ravel()]
        batches = of_rows.shape[:1] if of_rows.ndim > cuts.ndim else ()
        # [J, S, codecs, precisions, B R]: batch sizes to the front, rows behind the cut layers.
        apart = found.reshape(*found.shape[:-1], *batches, -1)
        return np.moveaxis(apart if not batches else np.moveaxis(apart, -2, 0), -1, 1 + len(batches))
