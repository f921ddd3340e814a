"""Learning frameworks: what a round computes and sends, and its real training. One file each."""

from splitgym.frameworks.framework import Framework, get, names
from splitgym.frameworks.phases import Access, Phase, Program, Workload, aggregated_rows
from splitgym.frameworks.plans import PlanGrid
from splitgym.frameworks.resources import Barrier, Resource, Resources

__all__ = [
    "Access",
    "Barrier",
    "Framework",
    "Phase",
    "PlanGrid",
    "Program",
    "Resource",
    "Resources",
    "Workload",
    "aggregated_rows",
    "get",
    "names",
]
