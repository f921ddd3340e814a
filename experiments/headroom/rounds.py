"""How far every allocation is from the best known decision of the same round; nothing is trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.allocations import ALLOCATIONS
from experiments.cells import ENDLESS_S, random_states
from splitgym.allocation.descent import descent
from splitgym.frameworks import get
from splitgym.rounds import Decision, RoundState
from splitgym.scenario import build
from splitgym.timing import round_cost

Ints = NDArray[np.int64]
Generator = np.random.Generator

NEIGHBOURS = 128
"""Assignments that a step of the search tries at once."""
STARTS = 3
"""The search begins at so many of the decisions, the best ones."""
STEPS = 15
"""Steps from each of them."""
MOST_CHANGES = 4
"""A neighbour differs in the owners of at most so many subchannels."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One random cell."""

    preset: str
    seed: int
    """Of the cell, and of what is drawn."""
    quick: bool
    """Search only a little."""

    @property
    def key(self) -> Row:
        """What tells this cell from others."""
        return vars(self)


def measure(job: Job) -> list[Row]:
    """Latency of every allocation, everybody in and no round timeout, beside the best known.

    The best known is the least of all allocations and of a local search from the best of them.
    """
    preset, seed = job.preset, job.seed
    scenario = build(preset, {"episode": {"round_timeout_s": ENDLESS_S}})
    state = random_states(scenario, get("epsl"), [seed])[0]
    phi = scenario.training.aggregation_ratio
    found = {
        name: allocation(state, state.available, phi, np.random.default_rng(seed))
        for name, allocation in ALLOCATIONS.items()
    }
    latency_s = {name: float(round_cost(state, decision).latency_s) for name, decision in found.items()}
    rng, steps = np.random.default_rng(seed), 2 if job.quick else STEPS
    starts = [found[name] for name in sorted(found, key=latency_s.__getitem__)[:STARTS]]
    best_s = min(*latency_s.values(), *(search(state, start, rng, steps) for start in starts))
    return [{**job.key, "allocation": name, "latency_s": own_s, "best_s": best_s} for name, own_s in latency_s.items()]


def search(state: RoundState, start: Decision, rng: Generator, steps: int) -> float:
    """Least latency, s, that random exchanges of subchannels find at the start's cut layer, powers under control."""
    owner, best_s = start.assignment, np.inf
    for _ in range(steps):
        around = _neighbours(owner, len(state.available), rng)
        latency_s = _latency_s(state, start, around)
        if latency_s.min() < best_s:
            owner, best_s = around[latency_s.argmin()], float(latency_s.min())
    return best_s


def _latency_s(state: RoundState, start: Decision, assignments: Ints) -> NDArray[np.float64]:
    """[N] latency with each assignment [N, M]; infinite if somebody is left without a subchannel."""
    states = state.repeat(len(assignments))
    held = {"cut_layer": start.cut_layer, "assignment": assignments}
    found = descent(states, states.available, start.aggregation_ratio, **held)
    return np.where(found.participants == len(state.available), found.latency_s, np.inf)


def _neighbours(owner: Ints, clients: int, rng: Generator) -> Ints:
    """[N, M] the assignment itself, and others in which some subchannels are dealt anew or swap their owners."""
    around = np.repeat(owner[None], NEIGHBOURS, axis=0)
    for row in around[1:]:
        changed = rng.choice(len(owner), min(int(rng.integers(1, MOST_CHANGES + 1)), len(owner)), replace=False)
        if rng.random() < 0.5:
            row[changed] = rng.integers(clients, size=len(changed))
        else:
            row[changed] = row[np.roll(changed, 1)]
    return around
