"""What the rounds of an episode have been, for schedulers that remember."""

from collections.abc import Sequence

import numpy as np

from splitgym.network.worlds import Bools, Floats, Ints


class History:
    """The past of N episodes, as `RoundState` has it; all zero before the first round.

    Attributes:
        participated: [N, C] whether a client took part in the last round.
        absence: [N, C] rounds since a client took part, or since the episode began.
        experience: [N, C] rounds in which a client took part.
        aggregation_ratio: [N] phi of the last round.
        latency_s: [N] of the last round, s.
    """

    def __init__(self, worlds: int, clients: int) -> None:
        self.participated = np.zeros((worlds, clients), bool)
        self.absence, self.experience = np.zeros((worlds, clients)), np.zeros((worlds, clients))
        self.aggregation_ratio, self.latency_s = np.zeros(worlds), np.zeros(worlds)

    def forget(self, which: Sequence[int] | Ints) -> None:
        """Starts episodes in the worlds with these indices."""
        self.participated[which], self.absence[which], self.experience[which] = False, 0.0, 0.0
        self.aggregation_ratio[which], self.latency_s[which] = 0.0, 0.0

    def remember(self, participants: Bools, aggregation_ratio: Floats, latency_s: Floats) -> None:
        """Adds a round of every world: [N, C] who took part, [N] phi, [N] seconds."""
        self.participated[:], self.aggregation_ratio[:], self.latency_s[:] = participants, aggregation_ratio, latency_s
        self.experience += participants
        self.absence += 1.0
        self.absence[participants] = 0.0
