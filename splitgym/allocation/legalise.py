"""Legal decisions: what a round makes of what a scheduler says.

A decision says more than a round can do: the framework may prescribe phi, clients whose cut layers differ aggregate
nothing, clusters have to be formed, and powers end at their budgets. All of that is done here, for encodings, rules and
`play` alike. A decision that is legal stays as it is.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from splitgym.allocation.budget import project_power_unchecked
from splitgym.allocation.clusters import clusters_for_unchecked
from splitgym.arrays import Bools
from splitgym.frameworks.phases import Access
from splitgym.types import Decision, RoundState
from splitgym.types.legal import cuts_differ


def legalise_unchecked(decision: Decision, state: RoundState) -> tuple[Decision, Any]:
    """The decision as the round plays it: phi by `legal_ratio`, powers by `project_power`.

    Args:
        decision: Of one world or N, known to fit but for phi where cut layers differ.
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


def legal_ratio(state: RoundState, cut_layer: Any, selected: Bools, aggregation_ratio: Any) -> Any:
    """Phi of the round: what the framework prescribes, else this one; 0 where cut layers of selected clients differ.

    Args:
        state: Of one world or N.
        cut_layer: 1..L-1 or [N]; or [C] or [N, C], where clients have cut layers of their own.
        selected: [C] or [N, C].
        aggregation_ratio: phi that is said, or [N].
    """
    ratio = state.ratio(aggregation_ratio)
    if np.ndim(cut_layer) < selected.ndim:
        return ratio
    return np.where(cuts_differ(cut_layer, selected), 0.0, ratio)[()]


def with_legal_ratio(decision: Decision, state: RoundState) -> Decision:
    """A decision of one world or N with phi by `legal_ratio`."""
    ratio = legal_ratio(state, decision.cut_layer, decision.selected, decision.aggregation_ratio)
    return decision if ratio is decision.aggregation_ratio else replace(decision, aggregation_ratio=ratio)
