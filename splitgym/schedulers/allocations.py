"""Allocations by name: the descent, the ablations of its paper, and simple rules that assign subchannels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from splitgym.allocation.baselines.allocators import (
    SubchannelRule,
    assign_at_best_cut,
    assign_evenly,
    at_random,
    in_index_order,
    proportional_fair,
    round_robin,
    strongest_signal,
)
from splitgym.allocation.baselines.block_coordinate import paper_descend
from splitgym.allocation.descent.cuts_by_client import descend_cuts
from splitgym.allocation.descent.descent import descend
from splitgym.allocation.legalise import plan_in_flight
from splitgym.arrays import Bools
from splitgym.frameworks.phases import Access
from splitgym.parts import Parts
from splitgym.types import Decision, Plan, RoundState
from splitgym.types.memory import fitting_cuts, served_clients


@dataclass(frozen=True)
class Allocation:
    """How cut layer, subchannels and powers of a round are found."""

    cut_layer: int | Literal["best", "random"] = "best"
    """Last unit on the client, 1..L-1; "best": with the shortest round; "random": with the same probability all
    for which most of the clients have the memory."""
    assign: SubchannelRule | Literal["best", "random"] = "best"
    """Rule that assigns subchannels; "best": the descent's choice; "random": at random, at least one each."""
    power: Literal["control", "even"] = "control"
    """Exact power control, or the same power for every client, spread evenly.

    Subchannels that a rule assigns have even powers where clients have slots.
    """
    search: bool = True
    """Local search after the greedy; False: the descent as the paper has it, block by block."""

    def __call__(
        self, state: RoundState, selected: Bools, aggregation_ratio: float, rng: np.random.Generator
    ) -> Decision:
        """The decision for a selection.

        Args:
            state: Of one world, as the scheduler believes it.
            selected: [C] which clients shall participate.
            aggregation_ratio: phi.
            rng: Draws what is random.
        """
        cut_layer = self._cut_layer(state, selected, rng)
        if self.assign == "best":
            if not self.search and cut_layer is None:
                return paper_descend(state, selected, aggregation_ratio)
            rules = {"power": self.power, "search": self.search}
            return descend(state, selected, aggregation_ratio, cut_layer=cut_layer, **rules)
        rule: SubchannelRule = partial(at_random, rng=rng) if self.assign == "random" else self.assign
        if self.power == "control" and state.system.program.access is Access.PARALLEL:
            # Who lacks the memory for a cut that is held shall have no part of the band.
            held = None if cut_layer is None else Plan(cut_layer, aggregation_ratio)
            assignment = rule(state, selected if held is None else served_clients(state, held, selected))
            return descend(state, selected, aggregation_ratio, cut_layer=cut_layer, assignment=assignment)
        if cut_layer is None:
            return assign_at_best_cut(state, selected, aggregation_ratio, rule)
        return assign_evenly(state, Plan(cut_layer, aggregation_ratio), selected, rule)

    def _cut_layer(self, state: RoundState, selected: Bools, rng: np.random.Generator) -> int | None:
        if state.in_flight.any() and not state.system.program.plans.cut_by_client:
            # It moves only while nothing is in flight.
            return int(plan_in_flight(Plan(1), state).cut_layer)
        if held := state.held_cut_layer:
            return int(held)
        if self.cut_layer == "random":
            cuts = fitting_cuts(state, selected)
            return int(cuts[rng.integers(len(cuts))])
        return None if self.cut_layer == "best" else self.cut_layer


def exact_cuts(state: RoundState, selected: Bools, aggregation_ratio: float, rng: np.random.Generator) -> Decision:
    """The descent with the best cut layer of each client, see `splitgym.allocation.descend_cuts`."""
    return descend_cuts(state, selected, aggregation_ratio)


Allocate = Callable[[RoundState, Bools, float, np.random.Generator], Decision]
"""What is called as `Allocation` is."""

ALLOCATIONS: Parts[Allocate] = Parts(
    "allocation",
    callable,
    {
        "descent": Allocation(),
        "paper-greedy": Allocation(search=False),
        "exact-cuts": exact_cuts,
        "ablation-a": Allocation(cut_layer="random", assign="random", power="even"),
        "ablation-b": Allocation(cut_layer="random"),
        "ablation-c": Allocation(assign=strongest_signal),
        "ablation-c-random": Allocation(assign="random"),
        "ablation-d": Allocation(power="even"),
        "equal-shares": Allocation(assign=in_index_order, power="even"),
        "round-robin": Allocation(assign=round_robin, power="even"),
        "received-signal-strength": Allocation(assign=strongest_signal, power="even"),
        "proportional-fair": Allocation(assign=proportional_fair, power="even"),
        "fixed": Allocation(cut_layer=1, assign=in_index_order, power="even"),
    },
)
"""The descent is e) of the ablations in arXiv 2303.15991; of equal shares and all below only the cut is the best."""
