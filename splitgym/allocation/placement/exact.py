"""The best placement, and the best ones: joint splitting and routing (the problem is that of arXiv 2505.04368)."""

import numpy as np

from splitgym.allocation.placement.infeasible import nothing_fits
from splitgym.allocation.placement.search import Found, Limits, empty_limits, fill_limits, no_path, none_found, search
from splitgym.allocation.placement.task import PlacementTask
from splitgym.arrays import Ints
from splitgym.frameworks.placements import Placement
from splitgym.inputs import InputError, is_whole

CLASSES = 32
"""Limits to the slowest stage for which lower bounds are tabulated: more of them take time and cut off more."""
FIRST_SLACK, SLACK_GROWTH, LARGEST_SLACK = 0.02, 4.0, 1.0
"""By how much of the lower bound above it the search looks, at first and then; behind the last everywhere."""


def exact(task: PlacementTask) -> Placement:
    """The placement that takes the shortest time.

    It is found in milliseconds for 20 servers, 20 units and six hops where servers have links to a few others. Where
    each has a fast link to each, and all have the same speed, six hops take seconds.

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
    stages, hops = task.stages, task.hops
    limits = empty_limits(np.array([np.inf]), hops, stages)
    fill_limits(stages, limits)
    longest = limits.least[0, -1, 0, task.starts].min()
    if task.micro_batches == 1 or not np.isfinite(longest):
        return limits
    # No stage of a placement is shorter than the largest unit on the fastest node, nor has the best without
    # micro-batches one that is longer than all its stages.
    flops = np.diff(stages.forward_flops) + np.diff(stages.backward_flops)
    shortest = min(stages.seconds_per_flop.min() * flops.max(), longest)
    limits = empty_limits(np.append(np.geomspace(shortest, longest, CLASSES - 1), np.inf), hops, stages)
    fill_limits(stages, limits)
    return limits


def _best(task: PlacementTask, limits: Limits, starts: Ints, count: int) -> list[Placement]:
    """The best so many from these first nodes; fewer: there are no more."""
    others = float(task.micro_batches - 1)
    slowest = np.maximum(limits.below, task.stages.in_front_s.sum())
    bound = (limits.least[:, -1, 0, starts].min(1) + others * slowest).min()
    if not np.isfinite(bound):
        return []
    slack, path = FIRST_SLACK, no_path(task.hops, len(task.graph.nodes))
    while True:
        found, everywhere = none_found(count, task.hops), slack > LARGEST_SLACK
        longest_s = np.inf if everywhere else (1.0 + slack) * bound
        search(task.stages, starts, others, limits, longest_s, path, found)
        if everywhere or np.isfinite(found.seconds[-1]):
            return [_placement(task, found, place) for place in range(int(np.isfinite(found.seconds).sum()))]
        slack *= SLACK_GROWTH


def _placement(task: PlacementTask, found: Found, place: int) -> Placement:
    length = found.length[place]
    return task.placement(found.nodes[place, :length].tolist(), found.done[place, :length].tolist())
