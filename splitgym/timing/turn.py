"""One turn of one world, with static shares or on demand."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from splitgym.timing.cell import Cell, Spectrum
from splitgym.timing.chains import Timeline, work_of
from splitgym.timing.clock import MIGRATION_ROWS, deadline_barrier, walk
from splitgym.timing.lending import band_as_decided
from splitgym.timing.on_demand import Links, walk_on_demand
from splitgym.timing.rates import own_rates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Rules(NamedTuple):
    """What a framework and a scenario say about the turns of a round."""

    resource: Ints
    """[P] who is busy in each phase."""
    one_by_one: bool
    """Whether the turns are those of single clients."""
    uses_own_subchannels: bool
    """Whether a client without a subchannel cannot take part."""
    timeout_s: float
    """Counted from the begin of each turn."""


@njit(cache=True)
def walk_turn(
    rules: Rules,
    server_by_client: bool | None,
    spectrum: Spectrum,
    cell: Cell,
    work: Floats,
    per_participant: Floats,
    takes_part: Bools,
    owner: Ints,
    psd: Floats,
    timeline: Timeline,
    links: Links,
) -> tuple[float, float]:
    """Runs one turn of one world.

    Args:
        rules: Of framework and scenario.
        server_by_client: On demand: whether the server can work for one client before the rows of another are there.
            None: with static shares.
        spectrum: Shared by all.
        cell: Of the world.
        work: [P] cycles or bits.
        per_participant: [P] cycles or bits more for each client that takes part.
        takes_part: [C]; who is left out is set to False here.
        owner: [M] who has each subchannel in the turn, -1: nobody.
        psd: [M] of the owners, W/Hz.
        timeline: Filled.
        links: Zeros for who takes part; filled.

    Returns:
        The latency of the turn, s, and the bits that were broadcast.
    """
    if server_by_client is None or not np.any(takes_part):
        return _walk_with_static_shares(
            rules, spectrum, cell, work, per_participant, takes_part, owner, psd, timeline, links
        )
    todo = work_of(rules.resource, work, per_participant, server_by_client, cell)
    deadline_row = MIGRATION_ROWS + deadline_barrier(rules.resource)
    band = band_as_decided(cell.gain, owner, psd, takes_part, spectrum)
    return walk_on_demand(todo, deadline_row, rules.timeout_s, takes_part, cell, band, spectrum, timeline, links)


@njit(cache=True)
def _walk_with_static_shares(
    rules: Rules,
    spectrum: Spectrum,
    cell: Cell,
    work: Floats,
    per_participant: Floats,
    takes_part: Bools,
    owner: Ints,
    psd: Floats,
    timeline: Timeline,
    links: Links,
) -> tuple[float, float]:
    """`splitgym.timing.clock.walk`; what a client has of the band does not change."""
    hz, noise = spectrum.subchannel_hz, spectrum.noise
    uplink = own_rates(cell.gain, owner, psd, hz, noise)
    downlink = own_rates(cell.gain, owner, np.full(hz.shape[0], spectrum.downlink_psd), hz, noise)
    for k in range(hz.shape[0]):
        if owner[k] >= 0:
            links.held[owner[k], k], links.psd[owner[k], k] = 1.0, psd[k]
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            links.uplink[i], links.downlink[i] = uplink[i], downlink[i]
    seconds, bits = walk(
        rules.resource,
        work,
        per_participant,
        takes_part,
        cell.client_hz,
        cell.server_hz,
        uplink,
        downlink,
        cell.band,
        cell.move_down,
        cell.move_up,
        rules.timeout_s,
        timeline.start,
        timeline.stop,
        timeline.stage_s,
    )
    timeline.common_s[:] = timeline.stage_s
    return seconds, bits
