"""The comparison of schedulers on the same episodes: every number of the tables, with its interval."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.evaluation.statistics import (
    Bootstrap,
    Estimate,
    Strata,
    difference,
    headroom_closed,
    in_units,
    interquartile_mean,
    is_lower_bound,
    probability_of_improvement,
    ratio,
    saving,
    share_faster,
)
from splitgym.parts import suggest

TIME = "time_to_target_s"
ENERGY = "energy_to_target_j"
MEASURES = (TIME, ENERGY, "round_latency_s", "final_accuracy")
"""Columns of the episodes that are summarised by themselves, if they are there."""

ALL = "all"
"""Stands for the scenario in rows over several scenarios."""


@dataclass(frozen=True)
class Comparison:
    """What schedulers achieved on the same episodes, and how it differs from a baseline.

    Raises:
        ValueError: baseline or reference is not among the agents, or an agent lacks an episode that others have.
    """

    episodes: pd.DataFrame
    """As `episode_table` makes it; `final_accuracy` may be missing."""
    baseline: str
    """Agent that the others are compared with."""
    reference: str | None = None
    """Agent whose saving counts as the whole head-room; None: head-room is not computed."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        for name, agent in (("baseline", self.baseline), ("reference", self.reference)):
            if agent is not None and agent not in self.agents:
                raise ValueError(f"{name} = {agent!r} is not compared, {suggest(agent, self.agents)}")
        for scenario in self.scenarios:
            seeds = set(self.episodes.loc[self.episodes["scenario"] == scenario, "seed"])
            for agent in self.agents:
                if (scenario, agent) not in self._ordered.index or set(self._own(scenario, agent).index) != seeds:
                    raise ValueError(f"agent {agent!r} lacks episodes of scenario {scenario!r} that others have")

    @property
    def agents(self) -> list[str]:
        """Names, in the order of the episodes."""
        return list(self.episodes["agent"].unique())

    @property
    def scenarios(self) -> list[str]:
        """Names, in the order of the episodes."""
        return list(self.episodes["scenario"].unique())

    def summary(self) -> pd.DataFrame:
        """One row per scenario and agent, in each scenario the fastest first; rows over all scenarios, if several.

        Every measure (interquartile mean) and comparison has columns `_low` and `_high` of its 95 % interval. `bound`
        is true if the interquartile mean of the time is a lower bound, as too many episodes missed the target;
        `baseline_bound` says the same of the baseline.
        """
        rows = [row for scenarios in self._blocks() for row in self._block(scenarios, self._summary_row)]
        return pd.DataFrame(rows)

    def paired(self) -> pd.DataFrame:
        """One row per scenario and agent but the baseline: its time against the baseline's in the same episode.

        `bound` and `baseline_bound` as in the summary: missed episodes of the agent or of the baseline are among those
        that the means are of.
        """
        rows = [row for scenarios in self._blocks() for row in self._block(scenarios, self._paired_row)]
        table = pd.DataFrame(rows)
        return table[table["agent"] != self.baseline]

    def lead(self, scenario: str) -> Estimate:
        """Fraction of the time of the second fastest agent that the fastest one saves, with its interval.

        Args:
            scenario: Name, or `ALL`.
        """
        block = self._gathered(self.scenarios if scenario == ALL else [scenario])
        first, second = self._ranked(block)[:2]
        return block.bootstrap.estimate(saving, block.times[first], block.times[second])

    def values(self, measure: str, scenario: str, agent: str) -> NDArray[Any]:
        """[n] a column of the episodes of an agent in a scenario, by seed."""
        return self._own(scenario, agent)[measure].to_numpy()

    def _blocks(self) -> list[list[str]]:
        each = [[scenario] for scenario in self.scenarios]
        return [*each, self.scenarios] if len(each) > 1 else each

    def _block(
        self, scenarios: list[str], row: Callable[["_Block", str], dict[str, object]]
    ) -> list[dict[str, object]]:
        """The rows of all agents, the most saving one first."""
        block = self._gathered(scenarios)
        name = scenarios[0] if len(scenarios) == 1 else ALL
        return [{"scenario": name, "agent": agent, **row(block, agent)} for agent in self._ranked(block)]

    def _gathered(self, scenarios: list[str]) -> "_Block":
        sizes = [len(self._own(scenario, self.baseline)) for scenario in scenarios]
        return _Block(
            scenarios,
            Bootstrap(sizes, self.seed),
            {agent: [self.values(TIME, each, agent) for each in scenarios] for agent in self.agents},
            {agent: [~self.values("reached", each, agent) for each in scenarios] for agent in self.agents},
            self.baseline,
        )

    def _ranked(self, block: "_Block") -> list[str]:
        """Agents, the most saving one first."""
        savings = {agent: float(saving(block.times[agent], block.times[self.baseline])) for agent in self.agents}
        return sorted(self.agents, key=lambda agent: -savings[agent])

    def _summary_row(self, block: "_Block", agent: str) -> dict[str, object]:
        """Measures of an agent over the episodes of a block, with intervals."""
        own, baseline = block.times[agent], block.times[self.baseline]
        row: dict[str, object] = {
            "baseline": self.baseline,
            "episodes": sum(map(len, own)),
            "reached": int(sum((~missed).sum() for missed in block.missed[agent])),
            "bound": block.is_lower_bound(agent),
            "baseline_bound": block.is_lower_bound(self.baseline) or block.has_lower_bounds_as_units,
        }
        for measure in MEASURES:
            # Seconds of different scenarios have no common mean.
            if measure in self.episodes and len(block.scenarios) == 1:
                values = self.values(measure, block.scenarios[0], agent)
                row |= _columns(measure, block.bootstrap.estimate(interquartile_mean, [values]))
        row |= _columns("saving", block.bootstrap.estimate(saving, own, baseline))
        row |= _columns("improvement", block.bootstrap.estimate(probability_of_improvement, own, baseline))
        if self.reference is not None:
            reference = block.times[self.reference]
            row |= _columns("headroom", block.bootstrap.estimate(headroom_closed, own, baseline, reference))
        return row

    def _paired_row(self, block: "_Block", agent: str) -> dict[str, object]:
        """Measures of an agent against the baseline on the same seeds, with intervals."""
        own, baseline = block.times[agent], block.times[self.baseline]
        a, b = np.concatenate(own), np.concatenate(baseline)
        missed, baseline_missed = (np.concatenate(block.missed[name]) for name in (agent, self.baseline))
        row: dict[str, object] = {
            "baseline": self.baseline,
            "faster": int((a < b).sum()),
            "tied": int((a == b).sum()),
            "slower": int((a > b).sum()),
            "bound": any(is_lower_bound([values], [missed]) for values in (a - b, a / b)),
            "baseline_bound": any(is_lower_bound([values], [baseline_missed]) for values in (b - a, b / a)),
        }
        if len(block.scenarios) == 1:
            row |= _columns("difference_s", block.bootstrap.estimate(difference, own, baseline))
        row |= _columns("ratio", block.bootstrap.estimate(ratio, own, baseline))
        row |= _columns("share_faster", block.bootstrap.estimate(share_faster, own, baseline))
        return row

    @cached_property
    def _ordered(self) -> pd.DataFrame:
        return self.episodes.set_index(["scenario", "agent", "seed"]).sort_index()

    def _own(self, scenario: str, agent: str) -> pd.DataFrame:
        """The episodes of an agent in a scenario, by seed."""
        return self._ordered.loc[(scenario, agent)]


@dataclass(frozen=True)
class _Block:
    """The episodes of some scenarios: by agent, and for each scenario an array over the seeds."""

    scenarios: list[str]
    bootstrap: Bootstrap
    times: dict[str, Strata]
    missed: dict[str, list[Bools]]
    baseline: str

    def is_lower_bound(self, agent: str) -> bool:
        """Whether the agent's interquartile mean over all scenarios is one, in units of the baseline's in each."""
        return is_lower_bound(in_units(self.times[agent], self.times[self.baseline]), self.missed[agent])

    @property
    def has_lower_bounds_as_units(self) -> bool:
        """Whether the baseline's interquartile mean is one in any of the scenarios."""
        samples = zip(self.times[self.baseline], self.missed[self.baseline], strict=True)
        return any(is_lower_bound([times], [missed]) for times, missed in samples)


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
