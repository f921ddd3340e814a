"""Factors of the plan that are chosen from a list: one entry, or one for each client; none where nobody decides it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Floats, Ints
from splitgym.envs.actions.components.component import Continuous, Discrete, Said
from splitgym.types import Decision, RoundState, SystemParameters


class ChoiceLevels(Discrete):
    """Index in the scenario's list.

    Args:
        factor: Its field of `Decision`.
        choices: How many there are.
        by_client: Whether clients have choices of their own.
        clients: C.
    """

    def __init__(self, factor: str, choices: int, by_client: bool, clients: int) -> None:
        self.factor, self.choices, self._by_client = factor, choices, by_client
        entries = clients if by_client else 1
        super().__init__((choices,) * (entries if choices > 1 else 0))

    def read(self, entries: NDArray[Any]) -> Said:
        """The factor, [N] or [N, C]."""
        return self.said(entries.astype(np.int64))

    def said(self, chosen: Ints) -> Said:
        """What these indices say."""
        if not self.entries:
            return {}
        return {self.factor: chosen if self._by_client else np.ascontiguousarray(chosen[:, 0])}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """As they are."""
        return np.array(np.broadcast_to(getattr(decision, self.factor), self.entries))


class ChoiceParts(Continuous):
    """-1..1 in equal parts, one for each value of the discrete form."""

    def __init__(self, levels: ChoiceLevels) -> None:
        self._levels = levels
        super().__init__(levels.entries, 0.0, float(levels.choices))

    def read(self, entries: NDArray[Any]) -> Said:
        """As the discrete form."""
        return self._levels.said(np.minimum(entries.astype(np.int64), self._levels.choices - 1))

    def write(self, decision: Decision, state: RoundState) -> Floats:
        """The middle of each part."""
        return (2 * self._levels.write(decision, state) + 1) / self._levels.choices - 1


def choice_levels(system: SystemParameters, clients: int) -> tuple[ChoiceLevels, ...]:
    """Of all factors that are chosen from a list: codec, precision."""
    grid = system.program.plans
    return (
        ChoiceLevels("codec", grid.codecs, grid.codec_by_client, clients),
        ChoiceLevels("precision", grid.precisions, grid.precision_by_client, clients),
    )


def choice_parts(system: SystemParameters, clients: int) -> tuple[ChoiceParts, ...]:
    """Likewise, in numbers -1..1."""
    return tuple(ChoiceParts(levels) for levels in choice_levels(system, clients))
