"""How much there is to do in a phase, by the framework's tables, under a common plan or one of each client's own."""

from typing import NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.program import Program
from splitgym.kernels import INLINED, kernel


class Work(NamedTuple):
    """The tables of a framework's phases, see `splitgym.frameworks.Program`."""

    work: Floats
    """[G, P] cycles or bits."""
    per_participant: Floats
    """[G, P] cycles or bits more of a common phase for each client that takes part."""
    own: Floats
    """[D, G, P] cycles or bits of what a client does by itself, on each device that clients may be."""
    device: Ints
    """[C] which device each client is; [1]: all are the same."""


def work_of(program: Program) -> Work:
    """The tables of a program."""
    return Work(program.work, program.per_participant, program.own_work, np.array(program.device, np.int64))


@kernel(INLINED)
def plan_of(plans: Ints, client: int) -> int:
    """The plan of a client: its own if there are [C], else the common one of [1]."""
    return plans[client] if plans.shape[0] > 1 else plans[0]


@kernel(INLINED)
def own_amount(work: Work, plan: int, phase: int, client: int) -> float:
    """Cycles or bits of a phase that a client has by itself, under its plan."""
    device = work.device[client] if work.device.shape[0] > 1 else 0
    return work.own[device, plan, phase]


@kernel(INLINED)
def once_amount(work: Work, plans: Ints, phase: int, takes_part: Bools) -> float:
    """Cycles or bits that a common phase has to do once: the largest of those that take part ([C])."""
    if plans.shape[0] == 1:
        return work.work[plans[0], phase]
    largest = 0.0
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            largest = max(largest, work.work[plans[i], phase])
    return largest


@kernel(INLINED)
def common_amount(work: Work, plans: Ints, phase: int, takes_part: Bools, participants: int) -> float:
    """Cycles or bits of a common phase: the largest of the participants' `work`, and the sum of what each adds.

    Args:
        work: Of the framework.
        plans: [1] or [C].
        phase: 0..P-1.
        takes_part: [C].
        participants: How many take part, at least one.
    """
    once = once_amount(work, plans, phase, takes_part)
    if plans.shape[0] == 1:
        return once + work.per_participant[plans[0], phase] * participants
    total = 0.0
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            total += work.per_participant[plans[i], phase]
    return once + total


@kernel(INLINED)
def move_bits(held: int, cut: int, held_second: int, second_cut: int, moved_bits: Floats) -> tuple[float, float]:
    """Model bits that a client loads down and up when the cuts move.

    Args:
        held: Cut layer that it holds, 0: none yet.
        cut: That to come.
        held_second: Second cut behind which it holds a tail, 0: none.
        second_cut: That to come, 0: nobody decides it.
        moved_bits: [L] of units 1..j, with the client's precision.
    """
    if held == 0:
        return 0.0, 0.0
    difference = moved_bits[cut] - moved_bits[held]
    down, up = max(difference, 0.0), max(-difference, 0.0)
    if held_second > 0 and second_cut > 0:
        difference = moved_bits[held_second] - moved_bits[second_cut]
        down, up = down + max(difference, 0.0), up + max(-difference, 0.0)
    return down, up


@kernel(INLINED)
def bits_between(held: int, second_cut: int, prefix_bits: Floats) -> float:
    """Model bits that move between two nodes when the second cut moves (0: none yet, or nobody decides it)."""
    if held == 0 or second_cut == 0:
        return 0.0
    return abs(prefix_bits[second_cut] - prefix_bits[held])
