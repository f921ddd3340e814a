"""Mini-batches: each client walks through its own data in an order of its own, again and again."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitgym.arrays import Ints


class BatchOrder:
    """Draws mini-batches of one client without replacement; a new shuffle follows when the data is used up.

    A client with fewer samples than a mini-batch has some of them in it several times.
    """

    def __init__(self, samples: Ints, rng: np.random.Generator) -> None:
        self._samples = samples
        self._rng = rng
        self._pending = rng.permutation(samples)

    def state_dict(self) -> dict[str, Any]:
        """What is pending, and the generator."""
        return {"pending": self._pending.tolist(), "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` gave."""
        self._pending = np.array(state["pending"], np.int64)
        self._rng.bit_generator.state = state["rng"]

    @property
    def left(self) -> int:
        """Samples that it has not drawn yet since the last shuffle."""
        return len(self._pending)

    def draw(self, size: int) -> Ints:
        """[size] indices of the next mini-batch."""
        parts: Sequence[Ints] = [self._pending]
        while sum(map(len, parts)) < size:
            parts = [*parts, self._rng.permutation(self._samples)]
        order = np.concatenate(parts)
        self._pending = order[size:]
        return order[:size]
