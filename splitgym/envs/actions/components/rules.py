"""A rule, how many clients it selects, and the cut layer: one number of one entry."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.selection.rules import FirstK, Prospect
from splitgym.arrays import Bools, Ints
from splitgym.envs.actions.components.component import Discrete, Said
from splitgym.types import Decision, Plan, RoundState, SystemParameters


class RuleNumber(Discrete):
    """((index of the rule) C + k - 1) (L - 1) + cut layer - 1, where k clients are selected.

    Args:
        rules: Classes of rules, in order.
        clients: C.
        system: Says which cut layers there are.
        aggregation_ratio: phi of every round.
    """

    def __init__(
        self, rules: Sequence[type[FirstK]], clients: int, system: SystemParameters, aggregation_ratio: float
    ) -> None:
        self._rules, self._shape = rules, (len(rules), clients, system.cut_layers)
        self._ratio, self._memory = aggregation_ratio, system.memory
        self._by_client = system.program.plans.cut_by_client
        super().__init__((int(np.prod(self._shape)),))

    def names(self) -> tuple[str, ...]:
        """One entry."""
        return ("rule",)

    def read(self, entries: NDArray[Any]) -> Said:
        """`rule` and `clients`, [N]; `cut_layer`, [N], or [N, C] the same for all; `aggregation_ratio`, [N]."""
        rule, clients, cut = np.unravel_index(entries[:, 0], self._shape)
        cut_layer = cut.astype(np.int64) + 1
        if self._by_client:
            cut_layer = np.tile(cut_layer[:, None], self._shape[1])
        ratio = np.full(len(entries), self._ratio)
        return {"rule": rule, "clients": clients + 1, "cut_layer": cut_layer, "aggregation_ratio": ratio}

    def write(self, decision: Decision, state: RoundState) -> Ints:
        """As many clients by the rule whose set shares the most with the decision's; of equal rules the first."""
        count = max(int(decision.selected.sum()), 1)
        chosen = [self.selected(rule, count, decision.plan, state) for rule in range(len(self._rules))]
        shared = [(selected & decision.selected).sum() for selected in chosen]
        cut = int(np.max(decision.cut_layer)) - 1
        return np.array([np.ravel_multi_index((int(np.argmax(shared)), count - 1, cut), self._shape)])

    def selected(self, rule: int, clients: int, plan: Plan, state: RoundState) -> Bools:
        """[C] whom a rule selects in one world.

        Args:
            rule: Its index.
            clients: How many.
            plan: How they will train.
            state: Of the world.
        """
        count = len(state.available)
        nobody = np.full(state.system.subchannels, count)

        def allocate(state: RoundState, selected: Bools, aggregation_ratio: float) -> Decision:
            """Rules of `FirstK` look at the plan alone."""
            return Decision.under(plan, nobody, np.zeros(len(nobody)), selected)

        # None of these rules draws.
        prospect = Prospect(state, float(plan.aggregation_ratio), allocate, np.random.default_rng(0))
        return self._rules[rule](clients)(prospect)

    def masks(self, available: Bools, deepest: Ints) -> Bools:
        """More clients than are available select the same; so do cut layers that no client can hold, nobody."""
        _, clients, cuts = self._shape
        few = np.arange(1, clients + 1) <= np.maximum(available.sum(1, keepdims=True), 1)
        useful = np.ones((len(available), cuts), bool)
        if self._memory is not None:
            held = np.any(self._memory.cuts_until(deepest) & available[..., None], axis=1)
            useful = held | ~held.any(-1, keepdims=True)
        masks = np.broadcast_to((few[:, :, None] & useful[:, None])[:, None], (len(available), *self._shape))
        return masks.reshape(len(available), -1)
