"""What a policy sees: the believed state as numbers between 0 and 1."""

from math import log, log2, sqrt
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.selection.novelty import fill_rarity, novelty_of_client
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.features import INDEX, SHIPPED, STANDARD, Feature, ObservationSpace, features_of
from splitgym.inputs import InputError
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel
from splitgym.scenario import Scenario
from splitgym.types import RoundState, SystemParameters

HALF_EFFICIENCY = 4.0
"""bit/s/Hz that a squashed channel shows as 0.5."""
HALF_ABSENCE = 4.0
"""Rounds without a client that are shown as 0.5."""
HALF_EXPERIENCE = 16.0
"""Rounds with a client that are shown as 0.5."""
HIDDEN = -1
"""Instead of the first entry of a feature that is not shown."""
(
    CHANNEL,
    COMPUTE,
    LOSS,
    DATA_SHARE,
    AVAILABLE,
    TOOK_PART,
    CLIENT_CUT_LAYER,
    ABSENCE,
    EXPERIENCE,
    DIVERSITY,
    NOVELTY,
    ACCURACY,
    CUT_LAYER,
    AGGREGATION_RATIO,
    ROUND_LATENCY,
    ROUNDS_LEFT,
    TIME_LEFT,
    PRESENT,
    BANDWIDTH,
    SUBCHANNEL,
) = range(len(SHIPPED))


class ObservationCodec:
    """Makes observations of believed states; index by index in the environment's documentation.

    Quantities without an upper end are squashed, x / (x + reference), so that the reference gives 0.5.

    Attributes:
        features: What is shown.
        space: Box(0, 1) of one world.
        names: What stands at each index.
    """

    def __init__(
        self,
        scenario: Scenario,
        system: SystemParameters,
        classes: int,
        subchannel_estimates: bool,
        asked: Any = STANDARD,
    ) -> None:
        self._system = system
        episode = scenario.episode
        reference_hz = sqrt(scenario.clients.compute_min_hz * scenario.clients.compute_max_hz)
        reference_latency_s = episode.time_budget_s / episode.max_rounds
        self._references = (reference_hz, log(classes), reference_latency_s, scenario.radio.subchannel_hz)
        self.features = features_of(asked, scenario, subchannel_estimates)
        self._first = np.full(len(SHIPPED), HIDDEN)
        self._own: list[tuple[Feature, int, int]] = []
        names: list[str] = []
        for feature in self.features:
            added = feature.names(scenario.clients.count, system.subchannels)
            if feature.of is None:
                self._first[INDEX[feature.name]] = len(names)
            else:
                self._own.append((feature, len(names), len(names) + len(added)))
            names += added
        self.names = tuple(names)
        self.space: spaces.Space[Any] = ObservationSpace(names)

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
            self._first,
            self._references,
            (system.max_rounds, system.time_budget_s),
            (system.client_power_max_w, system.noise_psd_w_per_hz),
            system.cut_layers,
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
        for feature, start, stop in self._own:
            observed[:, start:stop] = _own_values(feature, state, stop - start)[which]
        return observed


def _own_values(feature: Feature, state: RoundState, entries: int) -> Floats:
    """[N, entries] values of one's own feature.

    Raises:
        InputError: they have another shape, or are not 0..1.
    """
    assert feature.of is not None
    values = np.asarray(feature.of(state), np.float64)
    worlds = len(state.channel_gain)
    if values.size != worlds * entries or values.shape[:1] != (worlds,):
        expected = {"client": "[N, C]", "cell": "[N]", "link": "[N, C, M]"}[feature.per]
        raise InputError(f"observation: feature {feature.name!r} gives shape {values.shape}, allowed: {expected}")
    if not ((values >= 0) & (values <= 1)).all():
        low, high = values.min(), values.max()
        raise InputError(f"observation: feature {feature.name!r} gives {low:g} to {high:g}, allowed: 0..1")
    return values.reshape(worlds, entries)


@kernel(INLINED)
def _squash(value: float, reference: float) -> float:
    return value / (value + reference)


@kernel(INLINED)
def _show(row: NDArray[np.float32], first: Ints, feature: int, place: int, value: float) -> None:
    """Writes an entry of a feature, unless it is hidden."""
    if first[feature] != HIDDEN:
        row[first[feature] + place] = value


@kernel(NO_REFCOUNT)
def _observe(
    observed: NDArray[np.float32],
    rarity: Floats,
    which: Ints,
    first: Ints,
    references: tuple[float, float, float, float],
    budgets: tuple[int, float],
    power: tuple[float, float],
    cut_layers: int,
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
    """The observations of the worlds `which`, into zeros; `first` is the first entry of each shipped feature or HIDDEN.

    The channel is the spectral efficiency with the power budget spread over the whole band.
    """
    _, clients, subchannels = channel_gain.shape
    reference_hz, reference_loss, reference_s, reference_band_hz = references
    power_max_w, noise = power
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
        for i in range(clients):
            if not present[n, i]:
                continue
            total = 0.0
            for k in range(subchannels):
                channel = _squash(log2(1 + snr * channel_gain[n, i, k]), HALF_EFFICIENCY)
                total += channel
                _show(row, first, SUBCHANNEL, i * subchannels + k, channel)
            squares = 0.0
            for k in range(len(rarity)):
                squares += class_share[n, i, k] * class_share[n, i, k]
            _show(row, first, CHANNEL, i, total / subchannels)
            _show(row, first, COMPUTE, i, _squash(client_hz[n, i], reference_hz))
            _show(row, first, LOSS, i, _squash(client_loss[n, i], reference_loss))
            _show(row, first, DATA_SHARE, i, _squash(data_share[n, i] * count, 1.0))
            _show(row, first, AVAILABLE, i, available[n, i])
            _show(row, first, TOOK_PART, i, participated[n, i])
            _show(row, first, CLIENT_CUT_LAYER, i, client_cut_layer[n, i] / cut_layers)
            _show(row, first, ABSENCE, i, _squash(absence[n, i], HALF_ABSENCE))
            _show(row, first, EXPERIENCE, i, _squash(experience[n, i], HALF_EXPERIENCE))
            _show(row, first, DIVERSITY, i, 1 / (len(rarity) * squares))
            _show(row, first, NOVELTY, i, _squash(novelty_of_client(class_share[n, i], rarity), 1.0))
            _show(row, first, PRESENT, i, 1.0)
        _show(row, first, ACCURACY, 0, accuracy[n])
        _show(row, first, CUT_LAYER, 0, cut_layer[n] / cut_layers)
        _show(row, first, AGGREGATION_RATIO, 0, aggregation_ratio[n])
        _show(row, first, ROUND_LATENCY, 0, _squash(latency_s[n], reference_s))
        _show(row, first, ROUNDS_LEFT, 0, 1 - rounds[n] / budgets[0])
        _show(row, first, TIME_LEFT, 0, max(0.0, 1 - elapsed_s[n] / budgets[1]))
        _show(row, first, BANDWIDTH, 0, _squash(subchannel_hz[n, 0], reference_band_hz))
