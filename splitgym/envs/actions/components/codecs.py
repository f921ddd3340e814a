"""How smashed data and their gradients are sent: one entry, or one for each client; none where nobody decides it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said
from splitgym.types import Decision, RoundState, SystemParameters


class CodecLevels(Discrete):
    """Index in the scenario's list.

    Args:
        system: Says which codecs there are.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        grid = system.program.plans
        self._by_client = grid.codec_by_client
        super().__init__((grid.codecs,) * ((clients if grid.codec_by_client else 1) if grid.codecs > 1 else 0))

    def read(self, entries: NDArray[Any]) -> Said:
        """`codec`, [N] or [N, C]."""
        return self.said(entries.astype(np.int64))

    def said(self, codecs: Ints) -> Said:
        """What these indices say."""
        if not self.entries:
            return {}
        return {"codec": codecs if self._by_client else codecs[:, 0]}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """As they are."""
        return np.array(np.broadcast_to(decision.codec, self.entries))


class CodecParts(Continuous):
    """-1..1 in equal parts, one for each value of `CodecLevels`.

    Args:
        system: See `CodecLevels`.
        clients: C.
    """

    def __init__(self, system: SystemParameters, clients: int) -> None:
        self._levels = CodecLevels(system, clients)
        self._codecs = system.program.plans.codecs
        super().__init__(self._levels.entries, 0.0, float(self._codecs))

    def read(self, entries: NDArray[Any]) -> Said:
        """As the discrete form."""
        return self._levels.said(np.minimum(entries.astype(np.int64), self._codecs - 1))

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """The middle of each part."""
        return (2 * self._levels.write(decision, state) + 1) / self._codecs - 1
