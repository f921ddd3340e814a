"""Transmit power: in steps for each subchannel, or in numbers for each client."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said, indexed, nearest
from splitgym.envs.actions.components.owners import common_row
from splitgym.types import Decision, RoundState


class PowerLevels(Discrete):
    """Index of a level for each subchannel: the fraction of p_max that its client spends there.

    Args:
        levels: Fractions 0..1.
        subchannels: M.
        power_max_w: p_max.
    """

    def __init__(self, levels: Floats, subchannels: int, power_max_w: float) -> None:
        self._levels, self._power_max_w = levels, power_max_w
        super().__init__((len(levels),) * subchannels)

    def names(self) -> tuple[str, ...]:
        """Of each subchannel."""
        return indexed("subchannel_power", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`subchannel_power_w`, [N, M] W."""
        return {"subchannel_power_w": self._levels[entries] * self._power_max_w}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """The nearest levels."""
        _, power_w_per_hz = common_row(decision, state)
        return nearest(self._levels, power_w_per_hz * state.subchannel_hz / self._power_max_w)


class ClientPower(Continuous):
    """-1..1 as 0 to p_max, for each client.

    Args:
        clients: C.
        power_max_w: p_max.
    """

    def __init__(self, clients: int, power_max_w: float) -> None:
        self._power_max_w = power_max_w
        super().__init__(clients, 0.0, power_max_w)

    def names(self) -> tuple[str, ...]:
        """Of each client."""
        return indexed("client_power", self.entries)

    def read(self, entries: NDArray[Any]) -> Said:
        """`client_power_w`, [N, C] W."""
        return {"client_power_w": np.ascontiguousarray(entries)}

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """What each client spends in its own slot, at most p_max."""
        owned = decision.used(state.system.program.access)
        spent_w = (decision.power_w_per_hz * state.subchannel_hz)[owned]
        by_client_w = np.bincount(decision.assignment[owned], spent_w, minlength=self.entries)
        return 2 * np.minimum(by_client_w / self._power_max_w, 1.0) - 1
