"""What a policy sees of mini-batches in flight, with an asynchronous framework: [N, C] values, 0..1."""

import numpy as np

from splitgym.arrays import Floats
from splitgym.frameworks.asynchrony import Asynchrony
from splitgym.frameworks.program import MIGRATION_ROWS
from splitgym.frameworks.resources import Resource
from splitgym.types import Flights, RoundState


def _flights(state: RoundState) -> tuple[Flights, Asynchrony]:
    assert state.flights is not None
    assert state.system.asynchrony is not None
    return state.flights, state.system.asynchrony


def in_flight(state: RoundState) -> Floats:
    """1 for clients at work on a mini-batch that the server has not taken up, or that have delivered it."""
    return state.in_flight.astype(np.float64)


def delivered(state: RoundState) -> Floats:
    """1 for clients whose smashed data wait at the server."""
    return state.delivered.astype(np.float64)


def _left(state: RoundState, resources: tuple[Resource, ...]) -> tuple[Floats, Floats]:
    """[N, C] cycles or bits that are left until the client has delivered, or is back, and those of all its rows."""
    flights, asynchrony = _flights(state)
    program, left, whole = state.system.program, np.zeros(flights.left.shape), np.zeros(flights.left.shape)
    for phase, resource in enumerate(program.resource):
        row = MIGRATION_ROWS + phase
        if resource not in resources:
            continue
        amount = program.own_work[np.array(program.device), flights.plan, phase]
        same_leg = (flights.row < asynchrony.server_row) == (row < asynchrony.server_row)
        ahead = (flights.row >= 0) & (flights.row < row) & same_leg
        left += ahead * amount + (flights.row == row) * flights.left
        whole += amount
    return left, whole


def compute_left(state: RoundState) -> Floats:
    """Seconds of computing until a client has delivered, or is back, squashed at time budget / round budget."""
    left, _ = _left(state, (Resource.CLIENT,))
    seconds = left / state.client_hz
    scale_s = state.system.time_budget_s / state.system.max_rounds
    return seconds / (seconds + scale_s)


def server_left(state: RoundState) -> Floats:
    """[N] seconds until the server has done what generated rows it has left, squashed likewise."""
    flights, _ = _flights(state)
    seconds = np.asarray(flights.server_left / state.server_hz)
    scale_s = state.system.time_budget_s / state.system.max_rounds
    return seconds / (seconds + scale_s)


def bits_left(state: RoundState) -> Floats:
    """Bits to send until then, or to receive, over those of a whole mini-batch."""
    left, whole = _left(state, (Resource.UPLINK, Resource.UNICAST))
    return left / whole
