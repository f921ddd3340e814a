"""The paper's descent: subchannels, power and cut layer in turn, until the round latency no longer changes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.clusters import clusters_for
from splitgym.allocation.power import control_power
from splitgym.allocation.shares import equal_shares
from splitgym.allocation.subchannels import greedy_subchannels
from splitgym.rounds import Decision, RoundState
from splitgym.timing import round_cost

Bools = NDArray[np.bool_]


class Step(NamedTuple):
    """One step of the descent."""

    block: str
    """"start", "allocation" (subchannels and power) or "cut"."""
    decision: Decision
    participants: int
    """How many clients are expected to take part."""
    latency_s: float
    """Expected round latency after the step."""

    def better_than(self, other: "Step") -> bool:
        """Whether more clients take part, or as many in less time.

        A round that leaves clients out at the timeout may be short, but does not do what was decided.
        """
        return (-self.participants, self.latency_s) < (-other.participants, other.latency_s)


def allocate(state: RoundState, cut_layer: int, selected: Bools, aggregation_ratio: float) -> Decision:
    """Greedy subchannels, then exact power control, for a given cut layer, selection and aggregation ratio.

    Subchannels and powers are those of all clients side by side; where clusters take turns they are formed, too.

    Args:
        state: Of one world, as the scheduler believes it.
        cut_layer: 1..L-1.
        selected: [C]; clients that are not available get nothing.
        aggregation_ratio: phi.
    """
    assignment = greedy_subchannels(state, cut_layer, selected & state.available, aggregation_ratio)
    psd = control_power(state, cut_layer, assignment, aggregation_ratio)
    cluster = clusters_for(state, cut_layer, selected, aggregation_ratio)
    return Decision(cut_layer, assignment, psd, selected.copy(), aggregation_ratio, cluster)


def best_cut(state: RoundState, decision: Decision) -> Step:
    """The decision with the best cut layer, by enumeration: most clients take part, then the shortest round.

    Args:
        state: Of one world, as the scheduler believes it.
        decision: Of one world; its cut layer does not matter.
    """
    cuts = range(1, state.system.cut_layers + 1)
    candidates = [replace(decision, cut_layer=cut) for cut in cuts]
    cost = round_cost(state.repeat(len(cuts)), Decision.stack(candidates))
    participants = cost.participants.sum(1)
    best = int(np.lexsort((cost.latency_s, -participants))[0])
    return Step("cut", candidates[best], int(participants[best]), float(cost.latency_s[best]))


def descent_steps(
    state: RoundState, selected: Bools, aggregation_ratio: float, tolerance: float = 1e-6
) -> Iterator[Step]:
    """The steps of the descent; the latency never increases while the number of participants stays the same.

    Blocks in turn: subchannels and power for the cut layer, then the cut layer for these; a step that is no better is
    not taken. It ends when a turn gains less than `tolerance`, relative. Descents by blocks get stuck where they start,
    so it starts from the best of: subchannels and power for each cut layer, equal shares at their best one.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] who shall take part.
        aggregation_ratio: phi.
        tolerance: eps of the paper, relative to the latency.
    """
    shares = replace(equal_shares(state, 1, selected & state.available, aggregation_ratio), selected=selected.copy())
    now = best_cut(state, shares)
    for cut in range(1, state.system.cut_layers + 1):
        step = _allocation(state, replace(shares, cut_layer=cut))
        now = step if step.better_than(now) else now
    now = now._replace(block="start")
    yield now
    while True:
        before = now
        for block in (_allocation, best_cut):
            step = block(state, now.decision)
            now = step if step.better_than(now) else now._replace(block=step.block)
            yield now
        gained = before.latency_s - now.latency_s
        if now.participants == before.participants and gained <= tolerance * before.latency_s:
            return


def _allocation(state: RoundState, decision: Decision) -> Step:
    """Subchannels and powers anew for the decision's cut layer, selection and aggregation ratio."""
    allocated = allocate(state, decision.cut_layer, decision.selected, decision.aggregation_ratio)
    cost = round_cost(state, allocated)
    return Step("allocation", allocated, int(cost.participants.sum()), float(cost.latency_s))


def descend(state: RoundState, selected: Bools, aggregation_ratio: float) -> Decision:
    """The decision at which the paper's descent ends (see `descent_steps`).

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] who shall take part.
        aggregation_ratio: phi.
    """
    *_, last = descent_steps(state, selected, aggregation_ratio)
    return last.decision
