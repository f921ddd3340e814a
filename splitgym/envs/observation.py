"""What a policy sees: the believed state as numbers between 0 and 1."""

from math import log, log2, sqrt

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.novelty import fill_rarity, novelty_of_client
from splitgym.kernels import INLINED, UNCOUNTED, kernel
from splitgym.network.worlds import Bools, Floats, Ints
from splitgym.rounds import RoundState, System
from splitgym.scenario import Scenario

HALF_EFFICIENCY = 4.0
"""bit/s/Hz that a squashed channel shows as 0.5."""
HALF_ABSENCE = 4.0
"""Rounds without a client that are shown as 0.5."""
HALF_EXPERIENCE = 16.0
"""Rounds with a client that are shown as 0.5."""
PER_CLIENT = (
    "channel",
    "compute",
    "loss",
    "data_share",
    "available",
    "took_part",
    "client_cut_layer",
    "absence",
    "experience",
    "diversity",
    "novelty",
)
SCALARS = ("accuracy", "cut_layer", "aggregation_ratio", "round_latency", "rounds_left", "time_left")


class ObservationCodec:
    """Turns believed states into observations; index by index in the environment's documentation.

    Quantities without an upper end are squashed, x / (x + reference), so that the reference gives 0.5.

    Attributes:
        space: Box(0, 1) of one world.
        names: What stands at each index.
    """

    def __init__(self, scenario: Scenario, system: System, classes: int, subchannel_estimates: bool) -> None:
        self._system = system
        self._subchannel_estimates = subchannel_estimates
        episode, family = scenario.episode, scenario.family
        self._shows_present = family.clients is not None
        self._shows_bandwidth = family.subchannel_hz is not None
        reference_hz = sqrt(scenario.clients.compute_min_hz * scenario.clients.compute_max_hz)
        reference_latency_s = episode.time_budget_s / episode.max_rounds
        self._references = (reference_hz, log(classes), reference_latency_s, scenario.radio.subchannel_hz)
        clients, subchannels = range(scenario.clients.count), range(system.subchannels)
        self.names = (
            *(f"{name}[{i}]" for name in PER_CLIENT for i in clients),
            *SCALARS,
            *(f"present[{i}]" for i in clients if self._shows_present),
            *(["bandwidth"] if self._shows_bandwidth else []),
            *(f"subchannel[{i},{k}]" for i in clients for k in subchannels if subchannel_estimates),
        )
        self.space = spaces.Box(0.0, 1.0, (len(self.names),), np.float32)

    def encode(self, state: RoundState, which: Ints) -> NDArray[np.float32]:
        """[W, observation] of some of N worlds; of clients that are not present all is 0.

        Args:
            state: Of N worlds, as the scheduler believes it.
            which: [W] indices of the worlds.
        """
        system = self._system
        observed = np.zeros((len(which), len(self.names)), np.float32)
        _observe(
            observed,
            np.empty(state.class_share.shape[2]),
            which,
            self._references,
            (system.max_rounds, system.time_budget_s),
            (system.client_power_max_w, system.noise_psd_w_per_hz),
            system.cut_layers,
            self._shows_present,
            self._shows_bandwidth,
            self._subchannel_estimates,
            state.channel_gain,
            state.subchannel_hz,
            state.client_hz,
            state.client_loss,
            state.data_share,
            state.available,
            state.client_cut_layer,
            state.present,
            state.class_share,
            state.participated,
            state.absence,
            state.experience,
            state.accuracy,
            state.cut_layer,
            state.last_aggregation_ratio,
            state.last_latency_s,
            state.round,
            state.elapsed_s,
        )
        return observed


@kernel(INLINED)
def _squash(value: float, reference: float) -> float:
    return value / (value + reference)


@kernel(UNCOUNTED)
def _observe(
    observed: NDArray[np.float32],
    rarity: Floats,
    which: Ints,
    references: tuple[float, float, float, float],
    budgets: tuple[int, float],
    power: tuple[float, float],
    cut_layers: int,
    shows_present: bool,
    shows_bandwidth: bool,
    shows_subchannels: bool,
    channel_gain: Floats,
    subchannel_hz: Floats,
    client_hz: Floats,
    client_loss: Floats,
    data_share: Floats,
    available: Bools,
    client_cut_layer: Ints,
    present: Bools,
    class_share: Floats,
    participated: Bools,
    absence: Floats,
    experience: Floats,
    accuracy: Floats,
    cut_layer: Ints,
    aggregation_ratio: Floats,
    latency_s: Floats,
    rounds: Ints,
    elapsed_s: Floats,
) -> None:
    """The observations of the worlds `which`, into zeros; the order of the entries is that of `ObservationCodec.names`.

    The channel is the spectral efficiency with the power budget spread over the whole band.
    """
    _, clients, subchannels = channel_gain.shape
    reference_hz, reference_loss, reference_s, reference_band_hz = references
    power_max_w, noise = power
    first = (len(PER_CLIENT) * clients) + len(SCALARS)
    for index, n in enumerate(which):
        row = observed[index]
        band_hz = 0.0
        for k in range(subchannels):
            band_hz += subchannel_hz[n, k]
        snr = power_max_w / band_hz / noise
        count = 0
        for i in range(clients):
            count += present[n, i]
        fill_rarity(rarity, class_share[n], data_share[n], experience[n])
        at = first + clients * shows_present + shows_bandwidth
        for i in range(clients):
            if present[n, i]:
                total = 0.0
                for k in range(subchannels):
                    channel = _squash(log2(1 + snr * channel_gain[n, i, k]), HALF_EFFICIENCY)
                    total += channel
                    if shows_subchannels:
                        row[at + i * subchannels + k] = channel
                row[i] = total / subchannels
                row[clients + i] = _squash(client_hz[n, i], reference_hz)
                row[2 * clients + i] = _squash(client_loss[n, i], reference_loss)
                row[3 * clients + i] = _squash(data_share[n, i] * count, 1.0)
                row[4 * clients + i] = available[n, i]
                row[5 * clients + i] = participated[n, i]
                row[6 * clients + i] = client_cut_layer[n, i] / cut_layers
                row[7 * clients + i] = _squash(absence[n, i], HALF_ABSENCE)
                row[8 * clients + i] = _squash(experience[n, i], HALF_EXPERIENCE)
                squares = 0.0
                for k in range(len(rarity)):
                    squares += class_share[n, i, k] * class_share[n, i, k]
                row[9 * clients + i] = 1 / (len(rarity) * squares)
                row[10 * clients + i] = _squash(novelty_of_client(class_share[n, i], rarity), 1.0)
                if shows_present:
                    row[first + i] = 1
        at = len(PER_CLIENT) * clients
        row[at] = accuracy[n]
        row[at + 1] = cut_layer[n] / cut_layers
        row[at + 2] = aggregation_ratio[n]
        row[at + 3] = _squash(latency_s[n], reference_s)
        row[at + 4] = 1 - rounds[n] / budgets[0]
        row[at + 5] = max(0.0, 1 - elapsed_s[n] / budgets[1])
        if shows_bandwidth:
            row[first + clients * shows_present] = _squash(subchannel_hz[n, 0], reference_band_hz)
