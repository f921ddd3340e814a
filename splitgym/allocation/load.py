"""What each client has to do by itself in a round, read from the framework's program."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitgym.frameworks.phases import Resource, aggregated_rows
from splitgym.rounds import RoundState
from splitgym.timing.clock import deadline_barrier, move_bits

Floats = NDArray[np.float64]


class OwnLoad(NamedTuple):
    """Per client [C]: seconds of computing and bits to move.

    "Before" is what is done until the timeout applies: up to the first wait for everybody after the first uplink, or
    the whole round where there is none.
    """

    compute_before_s: Floats
    uplink_bits: Floats
    """In the whole round."""
    compute_after_s: Floats
    downlink_bits_before: Floats
    downlink_bits_after: Floats


def own_load(state: RoundState, cut_layer: int, aggregation_ratio: float) -> OwnLoad:
    """The load at a cut layer, parts of the network that must move first included; `state` is of one world."""
    system, program = state.system, state.system.program
    rows = aggregated_rows(aggregation_ratio, system.batch_size)
    work = program.work[cut_layer - 1, rows]
    before = np.arange(len(work)) < deadline_barrier(program.resource)

    def total(resource: Resource, part: NDArray[np.bool_] | bool = True) -> float:
        return float(work[(program.resource == resource) & part].sum())

    down, up = np.array([move_bits(held, cut_layer, system.prefix_bits) for held in state.client_cut_layer]).T
    return OwnLoad(
        compute_before_s=total(Resource.CLIENT, before) / state.client_hz,
        uplink_bits=total(Resource.UPLINK) + up,
        compute_after_s=total(Resource.CLIENT, ~before) / state.client_hz,
        downlink_bits_before=total(Resource.UNICAST, before) + down,
        downlink_bits_after=np.full(len(down), total(Resource.UNICAST, ~before)),
    )
