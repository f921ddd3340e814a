"""`greedy`: the paper's resource management, every round anew, with everybody."""

import numpy as np
from numpy.typing import NDArray

from agents.agent import Scheduler
from splitgym.allocation import descend
from splitgym.rounds import Decision, RoundState


class Greedy(Scheduler):
    """The descent over greedy subchannels, exact power control and cut layer (arXiv 2303.15991), ablation e)."""

    def allocate(self, state: RoundState, selected: NDArray[np.bool_], aggregation_ratio: float) -> Decision:
        """The decision at which the descent ends."""
        return descend(state, selected, aggregation_ratio)
