"""What a policy sees: the believed state as numbers between 0 and 1."""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.rounds import RoundState, System
from splitgym.scenario import Scenario


@dataclass(frozen=True)
class LastRound:
    """What the last round left behind that the state does not say; all zero before the first."""

    participants: NDArray[np.bool_]
    """[C]."""
    aggregation_ratio: float
    latency_s: float


class ObservationCodec:
    """Turns a believed state into the observation; index by index in the environment's documentation.

    Quantities without an upper end are squashed, x / (x + reference), so that the reference gives 0.5.

    Attributes:
        space: Box(0, 1).
        names: What stands at each index.
    """

    def __init__(self, scenario: Scenario, system: System, classes: int, subchannel_estimates: bool) -> None:
        self._system = system
        self._episode = scenario.episode
        self._subchannel_estimates = subchannel_estimates
        self._reference_hz = sqrt(scenario.clients.compute_min_hz * scenario.clients.compute_max_hz)
        self._reference_loss = log(classes)
        self._reference_latency_s = scenario.episode.time_budget_s / scenario.episode.max_rounds
        clients, subchannels = range(scenario.clients.count), range(system.subchannels)
        per_client = ("channel", "compute", "loss", "data_share", "available", "took_part", "client_cut_layer")
        self.names = (
            *(f"{name}[{i}]" for name in per_client for i in clients),
            *("accuracy", "cut_layer", "aggregation_ratio", "round_latency", "rounds_left", "time_left"),
            *(f"subchannel[{i},{k}]" for i in clients for k in subchannels if subchannel_estimates),
        )
        self.space = spaces.Box(0.0, 1.0, (len(self.names),), np.float32)

    def encode(self, state: RoundState, last: LastRound) -> NDArray[np.float32]:
        """The observation of one world."""
        episode, system = self._episode, self._system
        channel = self._channel(state)
        shares = state.data_share * len(state.data_share)
        scalars = [
            state.accuracy,
            state.cut_layer / system.cut_layers,
            last.aggregation_ratio,
            _squash(last.latency_s, self._reference_latency_s),
            1 - state.round / episode.max_rounds,
            max(0.0, 1 - state.elapsed_s / episode.time_budget_s),
        ]
        parts = [
            channel.mean(1),
            _squash(state.client_hz, self._reference_hz),
            _squash(state.client_loss, self._reference_loss),
            _squash(shares, 1.0),
            state.available,
            last.participants,
            state.client_cut_layer / system.cut_layers,
            scalars,
            channel.ravel() if self._subchannel_estimates else [],
        ]
        return np.concatenate(parts).astype(np.float32)

    def _channel(self, state: RoundState) -> NDArray[np.float64]:
        """[C, M] spectral efficiency with the power budget spread over the whole band; 4 bit/s/Hz gives 0.5."""
        system = self._system
        psd = system.client_power_max_w / system.subchannel_hz.sum()
        return _squash(np.log2(1 + psd * state.channel_gain / system.noise_psd_w_per_hz), 4.0)


def _squash(value: NDArray[np.float64] | float, reference: float) -> NDArray[np.float64]:
    return np.asarray(value / (value + reference))
