"""`fixed`: one cut layer for the whole episode, equal shares, everybody."""

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.agent import Scheduler
from splitgym.allocation import equal_shares
from splitgym.rounds import Decision, RoundState


class Fixed(Scheduler):
    """Looks at nothing: a fixed cut layer, subchannels dealt in turn, the same power for everybody.

    Args:
        env: The environment.
        cut_layer: 1..L-1; default: the middle one.

    Raises:
        ValueError: there is no such cut layer.
    """

    def __init__(self, env: gym.Env, cut_layer: int | None = None) -> None:
        super().__init__(env)
        cuts = self.env.cut_layers
        self.cut_layer = (cuts + 1) // 2 if cut_layer is None else cut_layer
        if not 1 <= self.cut_layer <= cuts:
            raise ValueError(f"cut_layer = {cut_layer}, allowed: 1..{cuts}")

    def allocate(self, state: RoundState, selected: NDArray[np.bool_], aggregation_ratio: float) -> Decision:
        """Equal shares at the fixed cut layer."""
        return equal_shares(state, self.cut_layer, selected, aggregation_ratio)
