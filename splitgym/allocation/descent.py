"""The paper's descent: subchannels, power and cut layer in turn, until the round latency no longer changes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    latency_s: float
    """Expected round latency after the step."""


def allocate(state: RoundState, cut_layer: int, selected: Bools, aggregation_ratio: float) -> Decision:
    """Greedy subchannels, then exact power control, for a given cut layer, selection and aggregation ratio.

    Args:
        state: Of one world, as the scheduler believes it.
        cut_layer: 1..L-1.
        selected: [C]; clients that are not available get nothing.
        aggregation_ratio: phi.
    """
    assignment = greedy_subchannels(state, cut_layer, selected & state.available, aggregation_ratio)
    psd = control_power(state, cut_layer, assignment, aggregation_ratio)
    return Decision(cut_layer, assignment, psd, selected.copy(), aggregation_ratio)


def best_cut(state: RoundState, decision: Decision) -> tuple[Decision, float]:
    """The decision with the cut layer of least expected latency, by enumeration, and that latency (s)."""
    cuts = np.arange(1, state.system.cut_layers + 1)
    candidates = Decision.stack([replace(decision, cut_layer=cut) for cut in cuts])
    latency = round_cost(state.repeat(len(cuts)), candidates).latency_s
    best = int(np.argmin(latency))
    return replace(decision, cut_layer=int(cuts[best])), float(latency[best])


def descent_steps(
    state: RoundState, selected: Bools, aggregation_ratio: float, tolerance: float = 1e-6
) -> Iterator[Step]:
    """The steps of the descent; their latency never increases.

    It starts from equal shares at their best cut layer. Then in turn: subchannels and power for the cut layer, and
    the cut layer for these; a step that would not shorten the round is not taken. It ends when a turn gains less than
    `tolerance`, relative.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] who shall take part.
        aggregation_ratio: phi.
        tolerance: eps of the paper, relative to the latency.
    """
    decision, latency = best_cut(state, equal_shares(state, 1, selected & state.available, aggregation_ratio))
    decision = replace(decision, selected=selected.copy())
    yield Step("start", decision, latency)
    while True:
        before = latency
        allocated = allocate(state, decision.cut_layer, selected, aggregation_ratio)
        allocated_latency = float(round_cost(state, allocated).latency_s)
        if allocated_latency < latency:
            decision, latency = allocated, allocated_latency
        yield Step("allocation", decision, latency)
        moved, moved_latency = best_cut(state, decision)
        if moved_latency < latency:
            decision, latency = moved, moved_latency
        yield Step("cut", decision, latency)
        if before - latency <= tolerance * before:
            return


def descend(state: RoundState, selected: Bools, aggregation_ratio: float) -> Decision:
    """The decision at which the paper's descent ends (see `descent_steps`).

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] who shall take part.
        aggregation_ratio: phi.
    """
    *_, last = descent_steps(state, selected, aggregation_ratio)
    return last.decision
