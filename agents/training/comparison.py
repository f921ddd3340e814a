"""The comparison that ends a training run: the policy that was kept and other schedulers, with real training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import pandas as pd
from rich.console import Console
from rich.progress import track

from splitgym.evaluation import (
    HELD_OUT,
    AgentFactory,
    Comparison,
    Episode,
    KeptEpisodes,
    OtherEpisodesError,
    compare,
    episode_table,
    markdown,
    notes,
    on_screen,
    plot_accuracy,
    readable,
)
from splitgym.evaluation.runner import log_stem
from splitgym.inputs import InputError
from splitgym.outputs import write_text
from splitgym.scenario import build

from ..provenance import made_by
from ..registry import factory, make
from .messages import say_part
from .run_folder import RunFolder

ROUNDS = "rounds"
"""Folder with every round of every episode, and every client in it."""


@dataclass(frozen=True)
class TrainedComparison:
    """The policy of a run and other schedulers on held-out seeds."""

    folder: RunFolder
    """Holds the policy and the scenario; tables and plot go there."""
    algorithm: str
    """That trained the policy."""
    others: tuple[str, ...]
    """Schedulers, as `splitgym.agents.factory` reads them."""
    environment: Mapping[str, Any]
    """Keyword arguments of the environment, but scenario and learner."""
    episodes: int
    """Of each scheduler."""
    seed: int
    """Of the intervals."""

    def run(self, workers: int, console: Console) -> None:
        """Plays what is not finished, writes tables and plot, prints the summary."""
        about = f"comparing on {self.episodes} held-out seeds, real training until the budget is spent"
        say_part(console, "2/2", about)
        self._write(self._play(workers, console), console)

    def _play(self, workers: int, console: Console) -> list[Episode]:
        """The episodes, in the order of their keys."""
        trained = partial(make, self.algorithm, policy=self.folder.path)
        factories = {agent: scheduler(agent) for agent in self.others} | {self.algorithm: trained}
        seeds = range(HELD_OUT, HELD_OUT + self.episodes)
        scenarios = [str(self.folder.path / "scenario.toml")]
        kept = self._kept(factories, console)
        running = compare(
            factories, scenarios, seeds, self.environment, "budget", workers, kept, self.folder.path / ROUNDS
        )
        total = len(factories) * self.episodes
        episodes = list(track(running, "      episodes", total=total, console=console))
        return sorted(episodes, key=lambda episode: episode.key)

    def _rounds(self, episodes: Sequence[Episode]) -> pd.DataFrame:
        """All rounds, as `round_frame` has them."""
        agents = [*self.others, *({self.algorithm} - set(self.others))]
        stems = [
            log_stem(self.folder.path / ROUNDS, e.scenario, agents.index(e.agent), e.agent, e.seed) for e in episodes
        ]
        paths = [stem.with_name(f"{stem.name}-rounds.csv.gz") for stem in stems]
        # As text, so that numbers stay as they were written.
        tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
        return pd.concat(tables, ignore_index=True)

    def _kept(self, schedulers: Mapping[str, AgentFactory], console: Console) -> KeptEpisodes:
        """The finished episodes; none if they are of another policy, or by other versions."""
        path, scenario = self.folder.path / "episodes.jsonl", build(self.folder.path / "scenario.toml")
        env = gym.make("SplitLearning-v0", **self.environment, scenario=scenario)
        decides = {**self.environment, "learner": "train", "compare": self.others, "episodes": self.episodes}
        made_with = made_by(decides, {scenario.name: env}, schedulers)
        try:
            return KeptEpisodes(path, made_with)
        except OtherEpisodesError as error:
            console.print(f"      all episodes are played again: {error}")
            path.unlink()
            return KeptEpisodes(path, made_with)

    def _write(self, episodes: list[Episode], console: Console) -> None:
        """Tables and plot in the folder, the summary on the console."""
        table, path = episode_table(episodes), self.folder.path
        baseline = "greedy" if "greedy" in self.others else self.others[0]
        comparison = Comparison(table, baseline, seed=self.seed)
        summary = comparison.summary()
        write_text(path / "episodes.csv", table.to_csv(index=False))
        write_text(path / "rounds.csv", self._rounds(episodes).to_csv(index=False))
        write_text(path / "table.csv", summary.to_csv(index=False))
        write_text(path / "table.md", markdown(summary) + "\n")
        title = f"Real split learning in scenario {build(path / 'scenario.toml').name}"
        plot_accuracy(episodes, path / "accuracy.png", title)
        console.print(on_screen(readable(summary), console.width))
        console.print("\n".join(notes(comparison)))
        console.print(f"policy, table, plot and TensorBoard log: {path}")


def scheduler(name: str) -> AgentFactory:
    """Makes the scheduler that `--compare` names.

    Raises:
        InputError: there is no such scheduler, or it has no such option.
    """
    try:
        return factory(name)
    except ValueError as error:
        raise InputError(f"--compare: {error}") from error
