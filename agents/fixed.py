"""`fixed`: one cut layer for the whole episode, equal shares, everybody."""

from typing import Any

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
        cut_layer: 1..L-1; default: 1, the least work for the clients.

    Raises:
        ValueError: there is no such cut layer.
    """

    def __init__(self, env: gym.Env[Any, Any], cut_layer: int = 1) -> None:
        super().__init__(env)
        if cut_layer not in range(1, self.env.cut_layers + 1):
            raise ValueError(f"cut_layer = {cut_layer!r}, allowed: 1..{self.env.cut_layers}")
        self.cut_layer = int(cut_layer)

    def allocate(self, state: RoundState, selected: NDArray[np.bool_], aggregation_ratio: float) -> Decision:
        """Equal shares at the fixed cut layer."""
        return equal_shares(state, self.cut_layer, selected, aggregation_ratio)
