"""Simple rules that assign subchannels: round robin, max-SNR, proportionally fair, at random.

Each gives every client that is selected and available at least one subchannel, and every subchannel an owner. With
fewer subchannels than clients every client that the rule serves gets one; which these are, the rule says. Where every
station uses all subchannels, that holds at each of them, for the clients that belong to it.
"""

from collections.abc import Callable

import numpy as np

from splitgym.allocation.budget import even_power_w
from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.allocation.even_split import even_psd
from splitgym.allocation.max_snr import assign_max_snr, max_snr_workspace
from splitgym.allocation.own_station import bands
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.timing import round_cost
from splitgym.timing.rates import subchannel_rate
from splitgym.types import Decision, Plan, RoundState, common_plans
from splitgym.types.legal import check_arguments
from splitgym.types.memory import served_clients

SubchannelRule = Callable[[RoundState, Bools], Ints]
"""Assigns the subchannels to the selected [C] clients that are available: [M] owners, -1: unused."""


def _share_out(state: RoundState, selected: Bools, rule: Callable[[Ints, slice], Ints]) -> Ints:
    """[M] owners, of each band by a rule for the clients that may own it, if any, and the band; else -1."""
    owner = np.full(state.system.subchannels, -1)
    for band, members in bands(state):
        clients = np.flatnonzero(selected & state.available & members)
        if len(clients):
            owner[band] = rule(clients, band)
    return owner


def in_index_order(state: RoundState, selected: Bools, first: int = 0) -> Ints:
    """Subchannels in turn, in the order of their indices; with too few of them, those that come first are served.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate; clients that are not available get nothing.
        first: The slot starts with the client at this place among those that are served, modulo their number.

    Returns:
        [M] owner of each subchannel; -1 if there is nobody to serve.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected)

    def in_turn(clients: Ints, band: slice) -> Ints:
        return clients[(first + np.arange(len(state.subchannel_hz[band]))) % len(clients)]

    return _share_out(state, selected, in_turn)


def round_robin(state: RoundState, selected: Bools) -> Ints:
    """Subchannels in turn, beginning with the next client in each round: [M], see `in_index_order`.

    So, with the same selection, everybody is first, and with too few subchannels served, equally often.
    """
    return in_index_order(state, selected, int(state.round))


def strongest_signal(state: RoundState, selected: Bools) -> Ints:
    """Received signal strength: each subchannel to the client with the largest gain on it.

    As long as a client has none, a client with several gives one up: the one that loses the least gain, in dB. With
    fewer subchannels than clients this ends when every client that is served has one.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate; clients that are not available get nothing.

    Returns:
        [M] owner of each subchannel; -1 if there is nobody to serve.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected)

    def by_gain(clients: Ints, band: slice) -> Ints:
        floor = np.ascontiguousarray(1.0 / state.channel_gain[:, band])
        max_snr = max_snr_workspace(*floor.shape)
        assign_max_snr(floor, clients, max_snr)
        return max_snr.owner

    return _share_out(state, selected, by_gain)


def proportional_fair(state: RoundState, selected: Bools) -> Ints:
    """Proportional fairness within the round: each subchannel to the client with the largest r_ik / R_i.

    r_ik is the client's uplink rate on the subchannel with even shares of band and power, R_i the sum of r over what it
    has got so far. Subchannels are assigned in the order of their indices, first to those that have none, among them
    to the one with the largest r_ik; so with too few of them, those are served that are best on the subchannel.
    Unlike the scheduler of Viswanath, Tse and Laroia (2002), whose R_i is an average over time, it remembers nothing.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate; clients that are not available get nothing.

    Returns:
        [M] owner of each subchannel; -1 if there is nobody to serve.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected)
    noise, everybody = state.system.noise_psd_w_per_hz, int((selected & state.available).sum())

    def fairly(clients: Ints, band: slice) -> Ints:
        hz = state.subchannel_hz[band]
        psd = even_power_w(state, everybody) * len(clients) / float(hz.sum())
        owner, served, assigned = np.zeros(len(hz), np.int64), np.zeros(len(clients), bool), np.zeros(len(clients))
        gain = np.ascontiguousarray(state.channel_gain[clients, band])
        _assign_fairly(gain, hz, psd, noise, owner, served, assigned)
        return clients[owner]

    return _share_out(state, selected, fairly)


@kernel(NO_REFCOUNT)
def _assign_fairly(
    gain: Floats, hz: Floats, psd: float, noise: float, owner: Ints, served: Bools, assigned: Floats
) -> None:
    """Fills in the owner [M] of each subchannel among n clients; `gain` is [n, M].

    `served` and `assigned` [n] say whether and at which rate a client has any so far: none.
    """
    clients, subchannels = gain.shape
    for k in range(subchannels):
        everybody = k >= clients
        best, best_metric, best_rate = -1, -1.0, 0.0
        for i in range(clients):
            if served[i] and not everybody:
                continue
            rate = subchannel_rate(hz[k], psd, gain[i, k], noise)
            metric = rate / assigned[i] if assigned[i] > 0.0 else rate
            if metric > best_metric:
                best, best_metric, best_rate = i, metric, rate
        owner[k] = best
        served[best] = True
        assigned[best] += best_rate


def at_random(state: RoundState, selected: Bools, rng: np.random.Generator) -> Ints:
    """One subchannel for each client, the rest to any; all at random, also which are served if there are too few.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that shall participate; clients that are not available get nothing.
        rng: Draws what each client gets.

    Returns:
        [M] owner of each subchannel; -1 if there is nobody to serve.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, selected=selected)

    def drawn(clients: Ints, band: slice) -> Ints:
        subchannels = len(state.subchannel_hz[band])
        owner = rng.choice(clients, subchannels)
        owner[: len(clients)] = rng.permutation(clients)[:subchannels]
        return rng.permutation(owner)

    return _share_out(state, selected, drawn)


def assign_evenly(state: RoundState, plan: Plan, selected: Bools, rule: SubchannelRule) -> Decision:
    """Subchannels as a rule assigns them, again in every slot, and the same power for everybody, spread evenly.

    Args:
        state: Of one world, as the scheduler believes it.
        plan: How clients train.
        selected: [C]; clients that are not available get nothing, nor do those that there is no memory for.
        rule: The rule.

    Returns:
        A decision of one world, with a band for each slot where clients have slots.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, plan=plan, selected=selected)
    access = state.system.program.access
    cluster = clusters_for_unchecked(state, plan, selected)
    served = served_clients(state, plan, selected)
    if access is Access.PARALLEL:
        assignment = rule(state, served)
        psd = even_psd(state, assignment)
    else:
        slot = access.slot_of_clients(cluster)
        assignment = np.stack([rule(state, served & (slot == t)) for t in range(slot.max() + 1)])
        psd = np.stack([even_psd(state, band) for band in assignment])
    return Decision.under(plan, assignment, psd, selected.copy(), cluster)


def assign_at_best_cut(state: RoundState, selected: Bools, aggregation_ratio: float, rule: SubchannelRule) -> Decision:
    """`assign_evenly` at the best cuts, by enumeration: most clients take part, then the shortest round."""
    check_arguments(state, aggregation_ratio=aggregation_ratio)
    plans = common_plans(state.system, aggregation_ratio)
    decisions = [assign_evenly(state, plan, selected, rule) for plan in plans]
    costs = [round_cost(state.synchronous(), decision) for decision in decisions]
    return decisions[int(np.lexsort(([c.latency_s for c in costs], [-c.participants.sum() for c in costs]))[0])]


def equal_shares(state: RoundState, plan: Plan, selected: Bools) -> Decision:
    """What a scheduler does that looks at nothing: `assign_evenly`, in turn."""
    return assign_evenly(state, plan, selected, in_index_order)
