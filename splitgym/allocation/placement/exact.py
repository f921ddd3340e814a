"""The best placement, and the best ones: joint splitting and routing (the problem is that of arXiv 2505.04368)."""

import numpy as np

from splitgym.allocation.placement.infeasible import nothing_fits
from splitgym.allocation.placement.search import Found, Limits, empty_limits, fill_limits, no_path, none_found, search
from splitgym.allocation.placement.task import PlacementTask
from splitgym.arrays import Floats, Ints
from splitgym.frameworks.placements import Placement
from splitgym.inputs import InputError, is_whole

CLASSES = 32
"""Limits to the slowest stage for which lower bounds are tabulated: more of them take time and cut off more."""
MOST_VALUES = 64
"""With no more seconds than these that a stage in question may take, each of them is a limit."""
NARROWINGS = 4
"""How often limits are set closer to each other until that is so."""
FIRST_SLACK, SLACK_GROWTH, LARGEST_SLACK = 1e-6, 400.0, 1.0
"""By how much of the lower bound above it the search looks, at first and then; behind the last everywhere."""
ROUNDING = 1e-12
"""By this fraction sums of the same numbers may differ."""


def exact(task: PlacementTask) -> Placement:
    """The placement that takes the shortest time.

    With 20 servers, 10 units and six hops it is found in 20 ms on one core, whether servers have links to a few others
    or each has one to each, of the same speed or not.

    Raises:
        InputError: there is none; the message says what does not fit, or is not reached.
    """
    return k_best(task, 1, each_first=False)[0]


def k_best(task: PlacementTask, count: int, *, each_first: bool = True) -> tuple[Placement, ...]:
    """The best placements, different from each other, the best one first; all if there are no more.

    Args:
        task: What is placed.
        count: How many.
        each_first: Whether the best one from each first node must be among them, if there is any from there.

    Raises:
        InputError: there is none, or they are too few for all first nodes; the message says what is allowed.
    """
    starts = task.starts
    least = len(starts) if each_first else 1
    if not is_whole(count) or count < least:
        raise InputError(f"count = {count!r} of placements, allowed: {least} or more, one for each first node")
    limits = _limits(task)
    found = _best(task, limits, starts, count)
    if not found:
        raise nothing_fits(task)
    if each_first:
        reached = {placement.nodes[0] for placement in found}
        for start in starts:
            if task.graph.nodes[start] not in reached:
                found += _best(task, limits, np.array([start]), 1)
    return tuple(_best_of_each(task, found, count))


def _best_of_each(task: PlacementTask, found: list[Placement], count: int) -> list[Placement]:
    """The best so many, the best one of each first node among them."""
    left = sorted(found, key=task.seconds)
    while len(left) > count:
        firsts = [placement.nodes[0] for placement in left]
        worst = max(place for place, name in enumerate(firsts) if firsts.count(name) > 1)
        del left[worst]
    return left


def _limits(task: PlacementTask) -> Limits:
    """Lower bounds of what is left over, where micro-batches follow each other for several limits to a stage."""
    stages = task.stages
    limits = _filled(task, np.zeros(1), np.array([np.inf]))
    longest = limits.least[0, -1, 0, task.starts].min()
    if task.micro_batches == 1 or not np.isfinite(longest):
        return limits
    # No stage of a placement is shorter than the largest unit on the fastest node, nor has the best without
    # micro-batches one that is longer than all its stages.
    flops = np.diff(stages.forward_flops) + np.diff(stages.backward_flops)
    shortest = min(stages.seconds_per_flop.min() * flops.max(), longest)
    most = np.append(np.geomspace(shortest, longest, CLASSES - 1), np.inf)
    return _filled(task, np.append(0.0, most[:-1]), most)


def _filled(task: PlacementTask, below: Floats, most: Floats) -> Limits:
    """The classes of placements whose slowest stage takes at least `below`, and no more than `most`, [G] each."""
    limits = empty_limits(most, task.hops, task.stages)._replace(below=below)
    fill_limits(task.stages, limits)
    return limits


def _narrowed(task: PlacementTask, limits: Limits, starts: Ints, longest_s: float | None = None) -> Limits:
    """Limits that are closer to each other, for placements that take less than so long; None: for the best bound.

    In the end each is what a stage may take, if these are few: then a class has no other slowest stage than its limit.
    """
    values = _stage_seconds(task)
    for _ in range(NARROWINGS):
        low, high = _bounds(task, limits, starts)
        at = np.flatnonzero(low <= (high.min() if longest_s is None else longest_s))
        if len(at) == 0:
            return limits
        first, last = limits.below[at[0]], limits.most[at[-1]]
        there = values[(values >= first * (1 - ROUNDING)) & (values <= last)]
        if 0 < len(there) <= MOST_VALUES:
            return _filled(task, there * (1 - ROUNDING), there * (1 + ROUNDING))
        if not np.isfinite(last) or first == 0.0 or len(there) == 0:
            return limits
        edges = np.geomspace(first, last, CLASSES + 1)
        limits = _filled(task, edges[:-1], edges[1:])
    return limits


def _bounds(task: PlacementTask, limits: Limits, starts: Ints) -> tuple[Floats, Floats]:
    """[G] seconds of the best placement in each class at least; and at most, if paths might come back to a node."""
    others, in_front_s = float(task.micro_batches - 1), task.stages.in_front_s.sum()
    least = limits.least[:, -1, 0, starts].min(1)
    below, most = np.maximum(limits.below, in_front_s), np.maximum(limits.most, in_front_s)
    return least + others * below, least + (others * most if others > 0 else 0.0)


def _stage_seconds(task: PlacementTask) -> Floats:
    """All that a stage may take in both passes together, increasing."""
    stages = task.stages
    forward, backward = stages.forward_flops, stages.backward_flops
    parts = np.unique((forward - forward[:, None]) + (backward - backward[:, None]))
    nodes = np.multiply.outer(stages.seconds_per_flop, parts[parts > 0])
    links = stages.seconds_per_bit[np.isfinite(stages.seconds_per_bit)]
    ways = 2.0 * np.multiply.outer(links, stages.bits[np.isfinite(stages.bits)])
    return np.unique(np.concatenate([nodes.ravel(), ways.ravel()]))


def _best(task: PlacementTask, limits: Limits, starts: Ints, count: int) -> list[Placement]:
    """The best so many from these first nodes; fewer: there are no more."""
    if not np.isfinite(_bounds(task, limits, starts)[0].min()):
        return []
    others, pipelined = float(task.micro_batches - 1), task.micro_batches > 1
    closer = _narrowed(task, limits, starts) if pipelined else limits
    bound = _bounds(task, closer, starts)[0].min()
    slack, path = FIRST_SLACK, no_path(task.hops, len(task.graph.nodes))
    while True:
        found, everywhere = none_found(count, task.hops), slack > LARGEST_SLACK
        longest_s = np.inf if everywhere else (1.0 + slack) * bound
        at = _narrowed(task, limits, starts, longest_s) if pipelined and not everywhere else limits
        search(task.stages, starts, others, at, longest_s, path, found)
        if everywhere or np.isfinite(found.seconds[-1]):
            return [_placement(task, found, place) for place in range(int(np.isfinite(found.seconds).sum()))]
        slack *= SLACK_GROWTH


def _placement(task: PlacementTask, found: Found, place: int) -> Placement:
    length = found.length[place]
    return task.placement(found.nodes[place, :length].tolist(), found.done[place, :length].tolist())
