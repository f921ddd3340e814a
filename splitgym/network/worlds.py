"""The loops over worlds: how episodes start, and how cells go on to the next round."""

from math import hypot
from typing import Any

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.kernels import COMPILED, INLINED, NO_REFCOUNT, kernel
from splitgym.network.devices import fill_spare_hz, speed_hz, update_available
from splitgym.network.fading import fill_gain, mix
from splitgym.network.family import count_between, scale_between, value_between
from splitgym.network.geometry import place
from splitgym.network.knowledge import disturb, fill_line, report
from splitgym.network.path_loss.compiled import loss_gain, sight_probability
from splitgym.network.state import ALWAYS, PROBABILISTIC, NetworkState, Parameters
from splitgym.random import Purpose, Streams, fill_normals, fill_uniforms

FAMILY, PLACE, SIGHT = int(Purpose.FAMILY), int(Purpose.PLACE), int(Purpose.SIGHT)
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
        factor, count = scale_between(p.compute_factor, numbers[2]), count_between(p.clients, numbers[3])
        for k in range(state.subchannel_hz.shape[1]):
            state.subchannel_hz[n, k] = width_hz
        _draw_places(n, state, p, streams, numbers)
        fill_uniforms(streams, n, SPEED, clients, numbers)
        for i in range(clients):
            state.nominal_hz[n, i] = factor * speed_hz(p.compute_hz, p.log_uniform, numbers[i])
            state.present[n, i] = state.available[n, i] = state.believed_available[n, i] = i < count
        fill_normals(streams, n, LOAD, clients, numbers)
        for i in range(clients):
            state.latent_load[n, i] = numbers[i]
        fill_spare_hz(state.nominal_hz[n], state.latent_load[n], p.load_max, state.client_hz[n])


@kernel(INLINED)
def _draw_places(n: int, state: NetworkState, p: Parameters, streams: Streams, numbers: Floats) -> None:
    """Where the clients of world n are and where they go, whether they may have line of sight, and their shadowing."""
    clients = state.present.shape[1]
    state.travelled_m[n] = 0.0
    fill_uniforms(streams, n, PLACE, 3 * clients, numbers)
    for i in range(clients):
        x, y = place(p.min_distance_m, state.radius_m[n], numbers[i], numbers[clients + i])
        state.start_m[n, i, 0] = state.position_m[n, i, 0] = x
        state.start_m[n, i, 1] = state.position_m[n, i, 1] = y
        state.heading_rad[n, i] = 2.0 * np.pi * numbers[2 * clients + i] if p.moves else 0.0
    if p.sight == PROBABILISTIC:
        fill_uniforms(streams, n, SIGHT, clients, numbers)
        for i in range(clients):
            state.sight_chance[n, i] = numbers[i]
    if p.is_shadowed:
        fill_normals(streams, n, SHADOWING, clients, numbers)
        for i in range(clients):
            state.shadow[n, i] = numbers[i]


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
    """Large-scale gains, G 10^(-(PL + sigma x) / 10), x the shadowing in standard deviations; at first the sight."""
    for n in which:
        for i in range(state.present.shape[1]):
            distance_m = hypot(state.position_m[n, i, 0], state.position_m[n, i, 1])
            if at_first:
                sees = p.sight == ALWAYS
                if p.sight == PROBABILISTIC:
                    sees = state.sight_chance[n, i] < sight_probability(p.path_loss, distance_m)
                state.line_of_sight[n, i] = sees
            sees = state.line_of_sight[n, i]
            shadow_db = p.deviation_db[0 if sees else 1] * state.shadow[n, i]
            gain = loss_gain(p.path_loss, p.antennas, distance_m, sees, shadow_db)
            state.large_scale_gain[n, i] = p.antenna_gain * gain


@kernel(COMPILED)
def begin_channels(cells: Any, streams: Streams, which: Ints) -> None:
    """Fading, gains and first beliefs of worlds ([W]) whose large-scale gains are known; `cells`: as above."""
    held = cells.held
    _begin_channels(held.state, held.parameters, held.numbers, streams, which)


@kernel(NO_REFCOUNT)
def _begin_channels(state: NetworkState, p: Parameters, numbers: Floats, streams: Streams, which: Ints) -> None:
    for n in which:
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


@kernel(COMPILED)
def advance_worlds(cells: Any, streams: Streams) -> None:
    """Takes all worlds, whose large-scale gains are known, to the next round; `cells`: a handle of `Cells`."""
    held = cells.held
    _advance(held.state, held.parameters, held.numbers, streams)


@kernel(NO_REFCOUNT)
def _advance(state: NetworkState, p: Parameters, numbers: Floats, streams: Streams) -> None:
    clients = state.present.shape[1]
    for n in range(state.present.shape[0]):
        scatter = state.scatter[n].reshape(-1)
        if scatter.shape[0] > 0:
            fill_normals(streams, n, FADING, scatter.shape[0], numbers)
            mix(scatter, numbers, p.fading_correlation)
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
