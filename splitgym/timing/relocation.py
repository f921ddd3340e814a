"""Units that move from one node behind the cut to another, with what is remembered of them."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Floats, Ints
from splitgym.frameworks.program import Program
from splitgym.kernels import INLINED, kernel


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


def relocation_of(program: Program) -> Relocation:
    """The tables of a framework's program."""
    placed, plans = program.placed, program.plans
    if placed is None:
        return Relocation(
            plans.placement, plans.cut_layer, np.zeros((1, 0), np.int64), np.zeros(0), *np.zeros((3, 1, 1))
        )
    return Relocation(plans.placement, plans.cut_layer, placed.holder, placed.unit_bits, *program.resources.ways)


@kernel(INLINED)
def relocate(unit_node: Ints, plan: int, of: Relocation) -> tuple[float, float, float]:
    """What moves between nodes before a round under a plan: one unit after the other over the quickest way.

    Args:
        unit_node: [L] row of the node that holds each unit, -1: none yet, or the clients do.
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
    return seconds, bits, sent
