"""How far every allocation is from the best known decision of the same round; nothing is trained.

python -m experiments headroom.rounds
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from experiments.cells import ENDLESS_S, random_states
from experiments.headroom.methods import PRESETS, Preset
from experiments.running import Case, Experiment, Row
from splitgym.allocation.descent.descent import descent
from splitgym.arrays import Floats, Ints
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.schedulers.allocations import ALLOCATIONS
from splitgym.timing import round_cost
from splitgym.types import Decision, RoundState

Generator = np.random.Generator

NEIGHBOURS = 128
"""Assignments that a step of the search tries at once."""
STARTS = 3
"""The search begins at so many of the decisions, the best ones."""
STEPS = 15
"""Steps from each of them."""
MOST_CHANGES = 4
"""A neighbour differs in the owners of at most so many subchannels."""


@dataclass(frozen=True)
class Cases:
    """Random cells of presets."""

    presets: tuple[Preset, ...] = PRESETS
    """Scenarios; in the short form toy only."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them, with the steps of the search."""
        return [{"preset": preset, "steps": 2 if quick else STEPS} for preset in (("toy",) if quick else self.presets)]


def measure(case: Case, seed: int) -> list[Row]:
    """Latency of every allocation, everybody in and no round timeout, beside the best known.

    The best known is the least of all allocations and of a local search from the best of them.
    """
    preset = case["preset"]
    scenario = build(preset, {"episode": {"round_timeout_s": ENDLESS_S}})
    state = random_states(scenario, get("epsl"), [seed])[0]
    phi = scenario.training.aggregation_ratio
    found = {
        name: allocation(state, state.available, phi, np.random.default_rng(seed))
        for name, allocation in ALLOCATIONS.items()
        if name != "exact-cuts"  # the descent, where all have one cut layer
    }
    latency_s = {name: float(round_cost(state, decision).latency_s) for name, decision in found.items()}
    rng, steps = np.random.default_rng(seed), case["steps"]
    starts = [found[name] for name in sorted(found, key=latency_s.__getitem__)[:STARTS]]
    best_s = min(*latency_s.values(), *(search(state, start, rng, steps) for start in starts))
    return [{"allocation": name, "latency_s": own_s, "best_s": best_s} for name, own_s in latency_s.items()]


def search(state: RoundState, start: Decision, rng: Generator, steps: int) -> float:
    """Least latency, s, that random exchanges of subchannels find at the start's cut layer, powers under control."""
    owner, best_s = start.assignment, np.inf
    for _ in range(steps):
        around = _neighbours(owner, len(state.available), rng)
        latency_s = _latency_s(state, start, around)
        if latency_s.min() < best_s:
            owner, best_s = around[latency_s.argmin()], float(latency_s.min())
    return best_s


def _latency_s(state: RoundState, start: Decision, assignments: Ints) -> Floats:
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


def report(rounds: pd.DataFrame) -> str:
    """Excess latency of every allocation over the best known decision, %, a column for each preset."""
    excess = rounds.assign(percent=100 * (rounds["latency_s"] / rounds["best_s"] - 1))
    presets = list(dict.fromkeys(rounds["preset"]))
    lines = [
        f"Latency above the best known decision, %, mean (worst) over {rounds['seed'].nunique()} cells. Everybody "
        "takes part, first round of an episode, EPSL at the preset's phi, no round timeout. Best known: the least of "
        "all allocations and of a local search that begins at the best of them.",
        "",
        "| allocation | " + " | ".join(presets) + " |",
        "|---|" + "---:|" * len(presets),
    ]
    for name in dict.fromkeys(rounds["allocation"]):
        own = excess[excess["allocation"] == name].groupby("preset")["percent"].agg(["mean", "max"])
        cells = [f"{own.loc[each, 'mean']:.1f} ({own.loc[each, 'max']:.1f})" for each in presets]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


EXPERIMENT = Experiment(
    title="How far is every allocation from the best known decision of the same round?",
    cases=Cases(),
    measure=measure,
    report=report,
    seeds=100,
    quick_seeds=2,
)
