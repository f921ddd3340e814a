"""Scenarios of the toy with servers on a path: edge server, near, far."""

from typing import Any

from splitgym.scenario import Scenario, build

NODES = [
    {"name": "near", "compute_hz": 2e7, "cycles_per_flop": 2.0, "switched_capacitance": 1e-21},
    {"name": "far", "compute_hz": 1e6, "cycles_per_flop": 1.0, "switched_capacitance": 1e-18},
]
LINKS = [
    {"name": "first", "ends": ["server", "near"], "bits_per_s": 4e6},
    {"name": "second", "ends": ["near", "far"], "bits_per_s": 1e6},
]
ALONE = {"nodes": ["server"]}
NEAR = {"nodes": ["server", "near"], "bounds": [1]}
PATH = {"nodes": ["server", "near", "far"], "bounds": [1, 2]}


def on_paths(*candidates: dict[str, Any], base: Any = "toy", **sections: Any) -> Scenario:
    """The scenario with these placements, decided if there are several."""
    plan = {"placement": "decided" if len(candidates) > 1 else "fixed", **sections.pop("plan", {})}
    path = {"nodes": NODES, "links": LINKS, "placement": {"candidates": list(candidates)}, "plan": plan}
    return build(base, {**path, **sections})
