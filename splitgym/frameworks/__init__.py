"""Learning frameworks: what a round computes and sends, and its real training. One file each."""

from splitgym.frameworks.framework import Framework, get, names
from splitgym.frameworks.phases import Access, Phase, Program, Resource, Workload, aggregated_rows
from splitgym.frameworks.plans import PlanGrid

__all__ = [
    "Access",
    "Framework",
    "Phase",
    "PlanGrid",
    "Program",
    "Resource",
    "Workload",
    "aggregated_rows",
    "get",
    "names",
]
