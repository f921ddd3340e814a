"""The channel of every client: place, line of sight, shadowing and fading, and the gain they make together."""

from dataclasses import dataclass

import numpy as np

from splitgym.arrays import Bools, Floats
from splitgym.network import fading, shadowing
from splitgym.network.fading import draw_scatter, faded_gain, next_scatter
from splitgym.network.family import draw_scale, draw_value
from splitgym.network.geometry import ground_distance_m, place, walk
from splitgym.network.path_loss import is_shadowed, line_of_sight_probability, path_loss_db, shadowing_deviation_db
from splitgym.network.shadowing import draw_shadow, next_shadow
from splitgym.random import Generators, NormalBlock, uniform
from splitgym.scenario import Cell, Scenario


@dataclass(frozen=True)
class Channel:
    """State of the channels of N worlds at the start of a round."""

    subchannel_hz: Floats
    """[N, M] bandwidths, Hz."""
    radius_m: Floats
    """[N] radius of the cell, m."""
    start_m: Floats
    """[N, C, 2] positions at the start of the episode, m."""
    heading_rad: Floats
    """[N, C] directions at the start of the episode, rad."""
    travelled_m: Floats
    """[N] way that every client of the world has walked, m."""
    position_m: Floats
    """[N, C, 2] positions now, m."""
    line_of_sight: Bools
    """[N, C]; stays as drawn at the start of the episode, also for clients that move."""
    shadow: Floats
    """[N, C] shadowing in standard deviations."""
    large_scale_gain: Floats
    """[N, C] antenna gains, path loss and shadowing, linear."""
    scatter: Floats
    """[N, 2, C, M] scattered part of the fading coefficients."""
    gain: Floats
    """[N, C, M] linear power gain, antenna gains included."""


def numbers_per_round(scenario: Scenario) -> int:
    """Standard normal numbers that a world's channels need for a round."""
    clients = scenario.clients.count
    return shadowing.numbers_per_round(scenario.cell, clients) + fading.numbers_per_round(scenario.radio, clients)


def numbers_at_first(scenario: Scenario) -> int:
    """Standard normal numbers that a world's channels need at the start of an episode."""
    cell, family, clients = scenario.cell, scenario.family, scenario.clients.count
    per_client = 2 + (cell.line_of_sight == "probabilistic") + is_shadowed(cell) + (cell.speed_m_per_s > 0)
    drawn = (family.subchannel_hz is not None) + (family.radius_m is not None)
    return clients * per_client + fading.numbers_per_round(scenario.radio, clients) + drawn


def first_channel(rngs: Generators | NormalBlock, scenario: Scenario) -> Channel:
    """Draws the channels at the start of an episode."""
    cell, radio, clients = scenario.cell, scenario.radio, scenario.clients.count
    subchannel_hz = draw_scale(rngs, scenario.family.subchannel_hz, radio.subchannel_hz)
    radius_m = draw_value(rngs, scenario.family.radius_m, cell.radius_m)
    position_m = place(rngs, cell.min_distance_m, radius_m, clients)
    line_of_sight = _draw_line_of_sight(rngs, cell, ground_distance_m(position_m))
    shadow = draw_shadow(rngs, cell, clients)
    large_scale_gain = _large_scale_gain(scenario, position_m, line_of_sight, shadow)
    scatter = draw_scatter(rngs, radio, clients)
    return Channel(
        subchannel_hz=np.repeat(subchannel_hz[:, None], radio.subchannels, axis=1),
        radius_m=radius_m,
        start_m=position_m,
        heading_rad=_draw_heading(rngs, cell, clients),
        travelled_m=np.zeros(len(rngs)),
        position_m=position_m,
        line_of_sight=line_of_sight,
        shadow=shadow,
        large_scale_gain=large_scale_gain,
        scatter=scatter,
        gain=faded_gain(radio, large_scale_gain, scatter, line_of_sight),
    )


def next_channel(rngs: Generators | NormalBlock, scenario: Scenario, before: Channel, elapsed_s: Floats) -> Channel:
    """The channels one round, elapsed_s [N] seconds, later."""
    cell, radio, sight = scenario.cell, scenario.radio, before.line_of_sight
    travelled_m, position_m = before.travelled_m, before.position_m
    shadow, large_scale_gain = before.shadow, before.large_scale_gain
    if cell.speed_m_per_s > 0:
        travelled_m = travelled_m + cell.speed_m_per_s * elapsed_s
        position_m = walk(before.start_m, before.heading_rad, travelled_m, cell.min_distance_m, before.radius_m)
        shadow = next_shadow(rngs, cell, shadow, ground_distance_m(position_m - before.position_m), sight)
        large_scale_gain = _large_scale_gain(scenario, position_m, sight, shadow)
    scatter = next_scatter(rngs, radio, before.scatter)
    return Channel(
        subchannel_hz=before.subchannel_hz,
        radius_m=before.radius_m,
        start_m=before.start_m,
        heading_rad=before.heading_rad,
        travelled_m=travelled_m,
        position_m=position_m,
        line_of_sight=sight,
        shadow=shadow,
        large_scale_gain=large_scale_gain,
        scatter=scatter,
        gain=faded_gain(radio, large_scale_gain, scatter, sight),
    )


def _draw_line_of_sight(rngs: Generators | NormalBlock, cell: Cell, distance_m: Floats) -> Bools:
    if cell.line_of_sight != "probabilistic":
        return np.full(distance_m.shape, cell.line_of_sight == "always")
    return uniform(rngs, distance_m.shape[1:]) < line_of_sight_probability(cell.path_loss, distance_m)


def _draw_heading(rngs: Generators | NormalBlock, cell: Cell, clients: int) -> Floats:
    if cell.speed_m_per_s == 0:
        return np.zeros((len(rngs), clients))
    return 2 * np.pi * uniform(rngs, (clients,))


def _large_scale_gain(scenario: Scenario, position_m: Floats, line_of_sight: Bools, shadow: Floats) -> Floats:
    """G 10^(-(PL + sigma x) / 10), x the shadowing in standard deviations."""
    cell, radio = scenario.cell, scenario.radio
    loss_db = path_loss_db(cell, radio.carrier_hz, ground_distance_m(position_m), line_of_sight)
    shadow_db = shadowing_deviation_db(cell.path_loss, line_of_sight) * shadow
    return radio.antenna_gain * 10 ** (-(loss_db + shadow_db) / 10)
