"""Clocks of clients that would wait: as slow as the round allows, by a closed form.

Between two phases that are common to all a client computes for c seconds and sends and receives for o, and the common
phase that follows begins when the last one is ready, after e seconds. With the fraction x of its clock the client is
ready after c / x + o, so that x = c / (e - o) is enough. There is one clock for the whole round: the largest x of its
parts. The round takes as long as before, and a cycle costs x^2 of the energy.

With an asynchronous framework those of the update that the server waits for are ready with the last of them; the others
have time that is their next updates', and do not slow down.
"""

from dataclasses import replace

import numpy as np

from splitgym.allocation.legalise import with_flights
from splitgym.arrays import Bools, Floats
from splitgym.frameworks.phases import Access
from splitgym.frameworks.resources import Resource
from splitgym.timing.cost import RoundCost, round_cost_unchecked
from splitgym.types import Decision, RoundState
from splitgym.types.legal import check_decision

ROUNDING = 1e-12
"""Part of the time since the round's start by which a client is ready earlier than it has to be."""


def slack_clock(state: RoundState, decision: Decision) -> Decision:
    """The decision with the slowest clocks that make nobody wait longer, as the scheduler believes.

    Where shares are lent on demand it stays as it is: who computes longer might be lent less.

    Args:
        state: Of one world or N.
        decision: Of as many; its clocks do not matter.

    Raises:
        InputError: a field of the decision does not fit the state; the message names it.
    """
    check_decision(decision, state)
    return decision if state.system.on_demand else _slowed(state, decision)


def _slowed(state: RoundState, decision: Decision) -> Decision:
    """`slack_clock` with static shares."""
    if state.system.asynchrony is not None:
        return _slowed_for_update(state, decision, state.system.asynchrony.server_row)
    full = replace(decision, clock=np.ones(decision.selected.shape))
    cost = round_cost_unchecked(state, full)
    kind = np.array([Resource.UNICAST, Resource.UPLINK, *state.system.program.resource])
    rows, needed = len(kind), np.zeros(decision.selected.shape)
    first = 0
    for last in (*np.flatnonzero(kind >= Resource.SERVER).tolist(), rows):
        if last > first:
            barrier_s = cost.start_s[..., last, :] if last < rows else _end_s(state, decision, cost)
            busy_s = cost.stop_s[..., first:last, :] - cost.start_s[..., first:last, :]
            computes = kind[first:last] == Resource.CLIENT
            computing_s, others_s = busy_s[..., computes, :].sum(-2), busy_s[..., ~computes, :].sum(-2)
            left_s = barrier_s * (1.0 - ROUNDING) - cost.start_s[..., first, :] - others_s
            fraction = np.divide(
                computing_s, np.maximum(left_s, computing_s), out=np.zeros_like(needed), where=computing_s > 0
            )
            needed = np.maximum(needed, fraction)
        first = last + 1
    return replace(decision, clock=np.where(cost.participants & (needed > 0), needed, 1.0))


def _slowed_for_update(state: RoundState, decision: Decision, server_row: int) -> Decision:
    """`slack_clock` for one update; all that a client does in the step comes before it is at the server."""
    cost = round_cost_unchecked(state, with_flights(replace(decision, clock=np.ones(decision.selected.shape)), state))
    kind = np.array([Resource.UNICAST, Resource.UPLINK, *state.system.program.resource])
    comes = cost.participants & ~state.delivered
    ready_s = np.where(comes, cost.stop_s[..., server_row - 1, :], 0.0)
    busy_s = cost.stop_s - cost.start_s
    computes, communicates = kind == Resource.CLIENT, kind < Resource.SERVER
    computing_s = busy_s[..., computes, :].sum(-2)
    others_s = busy_s[..., communicates & ~computes, :].sum(-2)
    left_s = ready_s.max(-1, keepdims=True) * (1.0 - ROUNDING) - others_s
    slows = comes & (computing_s > 0)
    clock = np.divide(computing_s, np.maximum(left_s, computing_s), out=np.ones_like(left_s), where=slows)
    return replace(decision, clock=clock)


def _end_s(state: RoundState, decision: Decision, cost: RoundCost) -> Floats:
    """[C] or [N, C] when the slot of each client ends, s after the round's start."""
    began: Bools = cost.participants | cost.timed_out
    ready_s = np.where(began, cost.stop_s[..., -1, :], 0.0)
    slot = Access(state.system.program.access).slot_of_clients(decision.cluster)
    together = slot[..., :, None] == slot[..., None, :]
    ends: Floats = np.where(together, ready_s[..., None, :], 0.0).max(-1)
    return ends
