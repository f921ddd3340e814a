"""Clients with weights: the set whose utility, sum of weights over a power of its latency, is largest."""

from functools import cache

import numpy as np

from splitgym.allocation.descent.descent import descent_under, holds_plan
from splitgym.allocation.descent.worlds import Utility
from splitgym.allocation.workload import own_seconds
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.types import Decision, Plan, RoundState
from splitgym.types.checks import check_array, check_range
from splitgym.types.legal import check_arguments
from splitgym.types.memory import able_clients, served_clients

MOST = 1e6
"""Greatest weight and latency exponent."""
ALL_SIZES = 16
"""Sets of up to so many clients are all looked at; of larger ones every size that is a fifth larger."""


def by_utility_per_second(weight: Floats, seconds: Floats) -> Ints:
    """[..., C] order by weight per second; among clients that need no seconds by weight; then by index."""
    per_second = np.divide(weight, seconds, out=np.full(weight.shape, np.inf), where=seconds > 0)
    return np.lexsort((-weight, -per_second), axis=-1)


def best_utility(state: RoundState, weight: Floats, latency_exponent: Floats, plan: Plan) -> Bools:
    """[N, C] the sets S with the largest utility sum_{i in S} w_i / T(S)^p, T the expected latency of their round.

    For every size it looks at the clients with the largest w_i / t_i^p, t their own seconds (see `own_seconds`). A set
    of which a client is dropped does not count. With p = 1 and the weights of `Unified` it is that rule, the cut layer
    held.

    Args:
        state: Of N worlds, as the scheduler believes it.
        weight: [N, C] w, 0 to 1e6; clients of weight 0 are not selected.
        latency_exponent: [N] p, 0 to 1e6; 0: all clients with a weight.
        plan: Of N worlds: how clients train.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, one_world=False, plan=plan)
    shape = state.available.shape
    check_range("weight", check_array("weight", weight, "iuf", shape), 0, MOST)
    check_range("latency_exponent", check_array("latency_exponent", latency_exponent, "iuf", shape[:1]), 0, MOST)
    return best_utility_unchecked(state, weight, latency_exponent, plan)


def best_utility_unchecked(state: RoundState, weight: Floats, latency_exponent: Floats, plan: Plan) -> Bools:
    """`best_utility` of arguments that are known to fit."""
    return _allocate_best(state, weight, latency_exponent, plan, search=False).selected


def allocate_best_unchecked(state: RoundState, weight: Floats, latency_exponent: Floats, plan: Plan) -> Decision:
    """The decision that the sets of `best_utility` participate, with what `allocate` gives them; arguments as there."""
    return _allocate_best(state, weight, latency_exponent, plan, search=True)


def _allocate_best(state: RoundState, weight: Floats, latency_exponent: Floats, plan: Plan, search: bool) -> Decision:
    """The sets of `best_utility`, and what the descent gives them, with or without swaps."""
    able = able_clients(state, plan, weight > 0)
    if np.ndim(plan.cut_layer) == weight.ndim or np.ndim(plan.codec) == weight.ndim:
        able = served_clients(state, plan, able)
    weight = np.where(able, weight, 0.0).astype(np.float64, order="C")
    latency_exponent = np.ascontiguousarray(latency_exponent, np.float64)
    if state.system.program.access is Access.PARALLEL and holds_plan(state, plan):
        utility = Utility(weight, latency_exponent, sizes(weight.shape[1]))
        return descent_under(state, plan, weight > 0, search=search, utility=utility).decision
    chosen = _best_by_size(state, weight, latency_exponent, plan)
    return descent_under(state, plan, chosen, search=search).decision


def _best_by_size(state: RoundState, weight: Floats, latency_exponent: Floats, plan: Plan) -> Bools:
    """[N, C] the best sets, by a descent in all worlds for each size."""
    counts = (weight > 0).sum(-1)
    seconds = own_seconds(state, plan, np.maximum(counts, 1))
    place = np.argsort(by_utility_per_second(weight, seconds ** latency_exponent[:, None]), axis=-1)
    best, most = np.zeros(weight.shape, bool), np.full(len(weight), -np.inf)
    for size in sizes(int(counts.max(initial=0))):
        chosen = (place < size) & (weight > 0)
        found = descent_under(state, plan, chosen, search=False)
        value = np.where(chosen, weight, 0.0).sum(-1) / found.latency_s**latency_exponent
        better = (found.participants == chosen.sum(-1)) & (value > most)
        best[better], most[better] = chosen[better], value[better]
    nobody = (counts > 0) & ~best.any(-1)
    best[nobody] = place[nobody] == 0
    return best


@cache
def sizes(clients: int) -> Ints:
    """Numbers of clients to look at, the last of them `clients`."""
    grid = np.arange(1, clients + 1)
    larger = np.rint(ALL_SIZES * 1.2 ** np.arange(1, 64)).astype(np.int64)
    return grid[(grid <= ALL_SIZES) | np.isin(grid, larger) | (grid == clients)]
