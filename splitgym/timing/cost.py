"""What a round costs: seconds, joules and bits, of N worlds at once."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.frameworks.phases import aggregated_rows
from splitgym.rounds import Decision, RoundState
from splitgym.timing.cell import Constants
from splitgym.timing.turns import Decided, Rules, Walked, Worlds, walk_turns

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

    def seconds_by_stage(self) -> dict[str, Any]:
        """Seconds on the critical path by stage name (of a batch: [N] each); they sum to the latency."""
        seconds: dict[str, Any] = {}
        for name, value in zip(self.stages, self.stage_s.T, strict=True):
            seconds[name] = seconds.get(name, 0.0) + value
        return seconds


def round_cost(state: RoundState, decision: Decision) -> RoundCost:
    """What a decision costs in a state: the truth for what happens, a belief for what a scheduler expects.

    Args:
        state: Of one world or of N.
        decision: Of as many worlds.

    Returns:
        The cost, of as many worlds. The latency is finite for every decision.
    """
    system, program, one = state.system, state.system.program, not state.batched
    worlds, clients = (1, len(state.client_hz)) if one else state.client_hz.shape
    rows = 2 + len(program.stages)
    axis = np.newaxis if one else slice(None)
    who, when, total = (
        np.zeros((3, worlds, clients), np.bool_),
        np.zeros((2, worlds, rows, clients)),
        np.zeros((4, worlds)),
    )
    walked = Walked(
        who[0],
        who[1],
        who[2],
        when[0],
        when[1],
        np.zeros((worlds, rows)),
        np.zeros((worlds, clients)),
        total[0],
        total[1],
        total[2],
        total[3],
    )
    walk_turns(
        Constants(
            system.noise_psd_w_per_hz,
            system.downlink_psd_w_per_hz,
            system.client_power_max_w,
            system.total_power_max_w,
            system.client_capacitance,
            system.server_capacitance,
        ),
        Rules(
            program.resource,
            program.work,
            program.per_participant,
            system.prefix_bits,
            int(program.turns),
            program.uses_own_subchannels,
            system.round_timeout_s,
        ),
        program.server_by_client if system.on_demand else None,
        Worlds(
            state.subchannel_hz[axis],
            state.channel_gain[axis],
            state.client_hz[axis],
            np.full(worlds, state.server_hz, np.float64),
            state.client_cut_layer[axis],
            state.available[axis],
        ),
        Decided(
            np.full(worlds, decision.cut_layer, np.int64),
            np.full(worlds, aggregated_rows(decision.aggregation_ratio, system.batch_size)),
            decision.selected[axis],
            np.asarray(decision.cluster, np.int64)[axis],
            _with_turns(decision.assignment[axis], decision.by_turn),
            _with_turns(decision.power_w_per_hz[axis], decision.by_turn),
            decision.by_turn,
        ),
        walked,
    )
    of = 0 if one else slice(None)
    return RoundCost(
        stages=("migration", "migration", *program.stages),
        latency_s=walked.latency_s[of],
        participants=walked.participants[of],
        without_subchannel=walked.without_subchannel[of],
        unavailable=decision.selected & ~state.available,
        timed_out=walked.timed_out[of],
        start_s=walked.start[of],
        stop_s=walked.stop[of],
        stage_s=walked.stage_s[of],
        client_energy_j=walked.client_energy_j[of],
        server_energy_j=walked.server_energy_j[of],
        traffic_bits=walked.traffic_bits[of],
        migration_bits=walked.moved_bits[of],
    )


def _with_turns(array: NDArray[Any], by_turn: bool) -> NDArray[Any]:
    """[N, T, M] from [N, T, M] or [N, M]."""
    return array if by_turn else array[:, None]
