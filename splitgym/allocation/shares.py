"""Equal shares: what a scheduler does that looks at nothing."""

import numpy as np
from numpy.typing import NDArray

from splitgym.allocation.clusters import clusters_for
from splitgym.allocation.power import even_psd
from splitgym.rounds import Decision, RoundState


def equal_shares(state: RoundState, cut_layer: int, selected: NDArray[np.bool_], aggregation_ratio: float) -> Decision:
    """Subchannels in turn to the selected clients, the same power for each of them, spread evenly.

    Args:
        state: Of one world; only its sizes and budgets matter, and where clusters take turns what these are formed by.
        cut_layer: 1..L-1.
        selected: [C].
        aggregation_ratio: phi.

    Returns:
        A decision of one world; with nobody selected all subchannels are unused.
    """
    clients = np.flatnonzero(selected)
    turns = np.arange(state.system.subchannels)
    assignment = clients[turns % len(clients)] if len(clients) else np.full(len(turns), -1)
    cluster = clusters_for(state, cut_layer, selected, aggregation_ratio)
    return Decision(cut_layer, assignment, even_psd(state, assignment), selected.copy(), aggregation_ratio, cluster)
