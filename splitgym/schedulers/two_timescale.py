"""`two-timescale`: CPSL's scheme, the cut layer slowly by sample average, clusters and spectrum in every round."""

from collections import deque
from typing import Any

import gymnasium as gym

from splitgym.allocation.baselines.two_timescale import fast_decision, slow_cut
from splitgym.allocation.legalise import legal_ratio, with_memory
from splitgym.schedulers.scheduler import Heuristic
from splitgym.types import Decision, Plan, RoundState


class TwoTimescale(Heuristic):
    """Keeps the cut layer for a period, then takes the best one on average over the last states (Wu et al. 2023).

    In every round clusters are formed by Gibbs sampling, with a framework whose clusters have slots, and subchannels
    and powers by the descent. Draws from the generator of the environment's action space.

    Args:
        env: The environment.
        period: Rounds for which the cut layer is kept.
        samples: States that are remembered for the sample average.
        swaps: Swaps of clients that are proposed in a round.

    Raises:
        ValueError: an option is not allowed; the message names it.
    """

    def __init__(self, env: gym.Env[Any, Any], period: int = 20, samples: int = 20, swaps: int = 100) -> None:
        super().__init__(env)
        for name, value in (("period", period), ("samples", samples), ("swaps", swaps)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}, allowed: whole numbers from 1")
        self._period, self._swaps = period, swaps
        self._samples: deque[RoundState] = deque(maxlen=samples)
        self._cut_layer = 1

    def decide(self, state: RoundState) -> Decision:
        """The cut layer of the slow scale, chosen at the start of a period; the rest for this round.

        Raises:
            ValueError: the state is not the present one of the environment, whose states are remembered.
        """
        self.expect_own_state(state)
        if state.round == 0:
            self._samples.clear()
        self._samples.append(state)
        ratio = legal_ratio(Plan(1, self.aggregation_ratio), state.available, state)
        if state.round % self._period == 0:
            self._cut_layer = slow_cut(self._samples, ratio)
        rng = self.env.action_space.np_random
        everybody = state.to_serve(state.available.copy())
        decision = fast_decision(state, Plan(self._cut_layer, ratio), everybody, rng, self._swaps)
        return with_memory(decision, state)
