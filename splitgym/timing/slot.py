"""One slot of one world, with static shares or on demand."""

from typing import NamedTuple, Self

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import COMPILED, INLINED, kernel
from splitgym.timing.amounts import Work
from splitgym.timing.barrier import Rows, Timeline, walk
from splitgym.timing.cell import Cell, Links, Spectrum
from splitgym.timing.dynamic_sharing import band_as_decided
from splitgym.timing.events import tasks_of
from splitgym.timing.on_demand import walk_on_demand
from splitgym.timing.rates import fill_own_links
from splitgym.timing.reuse import fill_links_with_interference
from splitgym.timing.wires import fill_through


class Slot(NamedTuple):
    """Arrays for what is decided and what happens in a slot."""

    began: Bools
    """[C] clients that began it."""
    takes_part: Bools
    """[C] clients that are not dropped."""
    owner: Ints
    """[M] owner of each subchannel, -1: nobody."""
    psd: Floats
    """[M] of the owners, W/Hz."""
    now: Floats
    """[C] workspace for clocks."""
    amount: Floats
    """[C] workspace for cycles or bits of a phase."""
    busy_s: Floats
    """[3, C] seconds of computing, sending and receiving."""
    joint: Floats
    """[3, C] workspace for links; then in the first two rates over radio and wires, up and down, bits/s."""
    timeline: Timeline
    links: Links
    """By radio."""

    @classmethod
    def empty(cls, rows: int, clients: int, subchannels: int) -> Self:
        """An empty one."""
        return cls(
            began=np.zeros(clients, bool),
            takes_part=np.zeros(clients, bool),
            owner=np.zeros(subchannels, np.int64),
            psd=np.zeros(subchannels),
            now=np.zeros(clients),
            amount=np.zeros(clients),
            busy_s=np.zeros((3, clients)),
            joint=np.zeros((3, clients)),
            timeline=Timeline(np.zeros((rows, clients)), np.zeros((rows, clients)), np.zeros(rows), np.zeros(rows)),
            links=Links(*np.zeros((4, clients))),
        )


@kernel(INLINED)
def walk_statically(
    table: Rows,
    barrier: Ints,
    spectrum: Spectrum,
    cell: Cell,
    work: Work,
    plans: Ints,
    slot: Slot,
) -> tuple[float, float]:
    """Runs one slot of one world with static shares; arguments are as of `walk_as_needed`."""
    links, up, down = slot.links, slot.joint[0], slot.joint[1]
    if cell.station_gain.shape[1] > 0:
        fill_links_with_interference(spectrum, cell.gain, cell.station_gain, slot.owner, slot.psd, links)
    else:
        fill_own_links(spectrum, cell.gain, slot.owner, slot.psd, links, slot.joint)
    fill_through(links.uplink, cell.wires, up)
    fill_through(links.downlink, cell.wires, down)
    all_the_way = Links(links.hz, links.power_w, up, down)
    return walk(table, work, plans, slot.takes_part, cell, all_the_way, slot.now, slot.amount, slot.timeline)


@kernel(COMPILED)
def walk_as_needed(
    table: Rows,
    barrier: Ints,
    spectrum: Spectrum,
    cell: Cell,
    work: Work,
    plans: Ints,
    slot: Slot,
) -> tuple[float, float]:
    """Runs one slot of one world on demand.

    Args:
        table: Of framework and scenario.
        barrier: [P] what each phase waits for.
        spectrum: Of the world.
        cell: Of the world.
        work: Of the framework.
        plans: [1] the common plan, or [C] that of each client.
        slot: Its owners, powers and `takes_part` are read, and clients that are dropped are set to False there; the
            timeline and the links are filled.

    Returns:
        The latency of the slot, s, and the bits that were broadcast.
    """
    if not np.any(slot.takes_part):
        return walk_statically(table, barrier, spectrum, cell, work, plans, slot)
    tasks = tasks_of(table, work, plans, slot.takes_part, barrier, cell)
    band = band_as_decided(cell.gain, slot.owner, slot.psd, slot.takes_part, spectrum)
    return walk_on_demand(
        tasks, table.deadline_row, table.timeout_s, slot.takes_part, cell, band, spectrum, slot.timeline, slot.links
    )
