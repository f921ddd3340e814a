"""How much shorter a round is on demand than with static shares, for the same decision.

    python -m experiments on_demand

The decision is that of the descent with everybody, made for static shares. Nobody is left out: the timeout is raised
beyond every round. "Lending only": the server waits for everybody's rows all the same, as it has to where batch norm
normalises them together. "Idle": share of band and round over which nothing is sent with static shares.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.cells import ENDLESS_S, random_states
from experiments.running import Case, Experiment, Row
from splitgym.allocation import descend
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import Barrier, Framework, Resource, get, names
from splitgym.inputs import InputError
from splitgym.scenario import build
from splitgym.timing import RoundCost, round_cost
from splitgym.types import Decision, RoundState

PRESETS = ("iot", "bandwidth-limited", "edge6g", "epsl")


@dataclass(frozen=True)
class Cases:
    """The presets."""

    aggregation_ratio: float = 0.5
    """Phi of frameworks that let the scheduler choose it."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them, in short forms too."""
        if not 0 <= self.aggregation_ratio <= 1:
            raise InputError(f"--aggregation-ratio {self.aggregation_ratio}, allowed: 0..1")
        return [{"preset": preset, "aggregation_ratio": self.aggregation_ratio} for preset in PRESETS]


def frameworks() -> list[Framework]:
    """All that send something."""
    return [get(name) for name in names() if name != "centralised"]


def on_demand(state: RoundState, server_waits: bool = False) -> RoundState:
    """The same state with on-demand sharing."""
    program = state.system.program
    barrier = np.full_like(program.barrier, Barrier.ALL) if server_waits else program.barrier
    program = replace(program, barrier=barrier)
    return replace(state, system=replace(state.system, on_demand=True, program=program))


def idle_share(state: RoundState, decision: Decision, cost: RoundCost) -> float:
    """Share of band and round in which nothing is sent; of a decision that says the band of every slot, if several."""
    program, hz = state.system.program, state.subchannel_hz
    used = decision.used(program.access)
    own_hz = np.bincount(decision.assignment[used], np.broadcast_to(hz, used.shape)[used], len(state.client_hz))
    on_air = np.append([True, True], np.isin(program.resource, (Resource.UPLINK, Resource.UNICAST)))
    broadcast = np.append([False, False], program.resource == Resource.BROADCAST)
    sent_hz_s = own_hz @ (cost.stop_s - cost.start_s)[on_air].sum(0) + hz.sum() * cost.stage_s[broadcast].sum()
    return float(1 - sent_hz_s / (hz.sum() * cost.latency_s))


def measure(case: Case, seed: int) -> list[Row]:
    """A random cell: a row for each framework."""
    scenario = build(case["preset"], {"episode": {"round_timeout_s": ENDLESS_S}})
    everybody = np.ones(scenario.clients.count, bool)
    rows = []
    for framework in frameworks():
        (state,) = random_states(scenario, framework, [seed])
        decision = descend(state, everybody, state.ratio(case["aggregation_ratio"] if framework.aggregates else 0.0))
        static = round_cost(state, decision)
        rows.append(
            {
                "framework": framework.name,
                "static_s": float(static.latency_s),
                "on_demand_s": float(round_cost(on_demand(state), decision).latency_s),
                "lending_only_s": float(round_cost(on_demand(state, server_waits=True), decision).latency_s),
                "idle": idle_share(state, decision, static),
            }
        )
    return rows


def table(rounds: pd.DataFrame) -> str:
    """Means over cells and the extremes, as Markdown."""
    lines = [
        "| preset | framework | static (s) | on demand / static | best | worst | lending only / static | idle (%) |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (preset, framework), cells in rounds.groupby(["preset", "framework"], sort=False):
        ratio = cells["on_demand_s"] / cells["static_s"]
        lines.append(
            f"| {preset} | {framework} | {cells['static_s'].mean():.3g} | {ratio.mean():.3f} | {ratio.min():.3f} | "
            f"{ratio.max():.3f} | {(cells['lending_only_s'] / cells['static_s']).mean():.3f} | "
            f"{100 * cells['idle'].mean():.0f} |"
        )
    return "\n".join(lines)


def plot(rounds: pd.DataFrame, figure: Figure) -> None:
    """Draws the ratio of every cell, and its mean."""
    figure.set_size_inches(9, 6)
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    rng = np.random.default_rng(0)
    for axes, (preset, part) in zip(panels.flat, rounds.groupby("preset", sort=False), strict=True):
        for place, (_, cells) in enumerate(part.groupby("framework", sort=False)):
            ratio = cells["on_demand_s"] / cells["static_s"]
            axes.scatter(
                place + rng.uniform(-0.2, 0.2, len(ratio)), ratio, s=8, color=COLOURS[0], alpha=0.3, linewidth=0
            )
            axes.hlines(ratio.mean(), place - 0.35, place + 0.35, color=COLOURS[1], linewidth=2)
        axes.axhline(1, color="0.4", linewidth=1)
        axes.set_title(preset)
        axes.set_xticks(range(part["framework"].nunique()), part["framework"].unique(), rotation=45, ha="right")
        axes.grid(axis="y", alpha=0.3)
    panels[0, 0].set_ylim(top=1.02)  # once the points of all panels are in: the limits are shared
    figure.supylabel("round latency, on demand / static")
    figure.suptitle("The same decision on demand: every cell, and the mean")


def report(rounds: pd.DataFrame) -> str:
    """What the numbers are, and the table."""
    caption = (
        "Latency of a round on demand and with static shares, for the same decision: that of the descent with "
        f"everybody, over {rounds['seed'].nunique()} random cells (mean, best, worst), phi "
        f"{rounds['aggregation_ratio'].iloc[0]:g} where it can be chosen. Lending only: the server waits for "
        "everybody's rows, as it has to in edge6g and epsl with psl, epsl, their kin and cpsl, for the batch norm. "
        "Idle: share of band and round in which nothing is sent with static shares."
    )
    return f"{caption}\n\n{table(rounds)}"


EXPERIMENT = Experiment(
    title="How much shorter is a round on demand than with static shares, for the same decision?",
    cases=Cases(),
    measure=measure,
    report=report,
    plots={"on_demand": plot},
    seeds=50,
    quick_seeds=3,
)
