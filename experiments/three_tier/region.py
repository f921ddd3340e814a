"""Where do three tiers beat both ways of two, over the speed of the cloud and the rate of the link to it?

    python -m experiments three_tier.region

The cells of `experiments.three_tier`, ResNet-18 on HAM10000. What clients and radio take is measured for every cut
layer with the descent's allocation, which does not depend on what is behind the cut: all clients wait there for each
other. What edge server, link and cloud add is arithmetic, so every point of the map has the best cuts of each cell.
"""

from experiments.cells import ENDLESS_S, random_states
from experiments.running import Case, Experiment, Row
from experiments.three_tier import region_report as shown
from experiments.three_tier.behind import CYCLES_OF_CLIENTS
from experiments.three_tier.rounds import CELLS
from splitgym.allocation import descend
from splitgym.frameworks import get
from splitgym.scenario import build
from splitgym.timing import round_cost

CYCLES_PER_FLOP = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
"""Of edge server and cloud; the second is the preset's, and the article says none."""


def cases(quick: bool) -> list[Case]:
    """Cells of a seed, with processors that need more or less cycles for a FLOP."""
    return [{"cycles_per_flop": kappa, "cells": 3 if quick else CELLS} for kappa in CYCLES_PER_FLOP]


def measure(case: Case, seed: int) -> list[Row]:
    """A row for each cell and cut layer: seconds of a round with everybody in front of the cut, both ways."""
    clients = {"cycles_per_flop": case["cycles_per_flop"] * CYCLES_OF_CLIENTS}
    scenario = build("three-tier", {"episode": {"round_timeout_s": ENDLESS_S}, "clients": clients})
    cells = range(seed * case["cells"], (seed + 1) * case["cells"])
    rows = []
    for cell, state in zip(cells, random_states(scenario, get("psl"), cells), strict=True):
        for cut_layer in range(1, state.system.cut_layers + 1):
            cost = round_cost(state, descend(state, state.available, 0.0, cut_layer=cut_layer))
            stages = cost.seconds_by_stage()
            front_s = cost.latency_s - stages["server_fp"] - stages["server_bp"]
            rows.append({"cell": cell, "cut_layer": cut_layer, "front_s": float(f"{front_s:.9g}")})
    return rows


EXPERIMENT = Experiment(
    title="Over which speeds and rates does a cloud behind the edge server shorten the round?",
    cases=cases,
    measure=measure,
    report=shown.report,
    plots={"region": shown.plot},
    seeds=3,
    quick_seeds=1,
)
