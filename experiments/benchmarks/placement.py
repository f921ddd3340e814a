"""CPU time of one exact placement over servers, hops and micro-batches.

    python -m experiments benchmarks.placement

A random network of 21 units is cut behind the first one; 100 clients have 64 rows each. Servers have links to their
nearest ones, or to all others; each has the memory for a third of the units. What is timed is all that `exact` does,
from costs and graph to the placement.
"""

import time

import numpy as np
import pandas as pd

from experiments.running import Case, Experiment, Row
from experiments.tables import markdown
from splitgym.allocation.placement import EdgeGraph, PlacementTask, exact
from splitgym.arrays import Floats
from splitgym.models import Memory, Profile

UNITS, ROWS = 21, 6400
LINKS = {"mesh": 3, "all": None}
"""Nearest servers that each has a link to at least; None: all."""
MEMORY = 1 / 3
"""Of each server, of what all units need."""
REPETITIONS = 5
"""The fastest counts."""


def cases(quick: bool) -> list[Case]:
    """Meshes of up to 20 servers with up to 6 hops, and 20 servers of which each has a link to each."""
    sizes = [("mesh", 6, 6), ("mesh", 20, 4), ("mesh", 20, 6), ("all", 20, 4)]
    return [
        {"links": links, "servers": servers, "hops": hops, "micro_batches": xi}
        for links, servers, hops in (sizes[:1] if quick else sizes)
        for xi in (1, 4, 16)
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row: milliseconds of the fastest repetition, and how many servers the placement has."""
    rng = np.random.default_rng(seed)
    graph = _graph(case["servers"], LINKS[case["links"]], rng)
    profile, memory = _network(rng)
    settings = {"rows": ROWS, "cut_layer": 1, "hops": case["hops"], "first": graph.nodes[:1]}
    need = PlacementTask(graph, profile, memory, **settings).need_bytes[0, -1]
    graph = EdgeGraph(
        graph.nodes,
        graph.seconds_per_flop,
        np.full(len(graph.nodes), MEMORY * need),
        graph.seconds_per_bit,
        graph.delay_s,
    )
    found = []
    for _ in range(REPETITIONS + 1):
        begin = time.thread_time()
        placement = exact(PlacementTask(graph, profile, memory, **settings, micro_batches=case["micro_batches"]))
        found.append(1e3 * (time.thread_time() - begin))
    # The first repetition may compile.
    return [{"milliseconds": min(found[1:]), "nodes": len(placement.nodes)}]


def _graph(servers: int, links: int | None, rng: np.random.Generator) -> EdgeGraph:
    """Servers of 0.1 to 1 TFLOP/s at random places, links of 1 to 10 Gbit/s."""
    places = rng.uniform(size=(servers, 2))
    order = np.argsort(np.linalg.norm(places[:, None] - places, axis=-1), axis=1)
    per_bit: Floats = np.full((servers, servers), np.inf)
    for one, near in enumerate(order.tolist()):
        for other in near[1:][:links]:
            per_bit[one, other] = per_bit[other, one] = 1 / np.exp(rng.uniform(*np.log([1e9, 1e10])))
    speed = np.exp(rng.uniform(*np.log([1e11, 1e12]), servers))
    names = tuple(f"server-{one}" for one in range(servers))
    return EdgeGraph(names, 1 / speed, np.full(servers, np.inf), per_bit, np.full_like(per_bit, 1e-3))


def _network(rng: np.random.Generator) -> tuple[Profile, Memory]:
    """Units of 10 to 50 MFLOPs whose activations become fewer from unit to unit."""
    flops, bits = rng.uniform(1e7, 5e7, UNITS), np.sort(rng.uniform(2e4, 5e5, UNITS))[::-1]
    weights, none = rng.uniform(1e5, 1e6, UNITS), np.zeros(UNITS)
    return (
        Profile(flops, 2 * flops, bits, 8 * weights),
        Memory(weights, none, bits / 8, bits / 4, none, bits / 8, none),
    )


def report(rows: pd.DataFrame) -> str:
    """Median and longest time of each size."""
    lines = []
    for (links, servers, hops, xi), own in rows.groupby(["links", "servers", "hops", "micro_batches"], sort=False):
        lines.append(
            {
                "links": links,
                "servers": str(servers),
                "hops": str(hops),
                "micro-batches": str(xi),
                "median (ms)": f"{own['milliseconds'].median():.1f}",
                "longest (ms)": f"{own['milliseconds'].max():.1f}",
                "servers of the path": f"{own['nodes'].mean():.1f}",
            }
        )
    return (
        f"CPU time of one exact placement of {UNITS - 1} units on one core, of {rows['seed'].nunique()} random "
        "networks of each size; links: each server to its three nearest ones at least, or to all.\n\n" + markdown(lines)
    )


EXPERIMENT = Experiment(
    title="How long does it take to find the exact placement?",
    cases=cases,
    measure=measure,
    report=report,
    seeds=20,
    quick_seeds=2,
)
