"""Who takes part if every client is worth something: the set that is worth most for the time that its round takes."""

import numpy as np

from splitgym.allocation.descent.descent import descent_under
from splitgym.allocation.workload import own_seconds
from splitgym.arrays import Bools, Floats, Ints
from splitgym.types import Plan, RoundState
from splitgym.types.legal import check_arguments, check_array, check_range

MOST = 1e6
"""Greatest worth and patience."""
ALL_SIZES = 16
"""Sets of up to so many clients are all looked at; of larger ones every size that is a fifth larger."""


def worth_most_first(worth: Floats, seconds: Floats) -> Ints:
    """[..., C] order by worth per second; among those who need no seconds by worth; then by index."""
    per_second = np.divide(worth, seconds, out=np.full(worth.shape, np.inf), where=seconds > 0)
    return np.lexsort((-worth, -per_second), axis=-1)


def worth_most(state: RoundState, worth: Floats, patience: Floats, plan: Plan) -> Bools:
    """[N, C] the sets S of the largest sum_{i in S} worth_i / T(S)^patience, T the expected latency of their round.

    For every size it looks at the clients of the largest worth_i / t_i^patience, t their own seconds (see
    `own_seconds`); a set of which somebody is left out does not count. With patience 1 and the worth of `Unified` it is
    that rule, the cut layer held.

    Args:
        state: Of N worlds, as the scheduler believes it.
        worth: [N, C], 0 to 1e6; who is worth nothing is left out.
        patience: [N] exponent of the latency, 0 to 1e6; 0: everybody who is worth something.
        plan: Of N worlds: how clients train.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, one_world=False, plan=plan)
    shape = state.available.shape
    check_range("worth", check_array("worth", worth, "iuf", shape), 0, MOST)
    check_range("patience", check_array("patience", patience, "iuf", shape[:1]), 0, MOST)
    return worth_most_unchecked(state, worth, patience, plan)


def worth_most_unchecked(state: RoundState, worth: Floats, patience: Floats, plan: Plan) -> Bools:
    """`worth_most` of arguments that are known to fit."""
    worth = np.where(state.available, worth, 0.0)
    counts = (worth > 0).sum(-1)
    seconds = own_seconds(state, plan, np.maximum(counts, 1))
    order = worth_most_first(worth, seconds ** patience[:, None])
    place = np.argsort(order, axis=-1)
    best, most = np.zeros(worth.shape, bool), np.full(len(worth), -np.inf)
    for size in sizes(int(counts.max(initial=0))):
        chosen = (place < size) & (worth > 0)
        found = descent_under(state, plan, chosen, search=False)
        value = np.where(chosen, worth, 0.0).sum(-1) / found.latency_s**patience
        better = (found.participants == chosen.sum(-1)) & (value > most)
        best[better], most[better] = chosen[better], value[better]
    nobody = (counts > 0) & ~best.any(-1)
    best[nobody] = place[nobody] == 0
    return best


def sizes(clients: int) -> Ints:
    """Numbers of clients to look at, the last of them `clients`."""
    grid = np.arange(1, clients + 1)
    larger = np.rint(ALL_SIZES * 1.2 ** np.arange(1, 64)).astype(np.int64)
    return grid[(grid <= ALL_SIZES) | np.isin(grid, larger) | (grid == clients)]
