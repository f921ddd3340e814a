"""What lies between clients and server beside the radio: wires behind the base stations, and handovers."""

from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.inputs import InputError
from splitgym.kernels import INLINED, kernel
from splitgym.network.wired import Ways
from splitgym.types import RoundState, with_axis


class Wires(NamedTuple):
    """Of the clients of one world; all [C]."""

    s_per_bit: Floats
    """Seconds that a bit needs between the client's station and the server."""
    delay_s: Floats
    """Seconds that whatever is sent needs beside those."""
    links: Floats
    """Number of links on the way."""
    interruption_s: Floats
    """Seconds by which the client begins its slot later, after a handover."""
    station: Ints
    """Index of its station."""

    @classmethod
    def none(cls, clients: int) -> Self:
        """The station is beside the server."""
        s_per_bit, delay_s, links, interruption_s = np.zeros((4, clients))
        return cls(s_per_bit, delay_s, links, interruption_s, np.zeros(clients, np.int64))


class Attached(NamedTuple):
    """The clients' stations in N worlds."""

    station: Ints
    """[N, C] index of each client's."""
    s_per_bit: Floats
    """[N, C, F] as in `Wires`, to each of F servers."""
    interruption_s: Floats
    """[N, C] as in `Wires`."""


def attached_of(state: RoundState) -> Attached:
    """The stations of the clients in a state of one world or N; who never sends by itself waits for no handover.

    Raises:
        InputError: the state does not say how far it is to each of the servers that may be the first.
    """
    shape = (*state.available.shape, state.system.ways.delay_s.shape[1])
    if state.wired_s_per_bit.shape != shape:
        raise InputError(f"RoundState.wired_s_per_bit: shape {state.wired_s_per_bit.shape}, allowed: {shape}")
    interruption_s = state.interruption_s
    if not state.system.program.uses_own_subchannels:
        interruption_s = np.zeros_like(interruption_s)
    return Attached(
        with_axis(state.station, not state.batched),
        with_axis(state.wired_s_per_bit, not state.batched),
        with_axis(interruption_s, not state.batched),
    )


@kernel(INLINED)
def fill_wires(wires: Wires, ways: Ways, attached: Attached, n: int, f: int) -> None:
    """Those of world n, to server f of those that may be the first."""
    for i in range(wires.station.shape[0]):
        station = attached.station[n, i]
        wires.station[i], wires.interruption_s[i] = station, attached.interruption_s[n, i]
        wires.s_per_bit[i] = attached.s_per_bit[n, i, f]
        wires.delay_s[i], wires.links[i] = ways.delay_s[station, f], ways.links[station, f]


@kernel(INLINED)
def through(rate: float, s_per_bit: float) -> float:
    """Bits/s of what is sent by radio at a rate, and then over wires that need so much time for a bit."""
    return rate / (1.0 + rate * s_per_bit)


@kernel(INLINED)
def radio_share(rate: float, s_per_bit: float) -> float:
    """Share of that time in which the radio is busy."""
    return 1.0 / (1.0 + rate * s_per_bit)


@kernel(INLINED)
def fill_through(rates: Floats, wires: Wires, all_the_way: Floats) -> None:
    """`through` of [C] rates, which may be the array that is filled."""
    for i in range(rates.shape[0]):
        all_the_way[i] = through(rates[i], wires.s_per_bit[i])


@kernel(INLINED)
def broadcast_delay_s(ways: Ways) -> float:
    """Seconds that a broadcast needs beside its bits: all stations send it at once, when the last could have it."""
    longest = 0.0
    for s in range(ways.delay_s.shape[0]):
        longest = max(longest, ways.delay_s[s, 0])
    return longest
