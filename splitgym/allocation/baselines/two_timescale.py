"""The two time scales of CPSL (Wu et al., JSAC 2023): cut layer slowly, clusters and spectrum in every round.

On the slow scale the cut layer is the one with the shortest mean round over samples of the network. On the fast one
clusters are formed by Gibbs sampling, each of them with the spectrum that the greedy gives it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import exp

import numpy as np

from splitgym.allocation.clusters import form_clusters
from splitgym.allocation.descent.descent import descent, descent_under
from splitgym.arrays import Bools, Ints
from splitgym.frameworks.phases import Access
from splitgym.types import Decision, Plan, RoundState
from splitgym.types.checks import check_array, check_range
from splitgym.types.legal import check_arguments
from splitgym.types.memory import able_clients

MOST_SWAPS = 1_000_000
"""Some minutes."""
LEAST_TEMPERATURE = 1e-12
"""So low that only what is better is taken."""


def gibbs_clusters(
    state: RoundState,
    plan: Plan,
    selected: Bools,
    rng: np.random.Generator,
    swaps: int = 100,
    temperature: float = 0.01,
) -> Ints:
    """Forms clusters by Gibbs sampling over swaps of two clients.

    It starts with `form_clusters`. A swap that changes the round's latency by a fraction x of it is taken with
    probability 1 / (1 + exp(x / temperature)); the temperature falls to nothing over the swaps, and the best clusters
    that were seen are kept.

    Args:
        state: Of one world, as the scheduler believes it, of a framework whose clusters have slots.
        plan: How clients train.
        selected: [C] clients that shall participate; clients that are not available do not count.
        rng: Draws the swaps.
        swaps: How many are proposed.
        temperature: At the start, as a fraction of the latency, 1e-12..1.

    Returns:
        [C] cluster, 0 for clients that do not participate.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, plan=plan, selected=selected)
    check_range("swaps", check_array("swaps", swaps, "iu", ()), 0, MOST_SWAPS)
    check_range("temperature", check_array("temperature", temperature, "iuf", ()), LEAST_TEMPERATURE, 1)
    system = state.system
    side_by_side = replace(state, system=replace(system, program=replace(system.program, access=Access.PARALLEL)))

    @cache
    def slot_s(members: bytes) -> float:
        present = np.frombuffer(members, bool)
        return float(descent_under(side_by_side, plan, present, search=False).latency_s)

    cluster = form_clusters(state, plan, selected)
    taking_part = able_clients(state, plan, selected)
    clusters = np.unique(cluster[taking_part])
    if len(clusters) < 2:
        return cluster
    seconds = {c: slot_s((taking_part & (cluster == c)).tobytes()) for c in clusters}
    total_s = sum(seconds.values())
    best, best_s = cluster.copy(), total_s
    for swap in range(swaps):
        one, other = rng.choice(clusters, 2, replace=False)
        a, b = (rng.choice(np.flatnonzero(taking_part & (cluster == c))) for c in (one, other))
        cluster[a], cluster[b] = other, one
        trial = {c: slot_s((taking_part & (cluster == c)).tobytes()) for c in (one, other)}
        change = sum(trial.values()) - seconds[one] - seconds[other]
        heat = temperature * total_s * (1 - swap / swaps)
        if rng.random() < 1 / (1 + exp(min(change / heat, 700.0))):
            seconds.update(trial)
            total_s = sum(seconds.values())
            if total_s < best_s:
                best, best_s = cluster.copy(), total_s
        else:
            cluster[a], cluster[b] = one, other
    return best


def fast_decision(
    state: RoundState,
    plan: Plan,
    selected: Bools,
    rng: np.random.Generator,
    swaps: int = 100,
) -> Decision:
    """Clusters by Gibbs sampling where clusters have slots, subchannels and powers by the descent at a cut layer.

    Args:
        state: Of one world, as the scheduler believes it.
        plan: How clients train.
        selected: [C] clients that shall participate.
        rng: Draws the swaps.
        swaps: See `gibbs_clusters`.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, plan=plan, selected=selected)
    if state.system.program.access is not Access.CLUSTERED:
        return descent_under(state, plan, selected).decision
    cluster = gibbs_clusters(state, plan, selected, rng, swaps)
    return descent_under(state, plan, selected, cluster=cluster).decision


def slow_cut(samples: Sequence[RoundState], aggregation_ratio: float) -> int:
    """The cut layer with the shortest mean round over samples of the network, everybody there taking part.

    Clusters are those of `form_clusters`, which the fast scale refines. A cut layer at which more clients are dropped
    at the timeout comes after one at which fewer are.

    Args:
        samples: Of one world each, at least one.
        aggregation_ratio: phi.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("samples = (), allowed: at least one state")
    cuts = range(1, samples[0].system.cut_layers + 1)
    rounds = [[descent(state, state.available, aggregation_ratio, cut_layer=cut) for state in samples] for cut in cuts]
    missing = [-sum(one.participants for one in row) for row in rounds]
    seconds = [sum(one.latency_s for one in row) for row in rounds]
    return 1 + int(np.lexsort((seconds, missing))[0])
