"""To which base station each client belongs: the strongest at first, then by event A3 of 3GPP TS 38.331.

Another station takes over once its large-scale gain has exceeded that of the client's own by the hysteresis for the
time to trigger. Gains are measured at the start of each round: what holds then is taken to have held in the whole round
before.
"""

from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, kernel
from splitgym.scenario import Scenario


class Attachment(NamedTuple):
    """The clients' stations in N worlds."""

    station: Ints
    """[N, C] index of the station that serves the client."""
    a3_s: Floats
    """[N, S, C] seconds for which each station's gain has been large enough."""
    left: Ints
    """[N, C] that of the round before."""
    handed_over: Bools
    """[N, C] clients with another station than in the round before."""
    interruption_s: Floats
    """[N, C] seconds by which they begin the round later."""

    @classmethod
    def empty(cls, worlds: int, stations: int, clients: int) -> Self:
        """Everybody belongs to the first."""
        of_clients = worlds, clients
        return cls(
            np.zeros(of_clients, np.int64),
            np.zeros((worlds, stations, clients)),
            np.zeros(of_clients, np.int64),
            np.zeros(of_clients, bool),
            np.zeros(of_clients),
        )


class Rule(NamedTuple):
    """When a client changes its station."""

    hysteresis: float
    """Linear."""
    time_to_trigger_s: float
    interruption_s: float

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """That of a scenario."""
        handover = scenario.handover
        return cls(10 ** (handover.hysteresis_db / 10), handover.time_to_trigger_s, handover.interruption_s)


@kernel(INLINED)
def attach(attachment: Attachment, gain: Floats, n: int) -> None:
    """Every client of world n belongs to the station of the largest of its large-scale gains, [S, C]."""
    for i in range(gain.shape[1]):
        attachment.station[n, i] = attachment.left[n, i] = _largest(gain, i)
        attachment.handed_over[n, i], attachment.interruption_s[n, i] = False, 0.0
        for s in range(gain.shape[0]):
            attachment.a3_s[n, s, i] = 0.0


@kernel(INLINED)
def hand_over(attachment: Attachment, rule: Rule, gain: Floats, elapsed_s: float, n: int) -> None:
    """Applies the rule in world n after a round of `elapsed_s` seconds; of several the strongest takes over."""
    for i in range(gain.shape[1]):
        own = attachment.station[n, i]
        best, threshold = own, gain[own, i] * rule.hysteresis
        for s in range(gain.shape[0]):
            exceeds = s != own and gain[s, i] > threshold
            held_s = attachment.a3_s[n, s, i] + elapsed_s if exceeds else 0.0
            attachment.a3_s[n, s, i] = held_s
            triggers = exceeds and held_s >= rule.time_to_trigger_s
            if triggers and (best == own or gain[s, i] > gain[best, i]):
                best = s
        moves = best != own
        attachment.station[n, i], attachment.left[n, i], attachment.handed_over[n, i] = best, own, moves
        attachment.interruption_s[n, i] = rule.interruption_s if moves else 0.0
        if moves:
            for s in range(gain.shape[0]):
                attachment.a3_s[n, s, i] = 0.0


@kernel(INLINED)
def _largest(gain: Floats, i: int) -> int:
    """The station of the largest gain of client i, the first of several."""
    best = 0
    for s in range(1, gain.shape[0]):
        if gain[s, i] > gain[best, i]:
            best = s
    return best
