"""Client weights, an entry for each client, and the exponent of the latency that they are weighed against."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats
from splitgym.envs.actions.components.component import Continuous, Said, indexed
from splitgym.types import Decision, RoundState

HIGHEST_WEIGHT = 8.0
"""Of a client; an ordinary one has weight 1, the least 1 / 8."""


class ClientWeights(Continuous):
    """Client i with entry a_i has weight 8^{a_i}; at -1 it has weight 0."""

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("client_weight", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`client_weight`, [N, C]; those with a weight above 0 are `selected`, so far."""
        weight = np.where(entries > -1, HIGHEST_WEIGHT**entries, 0.0)
        return {"client_weight": weight, "selected": weight > 0}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """Weight 1 for selected clients, 0 for the others."""
        return np.where(decision.selected, 0.0, -1.0)


class LatencyExponent(Continuous):
    """-1..1 as an exponent 0..2."""

    def __init__(self) -> None:
        super().__init__(1, 0.0, 2.0)

    def names(self) -> tuple[str, ...]:
        """One entry."""
        return ("latency_exponent",)

    def read(self, entries: NDArray[Any]) -> Said:
        """`latency_exponent`, [N]."""
        return {"latency_exponent": np.ascontiguousarray(entries[:, 0])}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """Exponent 0: all clients with a weight are selected, if they can be in time."""
        return np.array([-1.0])
