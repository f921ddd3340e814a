"""`random`: every part of the decision at random; ablation a) of the paper with random clients."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitgym.allocation import even_psd
from splitgym.allocation.baselines.allocators import at_random
from splitgym.allocation.legalise import with_legal_ratio, with_memory
from splitgym.frameworks.exchange import WITH_MEAN, WITHOUT_MEAN
from splitgym.schedulers.scheduler import Heuristic
from splitgym.types import Decision, RoundState
from splitgym.types.memory import clients_with_memory, fitting_cuts


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
        able = state.available & clients_with_memory(state)
        selected = able & (rng.random(len(able)) < 0.5)
        if able.any() and not selected.any():
            selected[rng.choice(np.flatnonzero(able))] = True
        cuts = fitting_cuts(state, selected)
        selected = state.to_serve(selected)
        assignment = at_random(state, selected, rng)
        asynchrony = state.system.asynchrony
        decides_quorum = asynchrony is not None and asynchrony.decides_quorum
        decision = Decision(
            cut_layer=int(cuts[rng.integers(len(cuts))]),
            assignment=assignment,
            power_w_per_hz=even_psd(state, assignment),
            selected=selected,
            aggregation_ratio=state.ratio(float(rng.choice(self.env.aggregation_levels))),
            codec=_one_of(state.system.codecs, rng),
            precision=_one_of(state.system.precisions, rng),
            averaging=int(rng.integers(WITHOUT_MEAN, WITH_MEAN + 1)) if state.system.averaging_decided else 0,
            batch_size=_size(state.system.batch_sizes, rng),
            placement=_one_of(range(state.system.program.plans.placements), rng),
            quorum=int(rng.integers(1, len(selected) + 1)) if decides_quorum else 0,
        )
        return with_memory(with_legal_ratio(decision, state), state)


def _size(sizes: Sequence[int], rng: np.random.Generator) -> int:
    """One of those that are listed, as `_one_of`; 0 where nobody decides it."""
    return sizes[_one_of(sizes, rng)] if len(sizes) > 1 else 0


def _one_of(choices: Sequence[Any], rng: np.random.Generator) -> int:
    """An index, all with the same probability; nothing is drawn where there is one choice only."""
    return int(rng.integers(len(choices))) if len(choices) > 1 else 0
