"""A cut layer of each client's own: the exact choice for given links, and the descent around it.

With phi = 0 a round in which clients start together takes

    T = max_i a_i(j_i) + sum_i s_i(j_i) + max_i c_i(j_i) + what does not depend on the cuts

where a_i is what a client does by itself until the server has its rows, s_i what the server does for it, and c_i what
follows, each by its own cut layer j_i. For each pair of limits of the two maxima every client takes, among the cut
layers that keep both, the one with the least s_i. Limits worth a look are the values that a and c take, at most
C (L - 1) each.

A model that goes to all clients at once costs what the deepest cut does: that limit is enumerated around the others.
"""

from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import numpy as np

from splitgym.allocation.bounds.cut_problem import rates_of_owners, seconds_for
from splitgym.allocation.descent.descent import Descent, descent, descent_unchecked, rank
from splitgym.allocation.link_budget import own_links
from splitgym.allocation.workload import own_workload
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.timing.cost import synchronous_cost
from splitgym.types import Decision, RoundState
from splitgym.types.memory import able_clients

MOST_STEPS = 20
"""Of the descent: each ends a little earlier than the one before, and few are enough."""


class Costs(NamedTuple):
    """Seconds of n clients at each of J cut layers, for given links; endless for who lacks the memory."""

    before_s: Floats
    """[n, J] a: alone, until the server has the rows."""
    served_s: Floats
    """[n, J] s: at the server."""
    after_s: Floats
    """[n, J] c: alone, behind that."""
    once_s: Floats
    """[J] what all wait for, if no cut is deeper."""


def exact_cuts(costs: Costs) -> Ints:
    """[n] the cut layers, 1..J, of the shortest round.

    Of several that take as long those are taken that the search meets first, the same for equal clients.
    """
    best, best_s = np.ones(len(costs.before_s), np.int64), inf
    deepest = np.flatnonzero(np.diff(costs.once_s, append=inf))
    for last in deepest:
        before, served, after = (seconds[:, : last + 1] for seconds in costs[:3])
        cuts, seconds = _within(before, served, after)
        if costs.once_s[last] + seconds < best_s:
            best, best_s = cuts, costs.once_s[last] + seconds
    return best


def _within(before: Floats, served: Floats, after: Floats) -> tuple[Ints, float]:
    """The best cut layers, and their seconds without what is done once; arguments are the first fields of `Costs`."""
    limits = np.unique(after)[:, None, None]
    # No round is shorter than its first limit and, of the rest, the best of each by itself.
    rest_s = served.min(1).sum() + after.min(1).max()
    best, best_s = np.ones(len(before), np.int64), inf
    for first in np.unique(before):
        if first < before.min(1).max():
            continue
        if first + rest_s >= best_s:
            break
        least = np.where((before <= first) & (after <= limits), served, inf)
        choice = least.argmin(2)
        seconds = first + np.take_along_axis(least, choice[..., None], 2)[..., 0].sum(1) + limits[:, 0, 0]
        found = int(seconds.argmin())
        if seconds[found] < best_s:
            best, best_s = choice[found] + 1, float(seconds[found])
    return best, best_s


def cut_costs(state: RoundState, decision: Decision, served: Ints) -> Costs:
    """What cut layers cost some clients ([n] indices) with the subchannels and powers of a decision.

    Raises:
        ValueError: the round has another form than the module's text: more than two parts in which clients are alone.
    """
    links = own_links(state)
    psd, slowest_band = decision.power_w_per_hz, links.band[served].min(keepdims=True)
    uplink, downlink = rates_of_owners(decision.assignment, psd, links.hz, links.floor, links.downlink)
    cuts = range(1, state.system.cut_layers + 1)
    alone = np.zeros((2, len(served), len(cuts)))
    each, once = np.zeros((len(served), len(cuts))), np.zeros(len(cuts))
    for column, cut in enumerate(cuts):
        at_cut = decision.plan._replace(cut_layer=cut)
        workload = own_workload(state, at_cut)
        segments = int(workload.segments[0])
        if segments > len(alone):
            raise ValueError(f"the round has {segments} parts in which clients are alone, allowed: {len(alone)}")
        up, down = workload.uplink_bits[:segments], workload.downlink_bits[:segments]
        ends = workload.compute_s[:segments] + seconds_for(up, uplink) + seconds_for(down, downlink)
        alone[:segments, :, column] = ends[:, served]
        alone[0, ~able_clients(state, at_cut, state.available)[served], column] = inf
        once_s, of_each, broadcast_bits = workload.common.sum(0)
        each[:, column] = workload.common_s.sum(0)[served] if workload.differs[0] else of_each
        once[column] = once_s + seconds_for(broadcast_bits, slowest_band)[0]
    return Costs(alone[0], each, alone[1], np.maximum.accumulate(once))


def descend_cuts(state: RoundState, selected: Bools, aggregation_ratio: Any) -> Decision:
    """The descent with cut layers of the clients' own: exact cuts for the links, links for the cuts, while that helps.

    It starts at the descent with a common cut. Where a scenario or a framework has a common cut, or phi is above 0, it
    ends there.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate; others keep their units.
        aggregation_ratio: phi.
    """
    best = descent(state, selected, aggregation_ratio)
    if not state.system.program.plans.cut_by_client or aggregation_ratio > 0:
        return best.decision
    for _ in range(MOST_STEPS):
        found = _step(state, best.decision)
        if found is None or rank(found.participants, found.latency_s) >= rank(best.participants, best.latency_s):
            break
        best = found
    return best.decision


def _step(state: RoundState, decision: Decision) -> Descent | None:
    """Exact cuts with the links of a decision, then links for these; None: nobody takes part."""
    served = np.flatnonzero(synchronous_cost(state, decision).participants)
    if len(served) == 0:
        return None
    if state.system.program.access is Access.SEQUENTIAL:
        cuts = _best_alone(state, decision, served)
    else:
        cuts = exact_cuts(cut_costs(state, decision, served))
    every = np.where(state.client_cut_layer > 0, state.client_cut_layer, cuts.min())
    every[served] = cuts
    selected = decision.selected
    if state.system.memory is not None:
        # Nodes shall have the memory for these, not for others that would be left out all the same.
        selected = np.isin(np.arange(len(every)), served)
    return descent_unchecked(state, selected, decision.plan._replace(cut_layer=every))


def _best_alone(state: RoundState, decision: Decision, served: Ints) -> Ints:
    """[n] the best cut layers where clients go one by one."""
    seconds = []
    for cut in range(1, state.system.cut_layers + 1):
        cost = synchronous_cost(state, replace(decision, cut_layer=cut))
        busy = cost.stop_s - cost.start_s
        able = able_clients(state, decision.plan._replace(cut_layer=cut), state.available)
        seconds.append(np.where(able, busy.sum(0), inf)[served])
    return 1 + np.argmin(seconds, axis=0)
