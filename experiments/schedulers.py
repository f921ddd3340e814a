"""Learned schedulers against heuristics: where they were trained, and in cells that they have never seen.

    python -m experiments schedulers
    python -m experiments schedulers --learner surrogate --episodes 200 --cells iot iot-family bandwidth-limited

The cells differ from a preset in one thing: number of clients, bandwidth, skew of the data, staleness of what is known
of the channel. Every scheduler plays the same episodes; the one set of weights that is trained on the family of cells
acts in all of them.
"""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import pandas as pd
import tyro
from tqdm import tqdm

import agents
from experiments.command_line import command_line
from splitgym.evaluation import HELD_OUT, Comparison, Episode, compare, episode_table, markdown
from splitgym.scenario.errors import suggest

LEARNED = "ppo-equivariant"
"""The scheduler whose policies act in cells that they were not trained in."""


@dataclass(frozen=True)
class Cell:
    """A preset, and in what the cell differs from it."""

    preset: str
    differs: Mapping[str, Mapping[str, Any]]


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
}
"""By name."""


@dataclass(frozen=True)
class Options:
    """Time to target of learned schedulers and heuristics in known and unknown cells; prints tables and saves them."""

    cells: tuple[str, ...] = tuple(CELLS)
    """Which of them."""
    agents: tuple[str, ...] = (
        "greedy",
        "best-fixed",
        "fastest-k:k=4",
        "unified:w=0.2",
        "unified:w=0.5,cut_layer=1",
        "ppo-equivariant",
        "ppo-equivariant:policy=iot-family",
    )
    """NAME or NAME:OPTION=VALUE,...; the first is the baseline. Those not made for a cell are left out there."""
    learner: Literal["train", "surrogate"] = "train"
    """Real training, or the surrogate, which holds for some numbers of clients only."""
    episodes: int = 20
    """Held-out seeds in each cell."""
    workers: int = 2
    """Processes."""
    out: Path = Path("experiments/results/schedulers")
    """Folder for LEARNER.csv (episodes) and LEARNER.md (tables)."""

    def check(self) -> None:
        """Raises a ValueError that names the first setting which is not allowed."""
        for name in ("episodes", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}, allowed: 1 or more")
        for cell in self.cells:
            if cell not in CELLS:
                raise ValueError(f"--cells {cell!r} is unknown, {suggest(cell, CELLS)}")
        for agent in self.agents:
            agents.parse(agent)


def main() -> None:
    """Plays all cells one after the other; a cell that is done is kept if a later one is stopped."""
    options = tyro.cli(Options, description=inspect.getdoc(Options))
    options.check()
    options.out.mkdir(parents=True, exist_ok=True)
    tables: list[pd.DataFrame] = []
    for name in options.cells:
        tables.append(episode_table(_play(name, options)))
        pd.concat(tables).to_csv(options.out / f"{options.learner}.csv", index=False, float_format="%.6g")
        text = report(tables, options)
        (options.out / f"{options.learner}.md").write_text(text, encoding="utf-8")
    print(text)


def _play(name: str, options: Options) -> list[Episode]:
    cell = CELLS[name]
    settings = {"learner": options.learner, "action": "priority", "name": name, **cell.differs}
    env = gym.make("SplitLearning-v0", scenario=cell.preset, **settings)
    factories = {}
    for text in options.agents:
        # The cell has a name of its own, by which no policy is shipped.
        make = agents.factory(text, **({"policy": cell.preset} if text.startswith(LEARNED) else {}))
        with suppress(ValueError):
            make(env)
            factories[text] = make
    seeds = range(HELD_OUT, HELD_OUT + options.episodes)
    playing = compare(factories, [cell.preset], seeds, settings, "target", options.workers)
    return list(tqdm(playing, desc=name, total=len(factories) * options.episodes))


def report(tables: list[pd.DataFrame], options: Options) -> str:
    """A table for each cell."""
    learner = "real training" if options.learner == "train" else "the surrogate"
    parts = [
        f"`{command_line('schedulers')}`",
        f"Simulated time to the target accuracy with {learner}: interquartile mean and 95 % interval over the same "
        f"{options.episodes} held-out episodes for every scheduler. `ppo-equivariant` is the policy that was trained "
        "on the preset of the cell, `ppo-equivariant:policy=iot-family` the one set of weights for all cells.",
    ]
    for table in tables:
        name = table["scenario"].iloc[0]
        parts += [f"## {name}", markdown(Comparison(table, options.agents[0]).summary())]
    return "\n\n".join(parts) + "\n"
