"""Factors of the plan that are chosen from a list; no entries where nobody decides it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Ints
from splitgym.envs.actions.components.batch_sizes import BatchLevels
from splitgym.envs.actions.components.component import Continuous, Discrete, EqualParts, Said, indexed
from splitgym.envs.actions.components.placements import PlacementLevels, PlacementScores
from splitgym.frameworks.exchange import WITH_MEAN, WITHOUT_MEAN, ends_with_mean
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

    def names(self) -> tuple[str, ...]:
        """The factor."""
        return indexed(self.factor, self.entries) if self._by_client else (self.factor,) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """The factor, [N] or [N, C]."""
        if not self.entries:
            return {}
        chosen = entries.astype(np.int64)
        return {self.factor: chosen if self._by_client else np.ascontiguousarray(chosen[:, 0])}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """As they are."""
        return np.array(np.broadcast_to(getattr(decision, self.factor), self.entries))


class MeanLevels(Discrete):
    """1: the round ends with the mean of clients' parts; 0: it does not. None where that is not decided."""

    def __init__(self, system: SystemParameters) -> None:
        super().__init__((2,) * system.averaging_decided)

    def names(self) -> tuple[str, ...]:
        """One entry, if there is any."""
        return ("averaging",) * self.entries

    def read(self, entries: NDArray[Any]) -> Said:
        """`averaging`, [N]."""
        return {"averaging": np.where(entries[:, 0] > 0, WITH_MEAN, WITHOUT_MEAN)} if self.entries else {}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """What the scenario says where the decision does not."""
        mean = ends_with_mean(decision.averaging, state.round + 1, state.system.averaging_interval)
        return np.full(self.entries, mean, np.int64)


def choice_levels(system: SystemParameters, clients: int) -> tuple[Discrete, ...]:
    """Of all factors that are chosen from a list: codec, precision, mean, batch size, placement."""
    return (*_ordered_levels(system, clients), PlacementLevels(system))


def choice_parts(system: SystemParameters, clients: int) -> tuple[Continuous, ...]:
    """Likewise, in numbers -1..1."""
    return (*map(EqualParts, _ordered_levels(system, clients)), PlacementScores(system))


def _ordered_levels(system: SystemParameters, clients: int) -> tuple[Discrete, ...]:
    """All but placements."""
    grid = system.program.plans
    return (
        ChoiceLevels("codec", grid.codecs, grid.codec_by_client, clients),
        ChoiceLevels("precision", grid.precisions, grid.precision_by_client, clients),
        MeanLevels(system),
        BatchLevels(system, clients),
    )
