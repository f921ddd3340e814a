"""Rounds of the three architectures in the same random cells: how long they take, and who is busy on the way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.cells import random_states
from experiments.three_tier.architectures import ARCHITECTURES, Fields, framework_of, scenario_of
from splitgym.allocation import descend
from splitgym.scenario import load
from splitgym.timing import round_cost

CELLS = 17
"""Random cells of a seed."""
LINK_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Capacity of the edge-cloud link, as a share of the user-edge link's; the seed has 1/20."""
CYCLES_PER_FLOP = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of edge server and cloud alike; the seed does not say it."""
BUSY = {
    "clients": ("client_fp", "client_bp"),
    "user-edge link": ("uplink", "unicast"),
    "edge server": ("server_fp", "server_bp"),
    "edge-cloud link": ("backhaul_up", "backhaul_down"),
    "cloud": ("cloud_fp", "cloud_bp"),
}
"""Stages of a round by who is busy."""


def _link(share: float) -> Fields:
    # The preset's link is a twentieth of the user-edge link.
    return {"cloud": {"link_bits_per_s": 20 * share * load("three-tier").cloud.link_bits_per_s}}


def _cycles(per_flop: float) -> Fields:
    return {party: {"cycles_per_flop": per_flop} for party in ("server", "cloud")}


VARIED: Mapping[str, Callable[[float], Fields]] = {"link": _link, "cycles": _cycles}


def cases(quick: bool) -> list[dict[str, Any]]:
    """Both quantities around those of the preset, which is the second value of each."""
    values: dict[str, Sequence[float]] = {"link": LINK_SHARES, "cycles": CYCLES_PER_FLOP}
    return [
        {"part": "round", "varied": varied, "value": value}
        for varied, all_values in values.items()
        for value in (all_values[1::3] if quick else all_values)
    ]


def measure(varied: str, value: float, seed: int) -> list[dict[str, Any]]:
    """A row for each architecture and cell: everybody takes part, cut layer and allocation are the descent's."""
    rows = []
    for architecture in ARCHITECTURES:
        scenario = scenario_of(architecture, VARIED[varied](value))
        cells = range(seed * CELLS, (seed + 1) * CELLS)
        for cell, state in zip(cells, random_states(scenario, framework_of(architecture), cells), strict=True):
            decision = descend(state, np.ones_like(state.available), 0.0)
            cost = round_cost(state, decision)
            stages = cost.seconds_by_stage()
            rows.append(
                {
                    "architecture": architecture,
                    "cell": cell,
                    "cut_layer": int(decision.cut_layer),
                    "second_cut": scenario.cloud.cut_layer,
                    "latency_s": float(f"{cost.latency_s:.5g}"),
                    **{
                        f"{who} (s)": float(f"{sum(stages.get(name, 0.0) for name in names):.4g}")
                        for who, names in BUSY.items()
                    },
                }
            )
    return rows
