"""Units that move from one node behind the cut to another, with what is remembered of them."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.placed import NONE_YET
from splitgym.frameworks.program import Program
from splitgym.frameworks.stores import Fetches
from splitgym.kernels import INLINED, kernel

NOTHING = Fetches(*np.zeros((3, 1, 0)))
"""Of no unit."""


class Relocation(NamedTuple):
    """The tables of `splitgym.frameworks.placed.Placed` and of the quickest ways; without placements for no unit."""

    placement: Ints
    """[G] of each plan."""
    cut_layer: Ints
    """[G] of each plan."""
    holder: Ints
    """[K, L] row of the node that holds each unit, if it lies behind the cut."""
    unit_bits: Floats
    """[L]."""
    seconds_per_bit: Floats
    """[Q, Q] from one node to another."""
    delay_s: Floats
    """[Q, Q] that whatever is sent needs beside that."""
    links: Floats
    """[Q, Q] links on that way."""
    fetches: Fetches


def relocation_of(program: Program) -> Relocation:
    """The tables of a framework's program."""
    placed, plans = program.placed, program.plans
    if placed is None:
        no_way = np.zeros((1, 1))
        no_unit = np.zeros((1, 0), np.int64), np.zeros(0)
        return Relocation(plans.placement, plans.cut_layer, *no_unit, no_way, no_way, no_way, NOTHING)
    ways = program.resources.ways
    return Relocation(plans.placement, plans.cut_layer, placed.holder, placed.unit_bits, *ways, placed.fetches)


@kernel(INLINED)
def relocate(unit_node: Ints, plan: int, of: Relocation) -> tuple[float, float, float]:
    """What moves between nodes before a round under a plan: one unit after the other over the quickest way.

    A unit that nobody has trained yet is fetched from a node that stores it: there is nothing to remember of it.

    Args:
        unit_node: [L] row of the node that holds each unit, `AT_CLIENTS` or `NONE_YET`.
        plan: The common plan.
        of: The tables.

    Returns:
        Seconds, bits that move, and bits sent over all links together.
    """
    seconds = bits = sent = 0.0
    holder = of.holder[of.placement[plan]]
    for unit in range(of.cut_layer[plan], unit_node.shape[0]):
        old, new = unit_node[unit], holder[unit]
        if old >= 0 and old != new:
            seconds += of.unit_bits[unit] * of.seconds_per_bit[old, new] + of.delay_s[old, new]
            bits += of.unit_bits[unit]
            sent += of.unit_bits[unit] * of.links[old, new]
        elif old == NONE_YET:
            seconds += of.fetches.seconds[new, unit]
            bits += of.fetches.bits[new, unit]
            sent += of.fetches.sent_bits[new, unit]
    return seconds, bits, sent
