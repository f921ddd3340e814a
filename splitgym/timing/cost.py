"""What a round costs: seconds, joules and bits, of N worlds at once."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.frameworks.phases import Turns, aggregated_rows
from splitgym.rounds import Decision, RoundState
from splitgym.timing.cell import Spectrum
from splitgym.timing.turn import Rules
from splitgym.timing.turns import walk_turns

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
    """[R, C] begin of each client's phases, from the round's start; a common phase stands at every participant, on
    demand from when the server takes up that client's part."""
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
    members = decision.selected & state.available
    walked = walk_turns(
        Rules(
            program.resource,
            program.turns is Turns.ONE_BY_ONE,
            program.uses_own_subchannels,
            system.round_timeout_s,
        ),
        program.server_by_client if system.on_demand else None,
        Spectrum(
            system.subchannel_hz,
            system.noise_psd_w_per_hz,
            system.downlink_psd_w_per_hz,
            system.client_power_max_w,
            system.total_power_max_w,
        ),
        program.work[cut - 1, rows],
        program.per_participant[cut - 1, rows],
        members,
        np.array(program.turns.of_clients(decision.cluster), np.int64),
        state.client_hz,
        np.asarray(state.server_hz, np.float64),
        state.channel_gain,
        decision.by_turn,
        decision.assignment if decision.by_turn else decision.assignment[:, None],
        decision.power_w_per_hz if decision.by_turn else decision.power_w_per_hz[:, None],
        cut,
        state.client_cut_layer,
        system.prefix_bits,
    )
    busy, links = walked.busy, walked.links
    own_hz = links.held @ system.subchannel_hz
    transmit_w = (links.psd * system.subchannel_hz).sum(-1)
    return RoundCost(
        stages=("migration", "migration", *program.stages),
        latency_s=walked.latency,
        participants=walked.participants,
        without_subchannel=members & ~walked.candidates,
        unavailable=decision.selected & ~state.available,
        timed_out=walked.candidates & ~walked.participants,
        start_s=walked.begin[:, None] + walked.start,
        stop_s=walked.begin[:, None] + walked.stop,
        stage_s=walked.stage_s,
        client_energy_j=system.client_capacitance * state.client_hz**3 * busy.computing + transmit_w * busy.sending,
        server_energy_j=system.server_capacitance * state.server_hz**3 * busy.serving
        + system.downlink_psd_w_per_hz
        * (system.subchannel_hz.sum() * busy.broadcasting + (own_hz * busy.receiving).sum(1)),
        traffic_bits=(links.uplink * busy.sending + links.downlink * busy.receiving).sum(1) + walked.broadcast_bits,
        migration_bits=walked.moved,
    )
