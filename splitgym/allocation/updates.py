"""Subchannels and powers for an update of an asynchronous framework."""

from dataclasses import replace
from typing import Any

import numpy as np

from splitgym.allocation.baselines.allocators import proportional_fair
from splitgym.allocation.descent.descent import allocate_unchecked
from splitgym.allocation.even_split import even_psd
from splitgym.arrays import Bools
from splitgym.frameworks.memory import EVERYBODY
from splitgym.types import Decision, Plan, RoundState


def allocate_update_unchecked(state: RoundState, plan: Plan, selected: Bools, quorum: Any = 0) -> Decision:
    """Subchannels and powers for clients that need them, by what the update waits for.

    If it waits for all of them, and the server has the memory for all, they should be ready at the same time: that is a
    round, with the descent's band. If it takes the first K, those that are fast should not have to wait for the others:
    proportionally fair shares, powers even. With a synchronous framework it is the descent.

    Args:
        state: Of N worlds, as the scheduler believes it.
        plan: Of N worlds: how clients train.
        selected: [N, C] clients that need subchannels, see `RoundState.to_serve`.
        quorum: [N] K, or one number; 0: that of the scenario.
    """
    asynchrony = state.system.asynchrony
    if asynchrony is None:
        return allocate_unchecked(state, plan, selected)
    wanted = asynchrony.quorum_of(quorum, len(selected))
    coming = (selected & state.available).sum(1) + (state.delivered & state.available).sum(1)
    waits = ((wanted == 0) | (wanted >= coming)) & (_most_at_once(state, plan) >= coming)
    decision = allocate_unchecked(state, plan, selected & waits[:, None])
    assignment, psd = decision.assignment.copy(), decision.power_w_per_hz.copy()
    for n in np.flatnonzero(~waits):
        one = state.world(int(n))
        assignment[n] = proportional_fair(one, selected[n])
        psd[n] = even_psd(one, assignment[n])
    return replace(decision, assignment=assignment, power_w_per_hz=psd, selected=selected.copy())


def _most_at_once(state: RoundState, plan: Plan) -> Any:
    """[N] clients that the server has the memory to serve in an update, or a number."""
    memory = state.system.memory
    return EVERYBODY if memory is None else memory.most_clients[plan.indices(state)].min(-1)
