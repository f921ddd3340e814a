"""Why a client that was selected is not served: in words."""

from dataclasses import replace

import numpy as np

from splitgym.allocation.admission import least_seconds
from splitgym.allocation.link_budget import own_links
from splitgym.allocation.own_station import bands
from splitgym.allocation.workload import common_seconds, own_workload
from splitgym.arrays import Bools
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState
from splitgym.types.legal import check_state
from splitgym.types.memory import able_clients, why_without_memory


def unserved(state: RoundState, decision: Decision) -> dict[int, str]:
    """Which of the selected clients is not expected to take part, and why.

    Args:
        state: Of one world, as the scheduler believes it.
        decision: Of one world.

    Returns:
        The reason by client; empty if everybody is served.

    Raises:
        InputError: an argument does not fit the state; the message names it.
    """
    check_state(state, one_world=True)
    cost, system = round_cost(state.synchronous(), decision), state.system
    state = replace(state, client_hz=state.client_hz * decision.clock)
    links, workload = own_links(state), own_workload(state, decision.plan)
    everybody = np.ones(len(decision.selected), bool)
    alone_s = np.zeros_like(workload.compute_s)
    least_seconds(workload, links, everybody, 1, alone_s)
    before_s = [common_seconds(workload, 0, np.array([i]), float(band)) for i, band in enumerate(links.band)]
    alone_s = alone_s[: workload.segments[1] + 1].sum(0) + before_s
    able = able_clients(state, decision.plan, decision.selected)
    slot, timeout_s = system.program.access.slot_of_clients(decision.cluster), system.round_timeout_s
    reasons = {}
    for i in np.flatnonzero(decision.selected & ~cost.participants):
        rivals, subchannels = _rivals(state, int(i))
        wanted = int((able & rivals & (slot == slot[i])).sum())
        if cost.unavailable[i]:
            reason = "it is unavailable"
        elif cost.without_memory[i] or not able[i]:
            reason = why_without_memory(state, decision.plan, int(i))
        elif alone_s[i] > timeout_s:
            reason = (
                f"even with the whole band its uplink ends after {alone_s[i]:.3g} s, the timeout is {timeout_s:g} s"
            )
        elif cost.timed_out[i]:
            reason = f"beside the others its uplink does not end before the timeout of {timeout_s:g} s"
        elif wanted > subchannels:
            reason = f"{wanted} clients share {subchannels} subchannels, and it is one of the last in line"
        else:
            reason = f"with it somebody would miss the timeout of {timeout_s:g} s, and it is one of the last in line"
        reasons[int(i)] = reason
    return reasons


def _rivals(state: RoundState, i: int) -> tuple[Bools, int]:
    """[C] the clients that may own the same subchannels as client i, and how many these are."""
    return next((members, len(state.subchannel_hz[band])) for band, members in bands(state) if members[i])
