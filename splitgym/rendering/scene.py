"""What a frame shows: a cell, the round that has been played in it, and how far the episode is."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from splitgym.arrays import Floats
from splitgym.frameworks import Framework
from splitgym.scenario import Scenario
from splitgym.timing import RoundCost
from splitgym.types import Decision, RoundState
from splitgym.types.flights import IDLE


class Role(StrEnum):
    """What a client did in a round."""

    READY = "ready"
    """No round has been played yet."""
    TOOK_PART = "took part"
    NOT_SELECTED = "not selected"
    UNAVAILABLE = "unavailable"
    WITHOUT_SUBCHANNEL = "no subchannel"
    WITHOUT_MEMORY = "too little memory"
    TIMED_OUT = "timed out"
    IN_FLIGHT = "in flight"
    """It goes on with a mini-batch, or with what it got from an update."""


class Played(NamedTuple):
    """A round that has been played, in one world."""

    decision: Decision
    """As it was carried out."""
    cost: RoundCost
    projected: bool
    """Whether the power budgets had been broken."""
    trained: bool
    """Whether anything was learnt."""


@dataclass(frozen=True)
class Scene:
    """A round of an episode, of one world with C clients; R rounds have been played."""

    scenario: Scenario
    framework: Framework
    learner: str
    state: RoundState
    """What the round ran on; before the first one, what it will run on."""
    position_m: Floats
    """[C, 2] where the clients were, m; without rows of stations the base station is in the origin."""
    radius_m: float
    """Of the cell, m."""
    elapsed_s: Floats
    """[R + 1] simulated time at the start and after each round, s."""
    accuracy: Floats
    """[R + 1] test accuracy then."""
    played: Played | None
    """The last round; None: there was none yet."""

    @property
    def round(self) -> int:
        """Rounds that have been played, R."""
        return len(self.elapsed_s) - 1

    @property
    def clients(self) -> list[int]:
        """Indices of the clients that belong to the episode."""
        return np.flatnonzero(self.state.present).tolist()

    def role(self, client: int) -> Role:
        """What the client did in the last round."""
        if self.played is None:
            return Role.READY if self.state.available[client] else Role.UNAVAILABLE
        cost = self.played.cost
        if cost.participants[client]:
            return Role.TOOK_PART
        if cost.timed_out[client]:
            return Role.TIMED_OUT
        if cost.flights is not None and cost.flights.row[client] != IDLE:
            return Role.IN_FLIGHT
        reasons = {Role.WITHOUT_SUBCHANNEL: cost.without_subchannel, Role.WITHOUT_MEMORY: cost.without_memory}
        for reason, clients in reasons.items():
            if clients[client]:
                return reason
        gone = cost.unavailable[client] or not self.state.available[client]
        return Role.UNAVAILABLE if gone else Role.NOT_SELECTED

    def distance_m(self, client: int) -> float:
        """From the client's base station, m."""
        stations = self.scenario.stations
        x, y = stations[int(self.state.station[client])].position_m if stations else (0.0, 0.0)
        return float(np.hypot(self.position_m[client, 0] - x, self.position_m[client, 1] - y))

    def gain_db(self, client: int) -> float:
        """Mean channel gain over the subchannels of the client's station, dB."""
        return float(10 * np.log10(self.state.mean_gain[client]))


def owned(scene: Scene) -> Floats:
    """[C, M] what was decided of the band: W/Hz of each client on its subchannels; NaN: not its own."""
    played = scene.played
    density = np.full(scene.state.channel_gain.shape, np.nan)
    if played is None:
        return density
    decision = played.decision
    used = np.atleast_2d(decision.used(scene.framework.access))
    owner, power = np.atleast_2d(decision.assignment), np.atleast_2d(decision.power_w_per_hz)
    slot, subchannel = np.nonzero(used)
    density[owner[slot, subchannel], subchannel] = power[slot, subchannel]
    return density
