"""Subchannels and powers under one plan as a plain problem: what bounds and optima are computed from.

    minimise  T = common + sum_s max_i (compute_si + uplink_si / R_i^U + downlink_si / R_i^D)

over segments s and clients i, by choice of which client has which subchannel and sends on it with what power. Every
client that is selected and available has to be served, and there is no timeout: it is the round in which all of them
take part.
"""

from typing import NamedTuple

import numpy as np

from splitgym.allocation.link_budget import own_links
from splitgym.allocation.workload import common_seconds, own_workload
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.timing.power import even_power
from splitgym.timing.rates import shannon_rates
from splitgym.types import Plan, RoundState, common_plans
from splitgym.types.legal import check_arguments
from splitgym.types.memory import served_clients as clients_served


class CutProblem(NamedTuple):
    """The problem under one plan, of n clients that are all served, with S segments and M subchannels."""

    plan: Plan
    served: Ints
    """[n] indices of the clients."""
    compute_s: Floats
    """[S, n]."""
    uplink_bits: Floats
    """[S, n]."""
    downlink_bits: Floats
    """[S, n]."""
    common_s: float
    """Seconds of the phases that are common to all."""
    hz: Floats
    """[M] B_k."""
    floor: Floats
    """[n, M] N0 / (G g_ik), W/Hz."""
    downlink: Floats
    """[n, M] bits/s that the base station sends on each subchannel."""
    client_max_w: float
    """p_max."""
    total_max_w: float
    """p_th."""

    def ends(self, uplink: Floats, downlink: Floats) -> Floats:
        """[S, n] seconds of each client in each segment at these rates ([n], bits/s); no bits need no rate."""
        return self.compute_s + seconds_for(self.uplink_bits, uplink) + seconds_for(self.downlink_bits, downlink)

    def latency_s(self, uplink: Floats, downlink: Floats) -> float:
        """T at these rates."""
        return self.common_s + float(self.ends(uplink, downlink).max(1).sum())

    def rates(self, owner: Ints, psd: Floats) -> tuple[Floats, Floats]:
        """Uplink and downlink, each [n] bits/s, of owners ([M] 0..n-1, -1: unused) with these powers ([M] W/Hz)."""
        return rates_of_owners(owner, psd, self.hz, self.floor, self.downlink)

    def even_power_w(self) -> float:
        """What each client may spend if all spend the same, W."""
        return float(even_power(self.client_max_w, self.total_max_w, len(self.served)))

    def even_psd(self) -> float:
        """Power spectral density if all clients spend the same, each on an even share of the band, W/Hz."""
        return self.even_power_w() * len(self.served) / float(self.hz.sum())

    def even_rates(self) -> tuple[Floats, Floats]:
        """Uplink and downlink, each [n] bits/s, with even shares of the power and of each subchannel."""
        uplink = shannon_rates(self.hz, self.even_psd() / self.floor)
        return uplink.sum(1) / len(self.served), self.downlink.sum(1) / len(self.served)


def served_clients(state: RoundState, selected: Bools) -> Ints:
    """Indices of the clients that have to be served: selected and available.

    Raises:
        ValueError: there are none, or more than subchannels; the selection does not fit the state; or the round is
            another than that of the problem, one in which clients have slots or idle subchannels are lent.
    """
    check_arguments(state, selected=selected)
    if state.system.program.access is not Access.PARALLEL:
        raise ValueError(f"access = {state.system.program.access.name}, allowed: PARALLEL")
    if state.system.on_demand:
        raise ValueError("sharing = 'on-demand', allowed: 'static'")
    served = np.flatnonzero(selected & state.available)
    if not 1 <= len(served) <= state.system.subchannels:
        raise ValueError(f"selected = {len(served)} available clients, allowed: 1..{state.system.subchannels}")
    return served


def cut_problems(state: RoundState, served: Ints, aggregation_ratio: float) -> list[CutProblem]:
    """The problems under all plans, those first that even shares of band and power make short.

    Args:
        state: Of one world, as the scheduler believes it.
        served: [n] indices of the clients.
        aggregation_ratio: phi.

    Raises:
        ValueError: phi is none, or at no cut layer there is memory for all of them.
    """
    check_arguments(state, aggregation_ratio=aggregation_ratio)
    everybody = np.isin(np.arange(len(state.available)), served)
    problems = [
        cut_problem(state, served, plan)
        for plan in common_plans(state.system, aggregation_ratio)
        if np.array_equal(clients_served(state, plan, everybody), everybody)
    ]
    if not problems:
        raise ValueError(f"selected = {served.tolist()}, allowed: clients for which there is memory at some cut layer")
    return sorted(problems, key=lambda problem: problem.latency_s(*problem.even_rates()))


def cut_problem(state: RoundState, served: Ints, plan: Plan) -> CutProblem:
    """The problem under one plan; otherwise as `cut_problems`."""
    links, workload = own_links(state), own_workload(state, plan)
    segments, slowest_band = workload.segments[0], float(links.band[served].min())
    return CutProblem(
        plan,
        served,
        workload.compute_s[:segments, served],
        workload.uplink_bits[:segments, served],
        workload.downlink_bits[:segments, served],
        sum(common_seconds(workload, part, served, slowest_band) for part in (0, 1)),
        links.hz,
        links.floor[served],
        links.downlink[served],
        links.client_max_w,
        links.total_max_w,
    )


def rates_of_owners(owner: Ints, psd: Floats, hz: Floats, floor: Floats, downlink: Floats) -> tuple[Floats, Floats]:
    """Uplink and downlink of n clients, each [n] bits/s; arguments are as in `CutProblem` and its `rates`."""
    owns = np.arange(len(floor))[:, None] == owner
    return shannon_rates(owns * hz, psd / floor).sum(1), (owns * downlink).sum(1)


def seconds_for(bits: Floats, rates: Floats) -> Floats:
    """[S, n] seconds for bits [S, n] at rates [n]; none for no bits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bits > 0.0, bits / rates, 0.0)
