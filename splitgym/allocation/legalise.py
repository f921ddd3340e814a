"""Legal decisions: what a round makes of what a scheduler says.

A decision says more than a round can do: the framework may prescribe phi, clients whose cut layers or codecs differ
aggregate nothing, a cut layer may have to stay, clusters have to be formed, and powers end at their budgets. All of
that is done here, for encodings, rules and `play` alike. A decision that is legal stays as it is.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from splitgym.allocation.budget import project_power_unchecked
from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.allocation.own_station import at_own_station
from splitgym.arrays import Bools, Ints
from splitgym.frameworks.phases import Access
from splitgym.types import Decision, Plan, RoundState
from splitgym.types.legal import sent_apart
from splitgym.types.memory import able_clients


def legalise_unchecked(decision: Decision, state: RoundState) -> tuple[Decision, Any]:
    """The decision as the round plays it: phi by `legal_ratio`, powers by `project_power`.

    Args:
        decision: Of one world or N, known to fit but for phi, see `legal_ratio`.
        state: Of as many.

    Returns:
        The legal decision, and whether a power budget had been broken: a bool, or [N] of them.
    """
    return project_power_unchecked(legal_but_for_powers(decision, state), state)


def legal_but_for_powers(decision: Decision, state: RoundState) -> Decision:
    """As `legalise_unchecked`, without the budgets of power."""
    held = with_held_cut(with_batch_sizes(with_flights(at_own_station(decision, state), state), state), state)
    return with_legal_ratio(held, state)


def with_batch_sizes(decision: Decision, state: RoundState) -> Decision:
    """A decision that says all batch sizes, where they may be decided; else as it is."""
    if not state.system.program.plans.smallest_batch or np.all(decision.batch_size):
        return decision
    return replace(decision, batch_size=decision.plan.sizes(state)[()])


def with_flights(decision: Decision, state: RoundState) -> Decision:
    """The decision with what goes on in flight: those clients are selected, see `plan_in_flight`, and the quorum.

    Args:
        decision: Of one world or N, known to fit.
        state: Of as many.
    """
    asynchrony = state.system.asynchrony
    if asynchrony is None:
        return decision
    plan, worlds = plan_in_flight(decision.plan, state), len(decision.selected) if state.batched else 1
    quorum = asynchrony.quorum_of(decision.quorum, worlds)
    return replace(
        decision,
        cut_layer=plan.cut_layer,
        codec=plan.codec,
        precision=plan.precision,
        batch_size=plan.batch_size,
        selected=decision.selected | state.in_flight,
        quorum=quorum if state.batched else int(quorum[0]),
    )


def plan_in_flight(plan: Plan, state: RoundState) -> Plan:
    """The plan with cut layers, codecs, precisions and batch sizes of what is in flight, as it began.

    A common cut layer (or codec, precision, batch size) is that of all: it moves only while nothing is in flight. One
    of each client's own stays while that client has something in flight.

    Args:
        plan: Of one world or N.
        state: Of as many.
    """
    flights, grid, in_flight = state.flights, state.system.program.plans, state.in_flight
    if flights is None or not in_flight.any():
        return plan
    return plan._replace(
        cut_layer=_held(plan.cut_layer, grid.cut_layer[flights.plan], in_flight, grid.cut_by_client),
        codec=_held(plan.codec, grid.codec[flights.plan], in_flight, grid.codec_by_client),
        precision=_held(plan.precision, grid.precision[flights.plan], in_flight, grid.precision_by_client),
        batch_size=_held(plan.sizes(state), grid.batch_size[flights.plan], in_flight, grid.batch_by_client)
        if grid.smallest_batch
        else plan.batch_size,
    )


def with_held_cut(decision: Decision, state: RoundState) -> Decision:
    """The decision with the cut layer that stays until clients' parts are averaged, see `RoundState.held_cut_layer`.

    Args:
        decision: Of one world or N, known to fit.
        state: Of as many.
    """
    if not state.system.averages_later:
        return decision
    return replace(decision, cut_layer=held_cut(decision.cut_layer, state))


def held_cut(cut_layer: Any, state: RoundState) -> Any:
    """The cut layer that stays, or else the one that is decided: a number, or [N]."""
    held = state.held_cut_layer
    cut = np.where(held > 0, held, cut_layer)
    return cut if cut.ndim else int(cut)


def _held(decided: Any, begun: Ints, in_flight: Bools, by_client: bool) -> Any:
    """A factor of the plan: [..., C] or [...] as decided, and as it is in flight, [..., C]."""
    if by_client:
        own = decided if np.ndim(decided) == begun.ndim else np.asarray(decided)[..., None]
        return np.where(in_flight, begun, own)
    first = np.take_along_axis(begun, in_flight.argmax(-1)[..., None], -1)[..., 0]
    held = np.where(in_flight.any(-1), first, decided)
    return held if held.ndim else int(held)


def with_clusters(decision: Decision, state: RoundState) -> Decision:
    """A decision that names no clusters, with clusters by `form_clusters`.

    A decision with a row of subchannels for each slot has its clusters already.

    Args:
        decision: Of one world or N, known to fit, with a legal phi.
        state: Of as many, as the scheduler believes it.
    """
    if decision.by_slot or state.system.program.access is not Access.CLUSTERED:
        return decision
    return replace(decision, cluster=clusters_for_unchecked(state, decision.plan, decision.selected))


def with_memory(decision: Decision, state: RoundState) -> Decision:
    """A decision without the clients that lack the memory for their plan; without limits, as it is.

    A round leaves them out by itself and says so; schedulers need not select them in vain.

    Args:
        decision: Of one world or N, known to fit.
        state: Of as many.
    """
    if state.system.memory is None:
        return decision
    return replace(decision, selected=able_clients(state, decision.plan, decision.selected))


def legal_ratio(plan: Plan, selected: Bools, state: RoundState) -> Any:
    """Phi of the round: what the framework prescribes, else that of the plan; 0 where gradients are `sent_apart`.

    Args:
        plan: Of one world or N.
        selected: [C] or [N, C].
        state: Of as many worlds.
    """
    return _unless_apart(state.ratio(plan.aggregation_ratio), plan, selected, state)


def common_ratio(plan: Plan, selected: Bools, state: RoundState) -> Any:
    """Phi of the plan, whatever the framework prescribes; 0 where gradients are `sent_apart`. Arguments as above."""
    return _unless_apart(plan.aggregation_ratio, plan, selected, state)


def _unless_apart(ratio: Any, plan: Plan, selected: Bools, state: RoundState) -> Any:
    apart = sent_apart(plan, selected, state)
    return ratio if apart is False else np.where(apart, 0.0, ratio)[()]


def with_legal_ratio(decision: Decision, state: RoundState) -> Decision:
    """A decision of one world or N with phi by `legal_ratio`."""
    ratio = legal_ratio(decision.plan, decision.selected, state)
    return decision if ratio is decision.aggregation_ratio else replace(decision, aggregation_ratio=ratio)
