"""The search for the best placements: a depth-first search over paths and bounds, cut off by a lower bound.

What the units left over take at least, from each node on, is found by dynamic programming over units and nodes, once
for each of several limits to the slowest stage. There a path may come back to a node, so it is a lower bound.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from splitgym.allocation.placement.task import Stages
from splitgym.arrays import Bools, Floats, Ints
from splitgym.kernels import INLINED, NO_REFCOUNT, kernel


class Limits(NamedTuple):
    """Classes of what is left over by its slowest stage, both passes of the stage together; G classes."""

    below: Floats
    """[G] s: slower than this, rising from 0."""
    most: Floats
    """[G] s: and not slower than this; the last is inf."""
    least: Floats
    """[G, H, U + 1, N] s that a micro-batch takes at least for the units behind so many, from a node on with so many
    more nodes, if no stage is slower than `most`."""
    onward: Floats
    """[U + 1, N] workspace."""


class Found(NamedTuple):
    """The K best placements so far, the best one first."""

    seconds: Floats
    """[K] inf: there is none."""
    nodes: Ints
    """[K, H] rows of the nodes."""
    done: Ints
    """[K, H] units that are done in front of each."""
    length: Ints
    """[K] nodes of the path."""


class Path(NamedTuple):
    """Where the search is; [H] each, one entry for each node of the path, but the last."""

    node: Ints
    done: Ints
    """Units in front of the node."""
    tried: Ints
    """Ways to go on from it that have been tried."""
    total: Floats
    """Seconds of all stages in front of it."""
    forward: Floats
    """Seconds of the slowest of them, or in front of the path, in the forward pass."""
    backward: Floats
    passed: Bools
    """[N] whether the path has a node."""


def empty_limits(most: Floats, hops: int, stages: Stages) -> Limits:
    """Limits that `fill_limits` fills; `most` rises."""
    units, nodes = len(stages.bits), len(stages.seconds_per_flop)
    below = np.concatenate(([0.0], most[:-1]))
    return Limits(below, most, np.empty((len(most), hops, units, nodes)), np.empty((units, nodes)))


def none_found(count: int, hops: int) -> Found:
    """Places for so many."""
    return Found(
        np.full(count, inf),
        np.zeros((count, hops), np.int64),
        np.zeros((count, hops), np.int64),
        np.zeros(count, np.int64),
    )


def no_path(hops: int, nodes: int) -> Path:
    """Before the first node."""
    return Path(
        np.zeros(hops, np.int64),
        np.zeros(hops, np.int64),
        np.zeros(hops, np.int64),
        np.zeros(hops),
        np.zeros(hops),
        np.zeros(hops),
        np.zeros(nodes, bool),
    )


@kernel(NO_REFCOUNT)
def fill_limits(stages: Stages, limits: Limits) -> None:
    """Fills in `least`."""
    least, onward = limits.least, limits.onward
    classes, hops, units, nodes = least.shape
    units -= 1
    for g in range(classes):
        for v in range(nodes):
            for done in range(units + 1):
                least[g, 0, done, v] = _node_s(stages, v, done, units, limits.most[g]) if done < units else inf
        for more in range(1, hops):
            _fill_onward(stages, limits, g, more - 1)
            for v in range(nodes):
                for done in range(units + 1):
                    seconds = least[g, 0, done, v]
                    for until in range(done, units):
                        seconds = min(seconds, _node_s(stages, v, done, until, limits.most[g]) + onward[until, v])
                    least[g, more, done, v] = seconds


@kernel(NO_REFCOUNT)
def _fill_onward(stages: Stages, limits: Limits, g: int, more: int) -> None:
    """Fills in what is left to do at least behind each node, with a link to the next."""
    for v in range(stages.neighbours.shape[0]):
        for done in range(limits.onward.shape[0]):
            limits.onward[done, v] = inf
        for place in range(stages.neighbours.shape[1]):
            w = stages.neighbours[v, place]
            if w < 0:
                break
            for done in range(limits.onward.shape[0] - 1):
                link = stages.bits[done] * stages.seconds_per_bit[v, w]
                if 2.0 * link <= limits.most[g]:
                    seconds = 2.0 * (link + stages.delay_s[v, w]) + limits.least[g, more, done, w]
                    limits.onward[done, v] = min(limits.onward[done, v], seconds)


@kernel(INLINED)
def _node_s(stages: Stages, node: int, done: int, until: int, most: float) -> float:
    """Seconds of both passes through some units at a node; inf: they do not fit, or take longer than `most`."""
    if not stages.fits[node, done, until]:
        return inf
    flops = stages.forward_flops[until] - stages.forward_flops[done]
    flops += stages.backward_flops[until] - stages.backward_flops[done]
    seconds = stages.seconds_per_flop[node] * flops
    return seconds if seconds <= most else inf


@kernel(NO_REFCOUNT)
def search(
    stages: Stages, starts: Ints, others: float, limits: Limits, longest_s: float, path: Path, found: Found
) -> None:
    """Finds the best placements of all that take less than `longest_s`.

    Args:
        stages: Of a micro-batch.
        starts: [F] nodes at which a path may start.
        others: xi - 1, how often the slowest stage of a pass counts beside the first micro-batch.
        limits: Filled.
        longest_s: Nothing that takes as long is looked for.
        path: Before the first node; so it is left.
        found: Empty; filled.
    """
    hops, units = path.node.shape[0], stages.bits.shape[0] - 1
    last = found.seconds.shape[0] - 1
    for start in starts:
        path.total[0], path.forward[0], path.backward[0] = 0.0, stages.in_front_s[0], stages.in_front_s[1]
        path.node[0], path.done[0], path.tried[0], path.passed[start] = start, 0, 0, True
        depth = 0
        _end_here(stages, others, longest_s, path, depth, found)
        while depth >= 0:
            v, done, ways = path.node[depth], path.done[depth], 0
            while ways < stages.neighbours.shape[1] and stages.neighbours[v, ways] >= 0:
                ways += 1
            if depth + 1 == hops or path.tried[depth] == (units - done) * ways:
                path.passed[v] = False
                depth -= 1
                continue
            until, w = done + path.tried[depth] // ways, stages.neighbours[v, path.tried[depth] % ways]
            path.tried[depth] += 1
            if path.passed[w] or not stages.fits[v, done, until]:
                continue
            _go_on(stages, path, depth, until, w)
            more = hops - depth - 2
            if _least_s(path, depth + 1, others, limits, more) < min(longest_s, found.seconds[last]):
                depth += 1
                path.tried[depth], path.passed[w] = 0, True
                _end_here(stages, others, longest_s, path, depth, found)


@kernel(NO_REFCOUNT)
def _go_on(stages: Stages, path: Path, depth: int, until: int, w: int) -> None:
    """Fills in the next entry of the path: the node trains units up to `until`, then comes a link to w."""
    v, done = path.node[depth], path.done[depth]
    forward = stages.seconds_per_flop[v] * (stages.forward_flops[until] - stages.forward_flops[done])
    backward = stages.seconds_per_flop[v] * (stages.backward_flops[until] - stages.backward_flops[done])
    link = stages.bits[until] * stages.seconds_per_bit[v, w]
    path.node[depth + 1], path.done[depth + 1] = w, until
    path.total[depth + 1] = path.total[depth] + forward + backward + 2.0 * (link + stages.delay_s[v, w])
    path.forward[depth + 1] = max(path.forward[depth], forward, link)
    path.backward[depth + 1] = max(path.backward[depth], backward, link)


@kernel(NO_REFCOUNT)
def _least_s(path: Path, depth: int, others: float, limits: Limits, more: int) -> float:
    """What a placement with this beginning takes at least: the best of all classes of what is left over."""
    slowest, best = path.forward[depth] + path.backward[depth], inf
    for g in range(limits.most.shape[0]):
        left = limits.least[g, more, path.done[depth], path.node[depth]]
        best = min(best, left + others * max(slowest, limits.below[g]))
    return path.total[depth] + best


@kernel(NO_REFCOUNT)
def _end_here(stages: Stages, others: float, longest_s: float, path: Path, depth: int, found: Found) -> None:
    """Keeps the placement in which the last node of the path trains all that is left, if it is among the best."""
    v, done, units = path.node[depth], path.done[depth], stages.bits.shape[0] - 1
    if not stages.fits[v, done, units]:
        return
    forward = stages.seconds_per_flop[v] * (stages.forward_flops[units] - stages.forward_flops[done])
    backward = stages.seconds_per_flop[v] * (stages.backward_flops[units] - stages.backward_flops[done])
    slowest = max(path.forward[depth], forward) + max(path.backward[depth], backward)
    seconds = path.total[depth] + forward + backward + others * slowest
    place = found.seconds.shape[0] - 1
    if seconds >= min(longest_s, found.seconds[place]):
        return
    while place > 0 and found.seconds[place - 1] > seconds:
        found.seconds[place], found.length[place] = found.seconds[place - 1], found.length[place - 1]
        for h in range(found.nodes.shape[1]):
            found.nodes[place, h], found.done[place, h] = found.nodes[place - 1, h], found.done[place - 1, h]
        place -= 1
    found.seconds[place], found.length[place] = seconds, depth + 1
    for h in range(depth + 1):
        found.nodes[place, h], found.done[place, h] = path.node[h], path.done[h]
