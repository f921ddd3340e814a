"""Demand for spectrum: an entry for each client."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats
from splitgym.envs.actions.components.component import Continuous, Said, indexed
from splitgym.types import Decision, RoundState


class SpectrumDemand(Continuous):
    """-1..1 as a demand 0..1; numbers of subchannels are in proportion to the demands."""

    def __init__(self, clients: int) -> None:
        super().__init__(clients, 0.0, 1.0)

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("spectrum_demand", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`spectrum_demand`, [N, C]."""
        return {"spectrum_demand": np.ascontiguousarray(entries)}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """Numbers of subchannels that each client has in its own slot, over the largest; which ones is lost."""
        owned = decision.used(state.system.program.access)
        counts = np.bincount(decision.assignment[owned], minlength=self.entries)
        return 2 * (counts / max(int(counts.max(initial=0)), 1)) - 1
