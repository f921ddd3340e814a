"""The optimum over cut layer, subchannels and powers: what heuristics have to be compared with.

`exhaustive` tries every owner of every subchannel; `exact` solves mixed-integer programmes and reaches further. Both
are for rounds in which everybody selected takes part (see `CutProblem`), and far too slow to decide with.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from time import perf_counter
from typing import NamedTuple

import numpy as np

from splitgym.allocation.assignment import AssignmentState, assign, assign_all, greatest_rate, no_assignment, release
from splitgym.allocation.baselines.allocators import strongest_signal
from splitgym.allocation.bounds.cut_problem import CutProblem, cut_problem, cut_problems, served_clients
from splitgym.allocation.bounds.mixed_integer import MixedInteger
from splitgym.allocation.bounds.relaxation import relax
from splitgym.allocation.link_budget import Links, own_links
from splitgym.allocation.power import check_uplinks, control, control_power
from splitgym.allocation.segment_times import ready
from splitgym.allocation.workload import SegmentWorkload, own_workload, uplinks
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import NO_REFCOUNT, kernel
from splitgym.timing.barrier import duration
from splitgym.types import Decision, Plan, RoundState
from splitgym.types.checks import check_array, check_range
from splitgym.types.legal import check_arguments

MOST_ASSIGNMENTS = 10**7
"""For `exhaustive`: some ten seconds for each cut layer."""


class Optimum(NamedTuple):
    """A decision, and how near the optimum it is."""

    decision: Decision
    latency_s: float
    bound_s: float
    """No decision takes less, to the tolerances of HiGHS (about 1e-6, relative)."""


def exhaustive(state: RoundState, selected: Bools, aggregation_ratio: float) -> Decision:
    """The best decision: every cut layer and all owners of the subchannels, each with exact power control.

    Every subchannel has an owner, as one more never harms.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that participate; clients that are not available do not count.
        aggregation_ratio: phi.

    Raises:
        ValueError: there are too many assignments; or the round is none of this kind (see `served_clients`).
    """
    served, subchannels = served_clients(state, selected), state.system.subchannels
    if len(served) ** subchannels > MOST_ASSIGNMENTS:
        raise ValueError(
            f"{len(served)} clients on {subchannels} subchannels = {len(served) ** subchannels:.3g} assignments, "
            f"allowed: at most {MOST_ASSIGNMENTS:.3g}"
        )
    links, best_s = own_links(state), inf
    plan, owner = Plan(1, aggregation_ratio), np.full(subchannels, -1)
    for problem in cut_problems(state, served, aggregation_ratio):
        workload = own_workload(state, problem.plan)
        check_uplinks(uplinks(workload))
        latency_s = _try_all(links, workload, problem.common_s, served, best_s, owner)
        if latency_s < best_s:
            best_s, plan = latency_s, problem.plan
    return _with_best_powers(state, plan, selected, owner)


def exact(
    state: RoundState,
    selected: Bools,
    aggregation_ratio: float,
    tolerance: float = 1e-6,
    time_limit_s: float = inf,
) -> Optimum:
    """The best decision, by a mixed-integer programme for each cut layer that the relaxation does not rule out.

    Args:
        state: Of one world, as the scheduler believes it.
        selected: [C] clients that participate; clients that are not available do not count.
        aggregation_ratio: phi.
        tolerance: Relative gap between latency and bound at which to end.
        time_limit_s: When to end with whatever gap there is.

    Raises:
        ValueError: the round is none of this kind (see `served_clients`), or an argument does not fit.
    """
    check_range("tolerance", check_array("tolerance", tolerance, "iuf", ()), 0, 1)
    check_range("time_limit_s", check_array("time_limit_s", time_limit_s, "iuf", ()), 0, inf)
    served, until_s = served_clients(state, selected), perf_counter() + time_limit_s
    problems = cut_problems(state, served, aggregation_ratio)

    def powers(plan: Plan, owner: Ints) -> Floats:
        return control_power(state, plan, _named(owner, served))

    plan = problems[0].plan
    best = np.searchsorted(served, strongest_signal(state, selected))
    best_s, bound_s = _latency_s(problems[0], best, powers(plan, best)), inf
    for problem in problems:
        relaxed = relax(problem, enough_s=best_s)
        programme = MixedInteger(problem)
        programme.send_as_best(relaxed.level)
        of_cut = partial(powers, problem.plan)
        found = _solve(programme, of_cut, best_s, relaxed.bound_s, tolerance, until_s)
        bound_s = min(bound_s, found.bound_s)
        if found.owner is not None:
            best, best_s, plan = found.owner, found.latency_s, problem.plan
    decision = _with_best_powers(state, plan, selected, _named(best, served))
    return Optimum(decision, best_s, bound_s)


def exact_subchannels(state: RoundState, plan: Plan, selected: Bools, power_w_per_hz: Floats) -> Optimum:
    """The paper's first block, exact: the best owners of subchannels whose powers are given, by a programme.

    Args:
        state: Of one world, as the scheduler believes it.
        plan: How clients train.
        selected: [C] clients that participate; clients that are not available do not count.
        power_w_per_hz: [M] power spectral density with which the owner of a subchannel sends, W/Hz.

    Raises:
        ValueError: no owners keep within the budgets; or the round is none of this kind (see `served_clients`).
    """
    served = served_clients(state, selected)
    check_arguments(state, power_w_per_hz=power_w_per_hz)
    programme = MixedInteger(cut_problem(state, served, plan))
    programme.send_with(power_w_per_hz)
    found = _solve(programme, lambda owner: np.where(owner >= 0, power_w_per_hz, 0.0))
    if found.owner is None:
        raise ValueError(f"power_w_per_hz = {power_w_per_hz}, allowed: what the budgets allow to some owners")
    owner = _named(found.owner, served)
    psd = np.where(owner >= 0, power_w_per_hz, 0.0)
    decision = Decision.under(plan, owner, psd, selected.copy())
    return Optimum(decision, found.latency_s, found.bound_s)


class _Found(NamedTuple):
    """The best owners at a cut layer."""

    owner: Ints | None
    """[M] 0..n-1, -1: unused; None: none that are better than what had to be beaten."""
    latency_s: float
    bound_s: float


def _solve(
    programme: MixedInteger,
    powers: Callable[[Ints], Floats],
    below_s: float = inf,
    bound_s: float = 0.0,
    tolerance: float = 1e-6,
    until_s: float = inf,
) -> _Found:
    """Solves the programme and adds tangents in turn, until the gap is closed.

    Args:
        programme: Made tighter in place.
        powers: The best powers ([M] W/Hz) of owners ([M]).
        below_s: What has to be beaten.
        bound_s: A lower bound that is known.
        tolerance: Relative gap.
        until_s: Reading of the clock at which to end.
    """
    problem, best, best_s = programme.problem, None, below_s
    seen: set[bytes] = set()
    while bound_s < best_s * (1 - tolerance) and perf_counter() < until_s:
        answer = programme.solve(best_s, until_s - perf_counter())
        bound_s = max(bound_s, answer.bound_s)
        if answer.owner is None or answer.owner.tobytes() in seen:
            break
        seen.add(answer.owner.tobytes())
        psd = powers(answer.owner)
        latency_s = _latency_s(problem, answer.owner, psd)
        if latency_s < best_s:
            best, best_s = answer.owner, latency_s
        programme.refine(answer.owner, psd)
    return _Found(best, best_s, min(bound_s, best_s))


def _latency_s(problem: CutProblem, owner: Ints, psd: Floats) -> float:
    return problem.latency_s(*problem.rates(owner, psd))


def _named(owner: Ints, served: Ints) -> Ints:
    """Owners as indices of all clients, from places ([M]) among those served ([n] indices); -1: unused."""
    return np.where(owner >= 0, served[owner], -1)


def _with_best_powers(state: RoundState, plan: Plan, selected: Bools, owner: Ints) -> Decision:
    """The decision under a plan with these owners of subchannels."""
    return Decision.under(plan, owner, control_power(state, plan, owner), selected.copy())


def _try_all(
    links: Links, workload: SegmentWorkload, common_s: float, served: Ints, best_s: float, best: Ints
) -> float:
    """Tries all owners; fills in the `best` [M] if they take less than `best_s`, and returns what they take, s."""
    held, ends = no_assignment(*links.floor.shape), np.zeros(len(workload.compute_s))
    place, number = np.zeros(len(best), np.int64), np.zeros(len(served), np.int64)
    assign_all(held, links, served[place])
    number[0] = len(best)
    return float(_count_through(held, links, workload, ends, common_s, served, place, number, best_s, best))


@kernel(NO_REFCOUNT)
def _count_through(
    held: AssignmentState,
    links: Links,
    workload: SegmentWorkload,
    ends: Floats,
    common_s: float,
    served: Ints,
    place: Ints,
    number: Ints,
    best_s: float,
    best: Ints,
) -> float:
    """`_try_all`, from everything at the first client; `place` [M] of the owners among those served, `number` [n]."""
    subchannels = place.shape[0]
    while True:
        everybody = True
        for n in range(number.shape[0]):
            everybody &= number[n] > 0
        if everybody and common_s + _least_ends(held, links, workload) < best_s:
            latency_s = common_s + control(held, links, workload, ends)
            if latency_s < best_s:
                best_s = latency_s
                for k in range(subchannels):
                    best[k] = held.owner[k]
        # The next number with M digits, each a place among those served.
        k = 0
        while k < subchannels:
            number[place[k]] -= 1
            place[k] = (place[k] + 1) % served.shape[0]
            number[place[k]] += 1
            release(held, links, k)
            assign(held, links, served[place[k]], k)
            if place[k] > 0:
                break
            k += 1
        if k == subchannels:
            return best_s


@kernel(NO_REFCOUNT)
def _least_ends(held: AssignmentState, links: Links, workload: SegmentWorkload) -> float:
    """Sum of the segments' ends if there were no common power budget, s."""
    total = 0.0
    for s in range(workload.segments[0]):
        last = 0.0
        for i in range(held.number.shape[0]):
            if held.number[i] > 0:
                rate = greatest_rate(held, links, i, links.client_max_w)
                last = max(last, ready(held, workload, s, i) + duration(workload.uplink_bits[s, i], rate))
        total += last
    return total
