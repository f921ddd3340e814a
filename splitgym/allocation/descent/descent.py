"""The descent over subchannels, power and cut layer."""

from collections.abc import Sequence
from dataclasses import replace
from threading import get_ident
from typing import Any, Literal, NamedTuple

import numpy as np

from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.allocation.descent.search import descend_worlds
from splitgym.allocation.descent.settling import coordinated, settled
from splitgym.allocation.descent.worlds import MEMBERS_GIVEN, Found, Utility, Worlds, descender, nothing_found
from splitgym.allocation.legalise import common_ratio
from splitgym.allocation.own_station import are_at_one_station, owners_at_own_station, with_a_subchannel
from splitgym.allocation.power import check_uplinks
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.frameworks.rows import aggregated_rows
from splitgym.inputs import InputError
from splitgym.timing.wires import attached_of
from splitgym.types import Decision, Plan, RoundState, with_axis
from splitgym.types.checks import shown
from splitgym.types.legal import check_arguments, check_behind
from splitgym.types.memory import able_clients, served_clients

TRIALS = 5
"""Swaps that may be tried for each subchannel."""
LEAST_TRIALS = 300
"""Enough for small cells to end where no single swap helps."""


def rank(participants: Any, latency_s: Any) -> tuple[Any, Any]:
    """Sorts expected rounds, the better first: those in which more clients take part, then the shorter.

    A round that leaves clients out at the timeout may be short, but does not do what was decided.
    """
    return -participants, latency_s


class Descent(NamedTuple):
    """A decision, and how the descent came to it; of one world, or of N with a leading axis."""

    decision: Decision
    participants: Any
    """How many clients are expected to take part."""
    latency_s: Any
    """Expected round latency with static shares; on demand it is no longer."""
    steps_s: Floats
    """[4] expected latency after each of `splitgym.allocation.descent.worlds.BLOCKS`; it never increases while as many
    clients take part."""


def descent(
    state: RoundState,
    selected: Bools,
    aggregation_ratio: Any,
    *,
    cut_layer: Any = None,
    second_cut: Any = None,
    codec: Any = 0,
    precision: Any = 0,
    batch_size: Any = 0,
    assignment: Ints | None = None,
    power: Literal["control", "even"] = "control",
    search: bool = True,
    cluster: Ints | None = None,
) -> Descent:
    """Chooses plan, subchannels and powers for the shortest round in which as many as can take part.

    Under a plan: subchannels by the two-phase greedy, exact power control, then swaps of subchannels until none
    helps. All plans with this phi are enumerated, without those that a lower bound shows to be no better: cut
    layers, and second cuts where a scenario lets these be decided. Under a plan to hold, swaps start at one assignment
    instead of several, which takes a fraction of the time and on average costs less than a percent of the latency.
    Where clients have slots, each slot has the whole band and is a problem of its own; the plan is common to all.

    Args:
        state: Of one world or N, as the scheduler believes it.
        selected: [C] or [N, C] clients that shall participate. Unavailable clients get nothing; nor do those that
            lack the memory for the plan or cannot be in time for the round's timeout, or the last in line if there are
            fewer subchannels than clients or nodes have too little memory for all (`unserved`).
        aggregation_ratio: phi, or [N]; 0 where gradients have to be sent apart (`common_ratio`).
        cut_layer: Hold it at this one, or [N]; or hold each client's at its own, [C] or [N, C]; None: choose.
        second_cut: Hold it at this one, or [N]; None: choose, where it may be decided.
        codec: Of the scenario's list, or [N]; or of each client, [C] or [N, C].
        precision: Likewise.
        batch_size: Samples of a mini-batch, or [N]; or of each client, [C] or [N, C]; 0: the scenario's.
        assignment: Hold the owners of the subchannels, [M] or [N, M] (-1: unused), in rounds without slots; None:
            choose.
        power: "control", or "even": every served client spends min(p_max, p_th / n) evenly over its subchannels, which
            are not swapped.
        search: False: the greedy's subchannels as they are.
        cluster: [C] or [N, C], for frameworks whose clusters have slots; None: formed by `form_clusters`.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    given: dict[str, Any] = {
        "cut_layer": cut_layer,
        "second_cut": second_cut,
        "codec": codec,
        "precision": precision,
        "batch_size": batch_size,
        "assignment": assignment,
        "cluster": cluster,
    }
    held = {name: value for name, value in given.items() if value is not None}
    check_arguments(state, one_world=False, selected=selected, aggregation_ratio=aggregation_ratio, **held)
    if not isinstance(power, str) or power not in ("control", "even"):
        raise InputError(f"power = {shown(power)}, allowed: 'control', 'even'")
    if assignment is not None and state.system.program.access is not Access.PARALLEL:
        raise InputError(f"assignment of a round with slots ({state.system.program.access.name}), allowed: None")
    if state.system.program.plans.tails and cut_layer is not None and second_cut is not None:
        check_behind(cut_layer, second_cut)
    plan = Plan(cut_layer, aggregation_ratio, second_cut, codec, precision, batch_size=batch_size)
    plan = plan._replace(aggregation_ratio=common_ratio(plan, selected, state))
    return descent_unchecked(state, selected, plan, assignment=assignment, power=power, search=search, cluster=cluster)


def descent_unchecked(
    state: RoundState,
    selected: Bools,
    plan: Plan,
    *,
    assignment: Ints | None = None,
    power: str = "control",
    search: bool = True,
    cluster: Ints | None = None,
    utility: Utility = MEMBERS_GIVEN,
) -> Descent:
    """`descent` with arguments that are known to fit; what the plan has as None is to be chosen.

    With a utility, the clients that participate are chosen among those that are selected; the plan has to be held, and
    the round to be one without slots.
    """
    given: dict[str, Any] = {"power": power, "search": search, "cluster": cluster, "utility": utility}
    if state.system.stations_on_a_subchannel == 1:
        return descent_in_noise(state, selected, plan, assignment=assignment, **given)
    served = with_a_subchannel(selected, state)
    own = None if assignment is None else owners_at_own_station(assignment, state)

    chooses_clients = len(utility.sizes) > 0

    def in_noise(state: RoundState, owner: Ints | None) -> Descent:
        found = descent_in_noise(state, served, plan, assignment=owner, **given)
        return found if chooses_clients else found._replace(decision=replace(found.decision, selected=selected.copy()))

    if own is None and are_at_one_station(served, state):
        return coordinated(state, in_noise)
    return settled(state, in_noise, own, keeps_owners=not chooses_clients)


def descent_in_noise(
    state: RoundState,
    selected: Bools,
    plan: Plan,
    *,
    assignment: Ints | None = None,
    power: str = "control",
    search: bool = True,
    cluster: Ints | None = None,
    utility: Utility = MEMBERS_GIVEN,
) -> Descent:
    """`descent_unchecked` where interference that the state tells of is noise, whatever the decision itself makes."""
    system, access = state.system, state.system.program.access
    if access is Access.CLUSTERED and cluster is None:
        return _with_clusters(state, selected, plan, power, search)
    if _has_own(state, plan) and not _holds_cuts(state, plan):
        return _at_each_cut(
            state, selected, plan, assignment=assignment, power=power, search=search, cluster=cluster, utility=utility
        )
    plans, hold = _plans(state, plan)
    members = np.asarray(cluster if access is Access.CLUSTERED else np.zeros(selected.shape, np.int64))
    slot = members if access is Access.PARALLEL else np.array(access.slot_of_clients(members), np.int64, order="C")
    worlds = _worlds(state, _able(state, plan, selected, plans, hold), slot, assignment, plans, hold)
    slots, sets = 1 if access is Access.PARALLEL else int(slot.max()) + 1, len(utility.sizes)
    (count, clients, subchannels), choices = worlds.gain.shape, plans.shape[1]
    found = nothing_found(count, slots, subchannels)
    trials = max(LEAST_TRIALS, TRIALS * system.subchannels) if search else 0
    of_system = descender(system, get_ident(), clients, slots, choices, sets)
    descend_worlds(of_system, worlds, utility, power == "even", trials, found)
    if sets > 0:
        selected = worlds.members if state.batched else worlds.members[0]
    check_uplinks(int(found.uplinks[0]))
    return _descent_of(found, state, selected, plan, members, plans if hold and plans.shape[1] > 1 else None)


def _able(state: RoundState, plan: Plan, selected: Bools, plans: Ints, hold: bool) -> Bools:
    """[C] or [N, C] clients that may take part, under what is held; for other plans the kernel asks for memory."""
    if state.system.memory is None or not hold:
        return selected & state.available
    held = plan._replace(second_cut=0 if plan.second_cut is None else plan.second_cut)
    # With plans of their own, who is served for want of memory is known before the search.
    return served_clients(state, held, selected) if plans.shape[1] > 1 else able_clients(state, held, selected)


def _worlds(state: RoundState, able: Bools, slot: Ints, assignment: Ints | None, plans: Ints, hold: bool) -> Worlds:
    """The worlds for the kernel."""
    if assignment is None:
        given = np.empty((*able.shape[:-1], 0), np.int64)
    else:
        given = np.asarray(assignment, np.int64)
        able = able & (given[..., None, :] == np.arange(able.shape[-1])[:, None]).any(-1)
    arrays: tuple[Any, ...] = (
        state.subchannel_hz,
        state.channel_gain,
        state.uplink_interference,
        state.downlink_interference,
        state.client_hz,
        np.asarray(state.server_hz, np.float64),
        state.client_cut_layer,
        np.asarray(state.second_cut, np.int64),
        state.client_second_cut,
        state.unit_node,
        able,
        state.client_memory_bytes,
        slot,
        given,
    )
    each = arrays if state.batched else [array[None] for array in arrays]
    return Worlds._make([*each, plans, hold, attached_of(state)])


def _descent_of(
    found: Found, state: RoundState, selected: Bools, plan: Plan, cluster: Ints, by_client: Ints | None
) -> Descent:
    """The descent that the kernel found; `by_client` are plans of each client's own, [N, C], if these were held."""
    grid, owner, psd = state.system.program.plans, found.owner, found.psd
    if state.system.program.access is Access.PARALLEL:
        owner, psd = owner[:, 0], psd[:, 0]
    cut = grid.cut_layer[found.plan if by_client is None or np.ndim(plan.cut_layer) <= state.batched else by_client]
    if not state.batched:
        of_one: Any = int(cut[0]) if cut.ndim == 1 else cut[0]
        chosen = plan._replace(cut_layer=of_one, second_cut=int(grid.second_cut[found.plan[0]]))
        decision = Decision.under(chosen, owner[0], psd[0], selected.copy(), cluster)
        return Descent(decision, int(found.participants[0]), float(found.latency_s[0]), found.steps_s[0])
    ratio = np.full(len(found.plan), plan.aggregation_ratio, np.float64)
    chosen = plan._replace(cut_layer=cut, aggregation_ratio=ratio, second_cut=grid.second_cut[found.plan])
    decision = Decision.under(chosen, owner, psd, selected.copy(), cluster)
    return Descent(decision, found.participants, found.latency_s, found.steps_s)


def descend(state: RoundState, selected: Bools, aggregation_ratio: Any, **held: Any) -> Decision:
    """The decision of `descent`, with the same arguments."""
    return descent(state, selected, aggregation_ratio, **held).decision


def descent_under(state: RoundState, plan: Plan, selected: Bools, **given: Any) -> Descent:
    """`descent` under a plan, with the other arguments as there, all known to fit.

    Where the second cut may be decided, 0 leaves it open; of a batch, a 0 of any world leaves it open in all.
    """
    second = plan.second_cut if state.system.program.plans.second_cuts > 1 and holds_plan(state, plan) else None
    return descent_unchecked(state, selected, plan._replace(second_cut=second), **given)


def allocate(state: RoundState, plan: Plan, selected: Bools) -> Decision:
    """Subchannels and powers under a given plan: the descent with the plan held.

    Args:
        state: Of one world or N, as the scheduler believes it.
        plan: Of one world or N; where the second cut may be decided, 0 leaves it open. Its phi is taken as 0 where
            gradients have to be sent apart (`common_ratio`).
        selected: [C] or [N, C]; clients that are not available get nothing.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_arguments(state, one_world=False, plan=plan, selected=selected)
    return allocate_unchecked(state, plan._replace(aggregation_ratio=common_ratio(plan, selected, state)), selected)


def allocate_unchecked(state: RoundState, plan: Plan, selected: Bools) -> Decision:
    """`allocate` with arguments that are known to fit."""
    return descent_under(state, plan, selected).decision


def holds_plan(state: RoundState, plan: Plan) -> bool:
    """Whether `descent_under` holds the plan: it does not where the second cut is left open."""
    return state.system.program.plans.second_cuts == 1 or bool(np.all(plan.second_cut))


def _plans(state: RoundState, plan: Plan) -> tuple[Ints, bool]:
    """[N, K] plans to choose from; or, and True, what is held: [N, 1] common ones, [N, C] those of each client."""
    system, grid, worlds = state.system, state.system.program.plans, len(state.channel_gain) if state.batched else 1
    cut_layer, second_cut = plan.cut_layer, plan.second_cut
    if _holds_cuts(state, plan):
        plans = plan._replace(second_cut=0 if second_cut is None else second_cut).indices(state)
        return with_axis(plans, not state.batched), True
    sizes = np.broadcast_to(plan.sizes(state), worlds)
    rows = aggregated_rows(np.broadcast_to(plan.aggregation_ratio, worlds), sizes)
    codec, precision = np.broadcast_to(plan.codec, worlds), np.broadcast_to(plan.precision, worlds)
    if cut_layer is None and second_cut is None:
        plans = grid.candidates(rows, codec, precision, sizes) + _first(state, plan)
        return (_with_held_cuts(plans, state) if system.averages_later else plans), False
    cuts = np.arange(1, system.cut_layers + 1) if cut_layer is None else _by_world(cut_layer)
    second = grid.second_values if second_cut is None else _by_world(second_cut)
    if grid.tails and cut_layer is None:
        # Behind the last of these the second cut could not be held.
        cuts = np.minimum(cuts, second - 1)
    plans = grid.index(cuts, rows[:, None], second, codec[:, None], precision[:, None], sizes[:, None])
    plans = plans + _first(state, plan)
    return np.array(np.broadcast_to(plans, (worlds, plans.shape[-1]))), False


def _first(state: RoundState, plan: Plan) -> Ints:
    """[N, 1] or [1, 1] index of the first plan in the round's way, under the placement that a plan says."""
    grid = state.system.program.plans
    return grid.first_in_way(state.way(plan.averaging)) + grid.first_under(plan.placement)


def _with_held_cuts(plans: Ints, state: RoundState) -> Ints:
    """[N, K] plans; instead of those whose cut layer is not the one that stays the first one whose is."""
    held = np.reshape(state.held_cut_layer, (-1, 1))
    fits = (held == 0) | (state.system.program.plans.cut_layer[plans] == held)
    return np.where(fits, plans, np.take_along_axis(plans, fits.argmax(1)[:, None], 1))


def _holds_cuts(state: RoundState, plan: Plan) -> bool:
    """Whether a plan says both cuts."""
    return plan.cut_layer is not None and (plan.second_cut is not None or state.system.program.plans.second_cuts == 1)


def _has_own(state: RoundState, plan: Plan) -> bool:
    """Whether a plan says something else than cuts for each client."""
    return any(np.ndim(factor) > state.batched for factor in (plan.codec, plan.precision, plan.sizes(state)))


def _at_each_cut(state: RoundState, selected: Bools, plan: Plan, **given: Any) -> Descent:
    """The best over the cuts that a plan leaves open, where it says something for each client; each of them held."""
    if state.batched:
        arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
        others = {name: value for name, value in given.items() if name not in arrays}
        return _stacked(
            [
                descent_in_noise(
                    state.world(n),
                    selected[n],
                    plan.world(n),
                    **{name: value[n] for name, value in arrays.items()},
                    **others,
                )
                for n in range(len(selected))
            ]
        )
    grid = state.system.program.plans
    held = state.held_cut_layer
    open_cuts = [int(held)] if held else range(1, grid.cut_layers + 1)
    cuts = open_cuts if plan.cut_layer is None else [plan.cut_layer]
    every_second = grid.second_values.tolist() if grid.second_cuts > 1 else [0]
    seconds = every_second if plan.second_cut is None else [plan.second_cut]
    pairs = [
        (cut, second)
        for cut in cuts
        for second in seconds
        if grid.second_cuts == 1 or second >= np.max(cut) + grid.tails
    ]
    options = [
        descent_in_noise(state, selected, plan._replace(cut_layer=cut, second_cut=second), **given)
        for cut, second in pairs
    ]
    return min(options, key=lambda option: rank(option.participants, option.latency_s))


def _by_world(value: Any) -> Ints:
    """[1, 1] from one number, [N, 1] from [N]."""
    return np.asarray(value, np.int64).reshape(-1, 1)


def _with_clusters(state: RoundState, selected: Bools, plan: Plan, power: Any, search: bool) -> Descent:
    """The best over the cut layers, each with the clusters that are formed at it."""
    if not state.batched:
        options = []
        cuts = range(1, state.system.cut_layers + 1) if plan.cut_layer is None else (int(plan.cut_layer),)
        for at_cut in (plan._replace(cut_layer=cut, second_cut=0) for cut in cuts):
            cluster = clusters_for_unchecked(state, at_cut, selected)
            options.append(descent_in_noise(state, selected, at_cut, power=power, search=search, cluster=cluster))
        return min(options, key=lambda option: rank(option.participants, option.latency_s))
    worlds = range(len(selected))
    best = [_with_clusters(state.world(n), selected[n], plan.world(n), power, search) for n in worlds]
    slots = max(len(option.decision.assignment) for option in best)
    return _stacked([option._replace(decision=_with_slots(option.decision, slots)) for option in best])


def _stacked(best: Sequence[Descent]) -> Descent:
    """The descents of several worlds as a batch."""
    return Descent(
        Decision.stack([option.decision for option in best]),
        np.array([option.participants for option in best]),
        np.array([option.latency_s for option in best]),
        np.array([option.steps_s for option in best]),
    )


def _with_slots(decision: Decision, slots: int) -> Decision:
    """The decision with so many slots, of which the last ones use nothing."""
    more = ((0, slots - len(decision.assignment)), (0, 0))
    return replace(
        decision,
        assignment=np.pad(decision.assignment, more, constant_values=-1),
        power_w_per_hz=np.pad(decision.power_w_per_hz, more),
    )
