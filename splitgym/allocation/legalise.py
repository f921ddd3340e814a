"""Legal decisions: what a round makes of what a scheduler says.

A decision says more than a round can do: the framework may prescribe phi, clients whose cut layers or codecs differ
aggregate nothing, clusters have to be formed, and powers end at their budgets. All of that is done here, for encodings,
rules and `play` alike. A decision that is legal stays as it is.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from splitgym.allocation.budget import project_power_unchecked
from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.arrays import Bools
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
    return project_power_unchecked(with_legal_ratio(decision, state), state)


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
    apart = sent_apart(plan, selected, state.system.program.plans)
    return ratio if apart is False else np.where(apart, 0.0, ratio)[()]


def with_legal_ratio(decision: Decision, state: RoundState) -> Decision:
    """A decision of one world or N with phi by `legal_ratio`."""
    ratio = legal_ratio(decision.plan, decision.selected, state)
    return decision if ratio is decision.aggregation_ratio else replace(decision, aggregation_ratio=ratio)
