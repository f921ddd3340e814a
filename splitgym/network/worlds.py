"""The loops over worlds: how episodes start, and how cells go on to the next round."""

from math import hypot
from typing import Any

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel
from splitgym.network.devices import fill_spare_hz, speed_hz, update_available
from splitgym.network.fading import fill_gain, mix
from splitgym.network.family import count_between, scale_between, value_between
from splitgym.network.geometry import place, place_on_road, within
from splitgym.network.handover import attach, hand_over
from splitgym.network.knowledge import disturb, fill_line, report
from splitgym.network.path_loss.compiled import loss_gain, sight_probability
from splitgym.network.state import ALWAYS, PROBABILISTIC, NetworkState, Parameters
from splitgym.network.wired import fill_shared
from splitgym.random import Purpose, Streams, fill_normals, fill_uniforms

FAMILY, PLACE, SIGHT = int(Purpose.FAMILY), int(Purpose.PLACE), int(Purpose.SIGHT)
STATION_SIGHT, STATION_SHADOWING, ROAD_SPEED, PLATOON = (
    int(Purpose.STATION_SIGHT),
    int(Purpose.STATION_SHADOWING),
    int(Purpose.ROAD_SPEED),
    int(Purpose.PLATOON),
)
SHADOWING, FADING, SPEED = int(Purpose.SHADOWING), int(Purpose.FADING), int(Purpose.SPEED)
LOAD, AVAILABILITY, ESTIMATE = int(Purpose.LOAD), int(Purpose.AVAILABILITY), int(Purpose.ESTIMATE)


@kernel(COMPILED)
def draw_cells(cells: Any, streams: Streams, which: Ints) -> None:
    """What the episodes of worlds ([W]) draw before path losses are known; `cells`: a handle of `Cells`."""
    held = cells.held
    _draw_cells(held.state, held.parameters, held.numbers, streams, which)


@kernel(NO_REFCOUNT)
def _draw_cells(state: NetworkState, p: Parameters, numbers: Floats, streams: Streams, which: Ints) -> None:
    clients = state.present.shape[1]
    for n in which:
        fill_uniforms(streams, n, FAMILY, 4, numbers)
        state.radius_m[n], width_hz = value_between(p.radius_m, numbers[0]), scale_between(p.subchannel_hz, numbers[1])
        factor = scale_between(p.compute_factor, numbers[2])
        count = count_between(p.clients, p.clients_log_uniform, numbers[3])
        for k in range(state.subchannel_hz.shape[1]):
            state.subchannel_hz[n, k] = width_hz
        _draw_places(n, state, p, streams, numbers)
        fill_uniforms(streams, n, SPEED, clients, numbers)
        for i in range(clients):
            measured = p.measured_hz.shape[0] > 0
            hz = p.measured_hz[i] if measured else speed_hz(p.compute_hz, p.log_uniform, numbers[i])
            state.nominal_hz[n, i] = factor * hz
            state.present[n, i] = state.available[n, i] = state.believed_available[n, i] = i < count
        fill_normals(streams, n, LOAD, clients, numbers)
        for i in range(clients):
            state.latent_load[n, i] = numbers[i]
        fill_spare_hz(state.nominal_hz[n], state.latent_load[n], p.load_max, state.client_hz[n])


@kernel(INLINED)
def _draw_places(n: int, state: NetworkState, p: Parameters, streams: Streams, numbers: Floats) -> None:
    """Where the clients of world n are and where they go, whether they may have line of sight, and their shadowing."""
    clients, others, road = state.present.shape[1], state.gain.shape[1] - 1, p.road
    state.travelled_m[n] = state.driven_s[n] = 0.0
    together, begin, same_way, speed = road.platoon_m > 0.0, 0.0, 0.0, 0.0
    if together:
        fill_uniforms(streams, n, PLATOON, 3, numbers)
        begin, same_way, speed = numbers[0], numbers[1], value_between(road.speed_m_per_s, numbers[2])
    fill_uniforms(streams, n, PLACE, 3 * clients, numbers)
    for i in range(clients):
        chance, across, heading = numbers[i], numbers[clients + i], numbers[2 * clients + i]
        if road.length_m > 0.0:
            if together:
                chance, heading = within(begin, chance, road.platoon_m / road.length_m), same_way
            x, y = place_on_road(road.length_m, road.lanes, road.lane_width_m, chance, across)
            state.heading_rad[n, i] = 0.0 if heading < 0.5 else np.pi
        else:
            x, y = place(p.min_distance_m, state.radius_m[n], chance, across)
            state.heading_rad[n, i] = 2.0 * np.pi * heading if p.moves else 0.0
        state.start_m[n, i, 0] = state.position_m[n, i, 0] = x
        state.start_m[n, i, 1] = state.position_m[n, i, 1] = y
    if road.length_m > 0.0:
        fill_uniforms(streams, n, ROAD_SPEED, clients, numbers)
        for i in range(clients):
            state.speed_m_per_s[n, i] = speed if together else value_between(road.speed_m_per_s, numbers[i])
    if p.sight == PROBABILISTIC:
        fill_uniforms(streams, n, SIGHT, clients, numbers)
        _keep(numbers, state.sight_chance[n, 0])
        if others > 0:
            fill_uniforms(streams, n, STATION_SIGHT, others * clients, numbers)
            _keep(numbers, state.sight_chance[n, 1:].reshape(-1))
    if p.is_shadowed:
        fill_normals(streams, n, SHADOWING, clients, numbers)
        _keep(numbers, state.shadow[n, 0])
        if others > 0:
            fill_normals(streams, n, STATION_SHADOWING, others * clients, numbers)
            _keep(numbers, state.shadow[n, 1:].reshape(-1))


@kernel(INLINED)
def _keep(numbers: Floats, kept: Floats) -> None:
    """The first numbers fill an array, [n]."""
    for k in range(kept.shape[0]):
        kept[k] = numbers[k]


@kernel(COMPILED)
def begin_episodes(cells: Any, streams: Streams, which: Ints) -> None:
    """All that starts with the episodes of worlds ([W]), with a shipped model of path losses; `cells`: as above."""
    held = cells.held
    _draw_cells(held.state, held.parameters, held.numbers, streams, which)
    _lose(held.state, held.parameters, which, True)
    _begin_channels(held.state, held.parameters, held.numbers, streams, which)


@kernel(COMPILED)
def lose(cells: Any, which: Ints) -> None:
    """Large-scale gains of worlds ([W]) with a shipped model of path losses; `cells`: as above."""
    _lose(cells.held.state, cells.held.parameters, which, False)


@kernel(NO_REFCOUNT)
def _lose(state: NetworkState, p: Parameters, which: Ints, at_first: bool) -> None:
    """Large-scale gains, G 10^(-(PL + sigma x) / 10), x the shadowing in standard deviations; and the sight."""
    for n in which:
        for s in range(state.gain.shape[1]):
            for i in range(state.present.shape[1]):
                x, y = state.position_m[n, i, 0] - p.stations_m[s, 0], state.position_m[n, i, 1] - p.stations_m[s, 1]
                distance_m = max(hypot(x, y), p.nearest_m)
                if at_first or p.sight_follows:
                    sees = p.sight == ALWAYS
                    if p.sight == PROBABILISTIC:
                        sees = state.sight_chance[n, s, i] < sight_probability(p.path_loss, distance_m)
                    state.sees[n, s, i] = sees
                sees = state.sees[n, s, i]
                shadow_db = p.deviation_db[0 if sees else 1] * state.shadow[n, s, i]
                gain = loss_gain(p.path_loss, p.antennas, distance_m, sees, shadow_db)
                state.gain[n, s, i] = p.antenna_gain * p.station_gain[s] * gain


@kernel(COMPILED)
def begin_channels(cells: Any, streams: Streams, which: Ints) -> None:
    """Fading, gains and first beliefs of worlds ([W]) whose large-scale gains are known; `cells`: as above."""
    held = cells.held
    _begin_channels(held.state, held.parameters, held.numbers, streams, which)


@kernel(NO_REFCOUNT)
def _begin_channels(state: NetworkState, p: Parameters, numbers: Floats, streams: Streams, which: Ints) -> None:
    for n in which:
        if state.gain.shape[1] > 1:
            attach(state.attachment, state.gain[n], n)
        _hear_own_station(n, state)
        fill_shared(p.ways, state.attachment.station[n], state.present[n], state.wired_s_per_bit[n])
        scatter = state.scatter[n].reshape(-1)
        if scatter.shape[0] > 0:
            fill_normals(streams, n, FADING, scatter.shape[0], numbers)
            for k in range(scatter.shape[0]):
                scatter[k] = numbers[k]
        fill_gain(
            state.large_scale_gain[n], state.scatter[n], state.line_of_sight[n], p.rician_factor, state.channel_gain[n]
        )
        # The first truth stands in for older ones.
        delay, links = state.coming_gain.shape[1], state.channel_gain[n].size
        fill_line(state.channel_gain[n].reshape(links), state.coming_gain[n].reshape(delay, links))
        fill_line(state.client_hz[n], state.coming_hz[n])
        _believe(n, state, p, streams, numbers)


@kernel(INLINED)
def _hear_own_station(n: int, state: NetworkState) -> None:
    """What clients of world n have towards their own stations."""
    station = state.attachment.station[n]
    for i in range(station.shape[0]):
        state.line_of_sight[n, i] = state.sees[n, station[i], i]
        state.large_scale_gain[n, i] = state.gain[n, station[i], i]


@kernel(INLINED)
def _change_stations(n: int, state: NetworkState, p: Parameters, elapsed_s: float) -> None:
    """Handovers in world n. What was measured with the handover tells how much better old reports have become."""
    attachment, reported = state.attachment, state.coming_gain
    hand_over(attachment, p.handover, state.gain[n], elapsed_s, n)
    for i in range(state.present.shape[1]):
        if not attachment.handed_over[n, i]:
            continue
        ratio = state.gain[n, attachment.station[n, i], i] / state.gain[n, attachment.left[n, i], i]
        for d in range(reported.shape[1]):
            for k in range(reported.shape[3]):
                reported[n, d, i, k] *= ratio
    fill_shared(p.ways, attachment.station[n], state.present[n], state.wired_s_per_bit[n])


@kernel(INLINED)
def _scatter_again(handed_over: Bools, numbers: Floats, scatter: Floats) -> None:
    """Fading towards new stations ([C] clients that have one) has nothing to do with that before; [2, C, M]."""
    clients, subchannels = scatter.shape[1:]
    for part in range(2):
        for i in range(clients):
            for k in range(subchannels if handed_over[i] else 0):
                scatter[part, i, k] = numbers[(part * clients + i) * subchannels + k]


@kernel(COMPILED)
def advance_worlds(cells: Any, streams: Streams, elapsed_s: Floats) -> None:
    """Takes all worlds, whose large-scale gains are known, to the next round, after rounds of [N] seconds.

    `cells`: a handle of `Cells`.
    """
    held = cells.held
    _advance(held.state, held.parameters, held.numbers, streams, elapsed_s)


@kernel(NO_REFCOUNT)
def _advance(state: NetworkState, p: Parameters, numbers: Floats, streams: Streams, elapsed_s: Floats) -> None:
    clients, may_change = state.present.shape[1], p.moves and state.gain.shape[1] > 1
    for n in range(state.present.shape[0]):
        if may_change:
            _change_stations(n, state, p, elapsed_s[n])
        if p.moves:
            _hear_own_station(n, state)
        scatter = state.scatter[n].reshape(-1)
        if scatter.shape[0] > 0:
            fill_normals(streams, n, FADING, scatter.shape[0], numbers)
            mix(scatter, numbers, p.fading_correlation)
            if may_change:
                _scatter_again(state.attachment.handed_over[n], numbers, state.scatter[n])
        fill_gain(
            state.large_scale_gain[n], state.scatter[n], state.line_of_sight[n], p.rician_factor, state.channel_gain[n]
        )
        if p.load_max > 0.0:
            fill_normals(streams, n, LOAD, clients, numbers)
            mix(state.latent_load[n], numbers, p.load_correlation)
            fill_spare_hz(state.nominal_hz[n], state.latent_load[n], p.load_max, state.client_hz[n])
        if p.dropout_probability > 0.0:
            for i in range(clients):
                state.believed_available[n, i] = state.available[n, i]
            fill_uniforms(streams, n, AVAILABILITY, clients, numbers)
            update_available(state.available[n], state.present[n], p.dropout_probability, p.return_probability, numbers)
        _believe(n, state, p, streams, numbers)


@kernel(INLINED)
def _believe(n: int, state: NetworkState, p: Parameters, streams: Streams, numbers: Floats) -> None:
    """What the scheduler of world n believes: what was reported with a delay, with the error of the estimate."""
    if state.coming_hz.shape[1] > 0:
        report(state.client_hz[n], state.coming_hz[n], state.believed_client_hz[n])
    if state.coming_gain.shape[1] > 0 or p.channel_error_db > 0.0:
        delay, links = state.coming_gain.shape[1], state.channel_gain[n].size
        believed = state.believed_channel_gain[n].reshape(links)
        report(state.channel_gain[n].reshape(links), state.coming_gain[n].reshape(delay, links), believed)
        if p.channel_error_db > 0.0:
            fill_normals(streams, n, ESTIMATE, links, numbers)
            disturb(believed, p.channel_error_db, numbers)
