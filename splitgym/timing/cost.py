"""What a round costs: seconds, joules and bits, of N worlds at once."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.frameworks.phases import Resource, aggregated_rows
from splitgym.rounds import Decision, RoundState
from splitgym.timing.clock import MIGRATION_ROWS, move_bits, walk
from splitgym.timing.rates import own_rates, whole_band_rates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RoundCost:
    """What a round costs. Shapes are those of one world; a batch has a leading axis N on every array but `stages`.

    The timeline has R = 2 + P rows: parts of the network that move down and up, then the framework's phases.
    """

    stages: tuple[str, ...]
    """R names of the timeline's rows."""
    latency_s: Any
    """Duration of the round."""
    participants: Bools
    """[C] who really took part."""
    without_subchannel: Bools
    """[C] selected and available, but without a subchannel."""
    unavailable: Bools
    """[C] selected, but gone."""
    timed_out: Bools
    """[C] left out because the uplink was not finished at the timeout."""
    start_s: Floats
    """[R, C] begin of each client's phases, from the round's start; a common phase stands at every participant."""
    stop_s: Floats
    """[R, C] end of each client's phases."""
    stage_s: Floats
    """[R] seconds of each row on the critical path; they sum to the latency."""
    client_energy_j: Floats
    """[C] xi f^2 per cycle of computing, plus transmit power times uplink time."""
    server_energy_j: Any
    """xi f_s^2 per cycle of computing, plus the base station's transmit energy."""
    traffic_bits: Any
    """All bits sent: up, down, broadcast (once), moved parts of the network."""
    migration_bits: Any
    """Model bits moved because the cut moved (part of traffic_bits)."""

    def world(self, index: int) -> "RoundCost":
        """One world of a batch."""
        arrays = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "stages"}
        return RoundCost(stages=self.stages, **arrays)

    def seconds_by_stage(self) -> dict[str, float]:
        """Seconds on the critical path by stage name (of one world); they sum to the latency."""
        seconds: dict[str, float] = {}
        for name, value in zip(self.stages, self.stage_s, strict=True):
            seconds[name] = seconds.get(name, 0.0) + float(value)
        return seconds


def round_cost(state: RoundState, decision: Decision) -> RoundCost:
    """What a decision costs in a state: the truth for what happens, a belief for what a scheduler expects.

    Args:
        state: Of one world or of N.
        decision: Of as many worlds.

    Returns:
        The cost, of as many worlds. The latency is finite for every decision.
    """
    if not state.batched:
        return round_cost(state.batch(), decision.batch()).world(0)
    system, program = state.system, state.system.program
    cut = np.asarray(decision.cut_layer, np.int64)
    rows = aggregated_rows(decision.aggregation_ratio, system.batch_size)
    unavailable = decision.selected & ~state.available
    has_subchannel = np.zeros_like(decision.selected)
    world, subchannel = np.nonzero(decision.assignment >= 0)
    has_subchannel[world, decision.assignment[world, subchannel]] = True
    without_subchannel = decision.selected & state.available & ~has_subchannel
    candidates = decision.selected & state.available & has_subchannel
    participants = candidates.copy()
    assignment = _of_candidates(decision.assignment, candidates)
    uplink, downlink, latency, start, stop, stage_s, moved = _walk_worlds(
        program.resource,
        program.work[cut - 1, rows],
        program.per_participant[cut - 1, rows],
        participants,
        state.client_hz,
        np.asarray(state.server_hz, np.float64),
        state.channel_gain,
        assignment,
        decision.power_w_per_hz,
        system.downlink_psd_w_per_hz,
        system.subchannel_hz,
        system.noise_psd_w_per_hz,
        cut,
        state.client_cut_layer,
        system.prefix_bits,
        system.round_timeout_s,
    )
    resource = np.concatenate([[Resource.UNICAST, Resource.UPLINK], program.resource])
    busy = stop - start
    computing, sending, receiving = (
        busy[:, resource == kind].sum(1) for kind in (Resource.CLIENT, Resource.UPLINK, Resource.UNICAST)
    )
    serving, broadcasting = (stage_s[:, resource == kind].sum(1) for kind in (Resource.SERVER, Resource.BROADCAST))
    own_hz, transmit_w = _own(assignment, system.subchannel_hz, decision.power_w_per_hz, candidates.shape[1])
    broadcast_bits = np.where(broadcasting > 0, _broadcast_work(program.work[cut - 1, rows], program.resource), 0.0)
    return RoundCost(
        stages=("migration", "migration", *program.stages),
        latency_s=latency,
        participants=participants,
        without_subchannel=without_subchannel,
        unavailable=unavailable,
        timed_out=candidates & ~participants,
        start_s=start,
        stop_s=stop,
        stage_s=stage_s,
        client_energy_j=system.client_capacitance * state.client_hz**3 * computing + transmit_w * sending,
        server_energy_j=system.server_capacitance * state.server_hz**3 * serving
        + system.downlink_psd_w_per_hz * (system.subchannel_hz.sum() * broadcasting + (own_hz * receiving).sum(1)),
        traffic_bits=(uplink * sending + downlink * receiving).sum(1) + broadcast_bits,
        migration_bits=moved,
    )


def _of_candidates(assignment: NDArray[np.int64], candidates: Bools) -> NDArray[np.int64]:
    """[N, M] the assignment with the subchannels of clients that cannot take part marked unused."""
    owner_takes_part = np.take_along_axis(candidates, np.maximum(assignment, 0), axis=1)
    return np.where((assignment >= 0) & owner_takes_part, assignment, -1)


def _own(assignment: NDArray[np.int64], hz: Floats, psd: Floats, clients: int) -> tuple[Floats, Floats]:
    """[N, C] bandwidth and transmit power of each client, summed over its own subchannels."""
    owned = assignment[:, None, :] == np.arange(clients)[None, :, None]
    return owned @ hz, (owned * (psd * hz)[:, None, :]).sum(-1)


def _broadcast_work(work: Floats, resource: NDArray[np.int64]) -> Floats:
    """[N] bits that are broadcast."""
    return work[:, resource == Resource.BROADCAST].sum(1)


@njit(cache=True)
def _walk_worlds(
    resource: NDArray[np.int64],
    work: Floats,
    per_participant: Floats,
    participants: Bools,
    client_hz: Floats,
    server_hz: Floats,
    gain: Floats,
    assignment: NDArray[np.int64],
    psd: Floats,
    downlink_psd: float,
    subchannel_hz: Floats,
    noise: float,
    cut: NDArray[np.int64],
    client_cut: NDArray[np.int64],
    prefix_bits: Floats,
    timeout_s: float,
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats]:
    worlds, clients = participants.shape
    rows = MIGRATION_ROWS + resource.shape[0]
    uplink, downlink = np.zeros((worlds, clients)), np.zeros((worlds, clients))
    start, stop = np.zeros((worlds, rows, clients)), np.zeros((worlds, rows, clients))
    latency, stage_s, moved = np.zeros(worlds), np.zeros((worlds, rows)), np.zeros(worlds)
    base_station_psd = np.full(subchannel_hz.shape[0], downlink_psd)
    for n in range(worlds):
        uplink[n] = own_rates(gain[n], assignment[n], psd[n], subchannel_hz, noise)
        downlink[n] = own_rates(gain[n], assignment[n], base_station_psd, subchannel_hz, noise)
        band = whole_band_rates(gain[n], downlink_psd, subchannel_hz, noise)
        down, up = np.zeros(clients), np.zeros(clients)
        for i in range(clients):
            down[i], up[i] = move_bits(client_cut[n, i], cut[n], prefix_bits)
        latency[n] = walk(
            resource,
            work[n],
            per_participant[n],
            participants[n],
            client_hz[n],
            server_hz[n],
            uplink[n],
            downlink[n],
            band,
            down,
            up,
            timeout_s,
            start[n],
            stop[n],
            stage_s[n],
        )
        for i in range(clients):
            if participants[n, i]:
                moved[n] += down[i] + up[i]
    return uplink, downlink, latency, start, stop, stage_s, moved
