"""`random`: every part of the decision at random; ablation a) of the paper with random clients."""

import numpy as np

from splitgym.allocation import even_psd
from splitgym.allocation.baselines.allocators import at_random
from splitgym.allocation.legalise import with_legal_ratio
from splitgym.schedulers.scheduler import Heuristic
from splitgym.types import Decision, RoundState


class Random(Heuristic):
    """Random cut layer, clients (each with probability 1/2, at least one), subchannels and phi; the same power for all.

    Draws from the generator of the environment's action space: `env.action_space.seed(seed)` makes it repeatable.
    """

    def decide(self, state: RoundState) -> Decision:
        """Draws a decision.

        Raises:
            ValueError: the state is of another scenario or framework than the environment.
        """
        self.expect_own_system(state)
        rng = self.env.action_space.np_random
        selected = state.available & (rng.random(len(state.available)) < 0.5)
        if state.available.any() and not selected.any():
            selected[rng.choice(np.flatnonzero(state.available))] = True
        selected = state.to_serve(selected)
        assignment = at_random(state, selected, rng)
        asynchrony = state.system.asynchrony
        decides_quorum = asynchrony is not None and asynchrony.decides_quorum
        decision = Decision(
            cut_layer=int(rng.integers(1, state.system.cut_layers + 1)),
            assignment=assignment,
            power_w_per_hz=even_psd(state, assignment),
            selected=selected,
            aggregation_ratio=state.ratio(float(rng.choice(self.env.aggregation_levels))),
            codec=int(rng.integers(len(state.system.codecs))) if len(state.system.codecs) > 1 else 0,
            quorum=int(rng.integers(1, len(selected) + 1)) if decides_quorum else 0,
        )
        return with_legal_ratio(decision, state)
