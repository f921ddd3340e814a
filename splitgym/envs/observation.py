"""What a policy sees: the believed state as numbers between 0 and 1."""

from math import log, sqrt
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from splitgym.allocation.selection.novelty import fill_rarity, novelty_of_client
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.features import INDEX, SHIPPED, STANDARD, Feature, ObservationSpace, features_of
from splitgym.inputs import InputError
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, Handle, kernel
from splitgym.scenario import Scenario
from splitgym.timing.rates import shannon_rate
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
    CODEC,
    _,  # Memory, batch size and data left, which are no matter of the compiled loop.
    _,
    _,
    CLIENT_SECOND_CUT,
    SUBCHANNEL,
) = range(len(SHIPPED))


class Scales(NamedTuple):
    """What quantities are compared with; the same for all worlds."""

    client_hz: float
    """Geometric mean of slowest and fastest client, cycles/s."""
    loss: float
    """Of guessing, ln(classes)."""
    latency_s: float
    """Time budget / round budget."""
    subchannel_hz: float
    """Bandwidth of the scenario."""
    max_rounds: int
    time_budget_s: float
    client_power_max_w: float
    noise_psd_w_per_hz: float
    cut_layers: int
    """L - 1."""
    last_codec: int
    """Index of the last codec, at least 1."""
    stations: int
    """On a subchannel."""


class Believed(NamedTuple):
    """Fields of `RoundState` that are observed, of N worlds."""

    channel_gain: Floats
    subchannel_hz: Floats
    client_hz: Floats
    client_loss: Floats
    data_share: Floats
    available: Bools
    client_cut_layer: Ints
    present: Bools
    class_share: Floats
    participated: Bools
    absence: Floats
    experience: Floats
    client_codec: Ints
    client_second_cut: Ints
    accuracy: Floats
    cut_layer: Ints
    last_aggregation_ratio: Floats
    last_latency_s: Floats
    round: Ints
    elapsed_s: Floats


class Seen(NamedTuple):
    """What observations are made of."""

    state: Believed
    first: Ints
    """[F] first entry of each shipped feature, or HIDDEN."""
    scales: Scales
    rarity: Floats
    """[K] workspace."""
    efficiency: Floats
    """[M] workspace."""


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
        episode, clients = scenario.episode, scenario.clients
        self._scales = Scales(
            client_hz=sqrt(clients.compute_min_hz * clients.compute_max_hz),
            loss=log(classes),
            latency_s=episode.time_budget_s / episode.max_rounds,
            subchannel_hz=scenario.radio.subchannel_hz,
            max_rounds=system.max_rounds,
            time_budget_s=system.time_budget_s,
            client_power_max_w=system.client_power_max_w,
            noise_psd_w_per_hz=system.noise_psd_w_per_hz,
            cut_layers=system.units - 1,
            last_codec=max(len(system.codecs) - 1, 1),
            stations=system.stations_on_a_subchannel,
        )
        self._room = np.zeros(classes), np.zeros(system.subchannels)
        self._handle = Handle()
        self._state: RoundState | None = None
        self._seen: Seen | None = None
        self.features = features_of(asked, scenario, system, subchannel_estimates)
        self._first = np.full(len(SHIPPED), HIDDEN)
        self._own: list[tuple[Feature, int, int]] = []
        names: list[str] = []
        for feature in self.features:
            added = feature.names(clients.count, system.subchannels, system.program.plans.placements)
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
        observed = np.zeros((len(which), len(self.names)), np.float32)
        if self._state is not state:
            believed = _without_gaps(Believed(*(getattr(state, name) for name in Believed._fields)), len(self._room[0]))
            self._state, self._seen = state, Seen(believed, self._first, self._scales, *self._room)
        _observe(self._handle.of(self._seen), observed, which)
        for feature, start, stop in self._own:
            observed[:, start:stop] = _own_values(feature, state, stop - start)[which]
        return observed


def _without_gaps(believed: Believed, classes: int) -> Believed:
    """With class shares and losses that are not a number where labels are private; no feature shows them there."""
    shape = believed.present.shape
    if believed.client_loss.shape == shape:
        return believed
    return believed._replace(class_share=np.full((*shape, classes), np.nan), client_loss=np.full(shape, np.nan))


def _own_values(feature: Feature, state: RoundState, entries: int) -> Floats:
    """[N, entries] values of one's own feature.

    Raises:
        InputError: they have another shape, or are not 0..1.
    """
    assert feature.of is not None
    values = np.asarray(feature.of(state), np.float64)
    worlds = len(state.channel_gain)
    if values.size != worlds * entries or values.shape[:1] != (worlds,):
        expected = {"client": "[N, C]", "cell": "[N]", "link": "[N, C, M]", "placement": "[N, K]"}[feature.per]
        raise InputError(f"observation: feature {feature.name!r} gives shape {values.shape}, allowed: {expected}")
    if not ((values >= 0) & (values <= 1)).all():
        low, high = values.min(), values.max()
        raise InputError(f"observation: feature {feature.name!r} gives {low:g} to {high:g}, allowed: 0..1")
    return values.reshape(worlds, entries)


@kernel(INLINED)
def _squash(value: float, reference: float) -> float:
    """0 to 1, with 0.5 at the reference."""
    return value / (value + reference)


@kernel(INLINED)
def _show(row: NDArray[np.float32], first: Ints, feature: int, place: int, value: float) -> None:
    """Writes an entry of a feature, unless it is hidden."""
    if first[feature] != HIDDEN:
        row[first[feature] + place] = value


@kernel(COMPILED)
def _observe(seen: Any, observed: NDArray[np.float32], which: Ints) -> None:
    """The observations of the worlds `which`, [W, observation], into zeros; `seen`: a handle of `Seen`."""
    held = seen.held
    _fill(held.state, held.first, held.scales, held.rarity, held.efficiency, observed, which)


@kernel(NO_REFCOUNT)
def _fill(
    state: Believed,
    first: Ints,
    scales: Scales,
    rarity: Floats,
    efficiency: Floats,
    observed: NDArray[np.float32],
    which: Ints,
) -> None:
    """As `_observe`."""
    for index, n in enumerate(which):
        band_hz = 0.0
        for k in range(state.subchannel_hz.shape[1]):
            band_hz += state.subchannel_hz[n, k]
        snr = scales.client_power_max_w / (band_hz / scales.stations) / scales.noise_psd_w_per_hz
        count = 0
        for i in range(state.present.shape[1]):
            count += state.present[n, i]
        fill_rarity(rarity, state.class_share[n], state.data_share[n], state.experience[n])
        for i in range(state.present.shape[1]):
            if state.present[n, i]:
                _show_channel(observed[index], first, state.channel_gain[n, i], efficiency, snr, scales.stations, i)
                _show_client(observed[index], rarity, first, scales, state, n, i, count)
        _show_cell(observed[index], first, scales, state, n)


@kernel(INLINED, fastmath=True)
def _show_channel(
    row: NDArray[np.float32], first: Ints, gain: Floats, efficiency: Floats, snr: float, stations: int, i: int
) -> None:
    """Client i's spectral efficiency, [M] gains times the SNR of the power budget spread over the whole band.

    Args:
        row: [observation] written into.
        first: [F].
        gain: [M].
        efficiency: [M] workspace.
        snr: By which gains are multiplied.
        stations: On a subchannel; nothing comes through but at the client's own.
        i: The client.
    """
    subchannels, total = len(gain), 0.0
    for k in range(subchannels):
        efficiency[k] = _squash(shannon_rate(1.0, snr * gain[k]), HALF_EFFICIENCY)
    for k in range(subchannels):
        total += efficiency[k]
    if first[SUBCHANNEL] != HIDDEN:
        shown = row[first[SUBCHANNEL] + i * subchannels : first[SUBCHANNEL] + (i + 1) * subchannels]
        for k in range(subchannels):
            shown[k] = efficiency[k]
    _show(row, first, CHANNEL, i, total * stations / subchannels)


@kernel(INLINED)
def _show_client(
    row: NDArray[np.float32],
    rarity: Floats,
    first: Ints,
    scales: Scales,
    state: Believed,
    n: int,
    i: int,
    count: int,
) -> None:
    """What is known of client i, one of so many, beside its channel."""
    squares = 0.0
    for k in range(len(rarity)):
        squares += state.class_share[n, i, k] * state.class_share[n, i, k]
    _show(row, first, COMPUTE, i, _squash(state.client_hz[n, i], scales.client_hz))
    _show(row, first, LOSS, i, _squash(state.client_loss[n, i], scales.loss))
    _show(row, first, DATA_SHARE, i, _squash(state.data_share[n, i] * count, 1.0))
    _show(row, first, AVAILABLE, i, state.available[n, i])
    _show(row, first, TOOK_PART, i, state.participated[n, i])
    _show(row, first, CLIENT_CUT_LAYER, i, state.client_cut_layer[n, i] / scales.cut_layers)
    _show(row, first, ABSENCE, i, _squash(state.absence[n, i], HALF_ABSENCE))
    _show(row, first, EXPERIENCE, i, _squash(state.experience[n, i], HALF_EXPERIENCE))
    _show(row, first, DIVERSITY, i, 1 / (len(rarity) * squares))
    _show(row, first, NOVELTY, i, _squash(novelty_of_client(state.class_share[n, i], rarity), 1.0))
    _show(row, first, PRESENT, i, 1.0)
    _show(row, first, CODEC, i, state.client_codec[n, i] / scales.last_codec)
    _show(row, first, CLIENT_SECOND_CUT, i, state.client_second_cut[n, i] / scales.cut_layers)


@kernel(INLINED)
def _show_cell(row: NDArray[np.float32], first: Ints, scales: Scales, state: Believed, n: int) -> None:
    """What is known of the episode."""
    _show(row, first, ACCURACY, 0, state.accuracy[n])
    _show(row, first, CUT_LAYER, 0, state.cut_layer[n] / scales.cut_layers)
    _show(row, first, AGGREGATION_RATIO, 0, state.last_aggregation_ratio[n])
    _show(row, first, ROUND_LATENCY, 0, _squash(state.last_latency_s[n], scales.latency_s))
    _show(row, first, ROUNDS_LEFT, 0, 1 - state.round[n] / scales.max_rounds)
    _show(row, first, TIME_LEFT, 0, max(0.0, 1 - state.elapsed_s[n] / scales.time_budget_s))
    _show(row, first, BANDWIDTH, 0, _squash(state.subchannel_hz[n, 0], scales.subchannel_hz))
