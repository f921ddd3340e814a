"""What is compared: ways to allocate, with one framework; frameworks, with one way to allocate."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

FRAMEWORKS = ("centralised", "FL", "SL", "SFL-V1", "SFL-V2", "CPSL", "PSL", "EPSL(0.5)", "EPSL(1)", "PSL-drop(0.5)")
ALLOCATION, FRAMEWORK = "descent", "EPSL(0.5)"
"""The allocation of all frameworks, and the framework of all allocations."""


@dataclass(frozen=True)
class Comparison:
    """Methods that differ in one respect."""

    name: str
    title: str
    """What a plot of it shows."""
    presets: tuple[str, ...]
    """Where they are compared."""
    by: str
    """Column in which they differ."""
    same: Mapping[str, str]
    """The column in which they do not, and what stands there."""
    labels: Mapping[str, str]
    """What stands in the column `by`, in the order of tables and plots, and how it is called there."""
    reference: str
    """The method that the others are related to."""
    in_tables_only: tuple[str, ...] = ()
    """Methods that plots leave out, as a panel shows no more than eight."""

    @property
    def drawn(self) -> list[str]:
        """Methods that plots show."""
        return [name for name in self.labels if name not in self.in_tables_only]

    def methods(self) -> list[dict[str, str]]:
        """Allocation ("method") and framework of each method."""
        return [{**self.same, self.by: name} for name in self.labels]

    def of(self, rounds: pd.DataFrame) -> pd.DataFrame:
        """Its own rounds in one preset, with the latency "relative" to the reference in the same cell."""
        ((column, value),) = self.same.items()
        own = rounds[rounds[column] == value]
        cell = ["varied", "value", "cell"]
        reference_s = own[own[self.by] == self.reference].set_index(cell)["latency_s"].rename("reference_s")
        return own.join(reference_s, on=cell).assign(relative=lambda r: r["latency_s"] / r["reference_s"])


COMPARISONS = (
    Comparison(
        "allocations",
        f"round latency of {FRAMEWORK} if a part of the allocation is not optimised",
        presets=("epsl", "bandwidth-limited"),
        by="method",
        same={"framework": FRAMEWORK},
        labels={
            "ablation-a": "a) random cut, random subchannels, even power",
            "ablation-b": "b) random cut",
            "ablation-c": "c) subchannels by received signal strength",
            "ablation-c-random": "c) random subchannels",
            "ablation-d": "d) even power",
            "paper-greedy": "the paper's greedy subchannels",
            "descent": "e) everything optimised",
        },
        reference="descent",
    ),
    Comparison(
        "frameworks",
        "round latency of each framework, everything optimised",
        presets=("epsl",),
        by="framework",
        same={"method": ALLOCATION},
        labels={name: name for name in FRAMEWORKS},
        reference="PSL",
        in_tables_only=("centralised", "CPSL"),
    ),
)
"""Allocations are called as in `splitgym.schedulers.allocations`, frameworks as in `experiments.frameworks.methods`."""
PRESETS = tuple(dict.fromkeys(preset for comparison in COMPARISONS for preset in comparison.presets))


def methods_of(preset: str) -> list[dict[str, str]]:
    """All methods that are compared in a preset; one that is part of several comparisons only once."""
    compared = [method for c in COMPARISONS if preset in c.presets for method in c.methods()]
    return pd.DataFrame(compared).drop_duplicates().to_dict("records")
