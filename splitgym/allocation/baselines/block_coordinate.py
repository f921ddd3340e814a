"""The paper's descent as it stands there: subchannels, power and cut layer in turn, until the latency stands still.

Its blocks are the two-phase greedy, exact power control and enumeration. `splitgym.allocation.descent.descent` does
better, and faster; this one is what that has to be compared with.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from splitgym.allocation.baselines.allocators import equal_shares
from splitgym.allocation.descent.descent import descent_unchecked, rank
from splitgym.arrays import Bools
from splitgym.inputs import InputError
from splitgym.timing.cost import synchronous_cost
from splitgym.types import Decision, Plan, RoundState, common_plans
from splitgym.types.checks import shown
from splitgym.types.legal import check_arguments, check_decision, check_state


class Step(NamedTuple):
    """One step of the descent."""

    block: str
    """"start", "subchannels", "power" or "cut"."""
    decision: Decision
    participants: int
    """How many clients are expected to take part."""
    latency_s: float
    """Expected round latency after the step."""

    def better_than(self, other: "Step") -> bool:
        """Whether more clients take part, or as many in less time, see `splitgym.allocation.descent.descent.rank`."""
        return rank(self.participants, self.latency_s) < rank(other.participants, other.latency_s)


def best_cut(state: RoundState, decision: Decision) -> Step:
    """The decision with the best cut layer, by enumeration: most clients take part, then the shortest round.

    Where second cuts may be decided, they are enumerated, too.

    Args:
        state: Of one world, as the scheduler believes it.
        decision: Of one world; its cuts do not matter.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_state(state, one_world=True)
    check_decision(replace(decision, cut_layer=1, second_cut=0), state)
    return _best_cut(state, decision)


def _best_cut(state: RoundState, decision: Decision) -> Step:
    """`best_cut` of arguments that are known to fit."""
    plans = common_plans(state.system, float(decision.aggregation_ratio))
    candidates = [replace(decision, cut_layer=plan.cut_layer, second_cut=plan.second_cut) for plan in plans]
    cost = synchronous_cost(state.repeat(len(plans)), Decision.stack(candidates))
    participants = cost.participants.sum(1)
    best = int(np.lexsort((cost.latency_s, -participants))[0])
    return Step("cut", candidates[best], int(participants[best]), float(cost.latency_s[best]))


def descent_steps(
    state: RoundState, selected: Bools, aggregation_ratio: float, tolerance: float = 1e-6
) -> Iterator[Step]:
    """The steps of the paper's descent; the latency never increases while as many clients take part.

    Blocks in turn: subchannels, power for these, cut layer for both; a step that is no better is not taken. It starts
    with equal shares at their best cut layer and ends when a slot gains less than `tolerance`, relative.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate.
        aggregation_ratio: phi.
        tolerance: eps of the paper, relative to the latency, 0..1.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected, aggregation_ratio=aggregation_ratio)
    if not isinstance(tolerance, float | int) or not 0 <= tolerance <= 1:
        raise InputError(f"tolerance = {shown(tolerance)}, allowed: 0..1")
    return _steps(state, selected, aggregation_ratio, tolerance)


def _steps(state: RoundState, selected: Bools, aggregation_ratio: float, tolerance: float) -> Iterator[Step]:
    """`descent_steps` of arguments that are known to fit."""
    shares = replace(
        equal_shares(state, Plan(1, aggregation_ratio), selected & state.available), selected=selected.copy()
    )
    now = _best_cut(state, shares)._replace(block="start")
    yield now
    while True:
        before = now
        for block in ("subchannels", "power", "cut"):
            step = _best_cut(state, now.decision) if block == "cut" else _allocation(state, now.decision, block)
            now = step if step.better_than(now) else now._replace(block=block)
            yield now
        gained = before.latency_s - now.latency_s
        if now.participants == before.participants and not gained > tolerance * before.latency_s:
            return


def _allocation(state: RoundState, decision: Decision, block: str) -> Step:
    """Subchannels by the greedy for the decision's cut layer, with even powers or (block "power") exact power control.

    Exact powers are for the subchannels of the greedy, also where with even powers these were no better than before.
    """
    power = "control" if block == "power" else "even"
    plan = decision.plan._replace(second_cut=None)
    allocated = descent_unchecked(state, decision.selected, plan, search=False, power=power).decision
    cost = synchronous_cost(state, allocated)
    return Step(block, allocated, int(cost.participants.sum()), float(cost.latency_s))


def paper_descend(state: RoundState, selected: Bools, aggregation_ratio: float) -> Decision:
    """The decision at which the paper's descent ends (see `descent_steps`).

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate.
        aggregation_ratio: phi.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    *_, last = descent_steps(state, selected, aggregation_ratio)
    return last.decision
