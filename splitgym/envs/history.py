"""The history of an episode: participation, phi, latency and second cut of its rounds."""

from collections.abc import Sequence

import numpy as np

from splitgym.arrays import Ints
from splitgym.timing import RoundCost
from splitgym.types import Decision


class History:
    """The history of N episodes, as `RoundState` has it; all zero before the first round.

    Attributes:
        participated: [N, C] whether a client took part in the last round.
        absence: [N, C] rounds since a client took part, or since the episode began.
        experience: [N, C] rounds in which a client took part.
        aggregation_ratio: [N] phi of the last round.
        latency_s: [N] of the last round, s.
        second_cut: [N] of the last round in which any client took part, where it is decided.
    """

    def __init__(self, worlds: int, clients: int, second_cuts: bool) -> None:
        self.participated = np.zeros((worlds, clients), bool)
        self.absence, self.experience = np.zeros((worlds, clients)), np.zeros((worlds, clients))
        self.aggregation_ratio, self.latency_s = np.zeros(worlds), np.zeros(worlds)
        self.second_cut = np.zeros(worlds, np.int64)
        self._second_cuts = second_cuts

    def forget(self, which: Sequence[int] | Ints) -> None:
        """Starts episodes in the worlds with these indices."""
        self.participated[which], self.absence[which], self.experience[which] = False, 0.0, 0.0
        self.aggregation_ratio[which], self.latency_s[which], self.second_cut[which] = 0.0, 0.0, 0

    def remember(self, cost: RoundCost, decision: Decision) -> None:
        """Adds a round of every world."""
        participants = cost.participants
        self.participated[:], self.latency_s[:] = participants, cost.latency_s
        self.aggregation_ratio[:] = decision.aggregation_ratio
        self.experience += participants
        self.absence += 1.0
        self.absence[participants] = 0.0
        if self._second_cuts:
            trained = participants.any(1)
            cut = np.maximum(decision.second_cut, decision.cut_layer)
            self.second_cut[trained] = cut[trained]
