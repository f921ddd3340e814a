"""Latency of single rounds: every method in the same random cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from experiments.frameworks.methods import methods
from experiments.latency.comparisons import PRESETS, methods_of
from experiments.latency.sweeps import SWEEPS, endless
from experiments.running import Case, Row
from splitgym.frameworks import get
from splitgym.schedulers.allocations import ALLOCATIONS
from splitgym.timing import round_cost
from splitgym.types import RoundState


@dataclass(frozen=True)
class Point:
    """One value of one quantity of a preset."""

    preset: str
    varied: str
    value: float


def points(varied: Sequence[str]) -> list[Point]:
    """All values of these quantities, in all presets."""
    return [
        Point(preset, name, value)
        for preset, name in product(PRESETS, varied)
        for value in SWEEPS[name].values(endless(preset))
    ]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each method and cell."""
    scenario, sweep = endless(case["preset"]), SWEEPS[case["varied"]]
    cells = range(seed * case["cells"], (seed + 1) * case["cells"])
    rows = []
    for method in methods_of(case["preset"]):
        trained = methods(rounds=1)[method["framework"]]
        states = sweep.states(scenario, case["value"], get(trained.framework), cells)
        for cell, state in zip(cells, states, strict=True):
            rows.append({**method, "cell": cell, **_round(state, method["method"], trained.aggregation_ratio, cell)})
    return rows


def _round(state: RoundState, allocation: str, aggregation_ratio: float, cell: int) -> dict[str, Any]:
    """A round with everybody."""
    # The cell itself was drawn from default_rng(cell): chance needs a stream of its own.
    rng = np.random.default_rng((cell, 1))
    decision = ALLOCATIONS[allocation](state, state.available, aggregation_ratio, rng)
    cost = round_cost(state, decision)
    return {
        "latency_s": float(cost.latency_s),
        "participants": int(cost.participants.sum()),
        "clients": len(state.available),
        "cut_layer": int(decision.cut_layer),
    }
