"""Learned schedulers against heuristics: where they were trained, and in cells that they have never seen.

    python -m experiments schedulers
    python -m experiments schedulers --learner surrogate --seeds 200 --cells iot iot-family bandwidth-limited

The cells differ from a preset in one thing: number of clients, bandwidth, skew of the data, staleness of what is known
of the channel. Every scheduler plays the same episodes; the one set of weights that is trained on the family of cells
acts in all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import pandas as pd

import agents
from experiments.running import Case, Experiment, Row
from splitgym.evaluation import HELD_OUT, Comparison, episode_table, markdown, run_episodes
from splitgym.inputs import InputError
from splitgym.parts import suggest

OF_PRESET = {"ppo-equivariant": "policy", "tuned": "scenario", "best-fixed": "scenario"}
"""Schedulers that are made for a scenario, and the option that says which: the preset, as no cell has its own."""


@dataclass(frozen=True)
class Cell:
    """A preset, and in what the cell differs from it."""

    preset: str
    differs: Mapping[str, Mapping[str, Any]]


WIDE: Mapping[str, Cell] = {
    f"iot-wide, {count} clients": Cell("iot-wide", {"clients": {"count": count}, "family": {"clients": None}})
    for count in (8, 30, 100)
}
"""One preset at three sizes."""
CELLS: Mapping[str, Cell] = {
    "iot": Cell("iot", {}),
    "iot-family": Cell("iot-family", {}),
    "bandwidth-limited": Cell("bandwidth-limited", {}),
    "30 clients": Cell("iot", {"clients": {"count": 30}, "radio": {"subchannels": 32}}),
    "100 clients": Cell("iot", {"clients": {"count": 100}, "radio": {"subchannels": 100}}),
    "half the bandwidth": Cell("iot", {"radio": {"subchannel_hz": 90e3}}),
    "twice the bandwidth": Cell("iot", {"radio": {"subchannel_hz": 360e3}}),
    "more skew": Cell("iot", {"task": {"dirichlet_alpha": 0.1}}),
    "less skew": Cell("iot", {"task": {"dirichlet_alpha": 1.0}}),
    "stale channel": Cell("iot", {"knowledge": {"channel_delay_rounds": 5}}),
    **WIDE,
}
"""By name."""


@dataclass(frozen=True)
class Cases:
    """Schedulers in cells."""

    cells: tuple[str, ...] = tuple(cell for cell in CELLS if cell not in WIDE)
    """Which of them; those of `iot-wide` run if they are named; in the short form the first."""
    agents: tuple[str, ...] = (
        "greedy",
        "tuned:rule=fastest-k",
        "tuned:rule=loss-per-second-k",
        "tuned:rule=deadline",
        "tuned:rule=unified",
        "ppo-equivariant",
        "ppo-equivariant:policy=iot-family",
    )
    """NAME or NAME:OPTION=VALUE,...; the first is the baseline."""
    learner: Literal["train", "surrogate"] = "train"
    """Real training, or the surrogate, which holds for some numbers of clients only and is that of the short form."""

    def __call__(self, quick: bool) -> list[Case]:
        """All of them, cell by cell."""
        for cell in self.cells:
            if cell not in CELLS:
                raise InputError(f"--cells {cell!r} is unknown, {suggest(cell, CELLS)}")
        for agent in self.agents:
            agents.parse(agent)
        cells, learner = (self.cells[:1], "surrogate") if quick else (self.cells, self.learner)
        return [{"scenario": cell, "agent": agent, "learner": learner} for cell, agent in product(cells, self.agents)]


def measure(case: Case, seed: int) -> list[Row]:
    """An episode until the target or a budget is reached."""
    name, text = case["scenario"], case["agent"]
    cell = CELLS[name]
    settings = {"learner": case["learner"], "action": "priority", "name": name, "scenario": cell.preset, **cell.differs}
    agent, _ = agents.parse(text)
    make = agents.factory(text, **({OF_PRESET[agent]: cell.preset} if agent in OF_PRESET else {}))
    table = episode_table(run_episodes(text, make, [seed], settings))
    return table.drop(columns=["scenario", "agent", "seed"]).to_dict("records")


def report(episodes: pd.DataFrame) -> str:
    """A table for each cell."""
    learner = "real training" if episodes["learner"].iloc[0] == "train" else "the surrogate"
    baseline = episodes["agent"].iloc[0]
    parts = [
        f"Simulated time to the target accuracy with {learner}: interquartile mean and 95 % interval over the same "
        f"{episodes['seed'].nunique()} held-out episodes for every scheduler. `ppo-equivariant` is the policy that was "
        "trained on the preset of the cell, `ppo-equivariant:policy=iot-family` the one set of weights for all cells; "
        "tuned rules are tuned to the preset, on training seeds of the surrogate.",
    ]
    for name, table in episodes.groupby("scenario", sort=False):
        parts += [f"## {name}", markdown(Comparison(table, baseline).summary())]
    return "\n\n".join(parts)


EXPERIMENT = Experiment(
    title="Are learned schedulers faster than heuristics, where they were trained and in cells they have never seen?",
    cases=Cases(),
    measure=measure,
    report=report,
    seeds=20,
    quick_seeds=2,
    first_seed=HELD_OUT,
)
