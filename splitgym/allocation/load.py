"""What each client has to do by itself in a round, read from the framework's program."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.frameworks.phases import Resource, aggregated_rows
from splitgym.rounds import RoundState
from splitgym.timing.clock import move_bits

Floats = NDArray[np.float64]


class OwnLoad(NamedTuple):
    """Per client [C]: seconds of computing and bits to move, before and after the server's part of the round."""

    compute_before_s: Floats
    uplink_bits: Floats
    compute_after_s: Floats
    downlink_bits_before: Floats
    downlink_bits_after: Floats


def own_load(state: RoundState, cut_layer: int, aggregation_ratio: float) -> OwnLoad:
    """The load at a cut layer, parts of the network that must move first included; `state` is of one world."""
    system, program = state.system, state.system.program
    rows = aggregated_rows(aggregation_ratio, system.batch_size)
    work = program.work[cut_layer - 1, rows]
    common = program.resource >= Resource.SERVER
    before = np.arange(len(work)) < np.argmax(common)

    def total(resource: Resource, part: NDArray[np.bool_]) -> float:
        return float(work[(program.resource == resource) & part].sum())

    down, up = np.array([move_bits(held, cut_layer, system.prefix_bits) for held in state.client_cut_layer]).T
    return OwnLoad(
        compute_before_s=total(Resource.CLIENT, before) / state.client_hz,
        uplink_bits=total(Resource.UPLINK, before) + up,
        compute_after_s=total(Resource.CLIENT, ~before) / state.client_hz,
        downlink_bits_before=down,
        downlink_bits_after=np.full(len(down), total(Resource.UNICAST, ~before)),
    )
