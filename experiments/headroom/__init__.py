"""How far every scheduler is from a look-ahead oracle in time to target, and every allocation from the best round.

    python -m experiments headroom

Rounds: latency of all allocations in random cells against the best known decision; nothing is trained. Episodes: real
training on common seeds until the target; the oracle (`agents/look_ahead.py`) sees truth and future. What is finished
stands in headroom.csv and headroom-rounds.csv and is not run again.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from experiments.command_line import command_line
from experiments.headroom import episodes, rounds
from experiments.headroom.finished import finish, finished
from experiments.headroom.methods import PRESETS, REAL, SETTINGS, Preset, methods
from experiments.headroom.report import episode_report, plot, round_report


@dataclass(frozen=True)
class Options:
    """Head-room of rules against a look-ahead oracle, and of allocations against the best round; tables and plot."""

    presets: tuple[Preset, ...] = PRESETS
    """Scenarios; epsl and edge6g need SPLITGYM_DATA, and a processor with bf16."""
    seeds: int = 5
    """Episodes per method; of epsl and edge6g one."""
    cells: int = 100
    """Random cells for the comparison of single rounds."""
    workers: int = 2
    """Processes."""
    quick: bool = False
    """A short form: toy only, one seed, twelve rounds to 15 %, two cells."""
    report: bool = False
    """Run nothing: tables and plot of what is finished, on the seeds on which all methods of a preset are."""
    out: Path = Path("experiments/results")
    """Folder for headroom.md, headroom.png and the rows of which they are made."""

    def check(self) -> None:
        """Raises a ValueError that names the first setting which is not allowed."""
        for name in ("seeds", "cells", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}, allowed: 1 or more")

    def episode_jobs(self) -> list[episodes.Job]:
        """Seed by seed, so that a stopped command leaves whole comparisons."""
        return [
            episodes.Job(preset, method, episodes.FIRST_SEED + number, self.quick)
            for number in range(self.seeds)
            for preset in self.presets
            if number == 0 or preset not in REAL
            for method in methods(preset)
        ]

    def round_jobs(self) -> list[rounds.Job]:
        """Preset by preset."""
        return [rounds.Job(preset, seed, self.quick) for preset in self.presets for seed in range(self.cells)]


def main() -> None:
    """Runs what is not finished yet, prints and saves tables and plot."""
    options = tyro.cli(Options, description=inspect.getdoc(Options))
    if options.quick:
        options = replace(options, presets=("toy",), seeds=1, cells=2)
    options.check()
    options.out.mkdir(parents=True, exist_ok=True)
    cell_rows, episode_rows = options.out / "headroom-rounds.csv", options.out / "headroom.csv"
    if not options.report:
        finish(options.round_jobs(), rounds.measure, cell_rows, options.workers)
        finish(options.episode_jobs(), episodes.run, episode_rows, options.workers)
    cells, played = finished(options.round_jobs(), cell_rows), finished(options.episode_jobs(), episode_rows)
    plot(played, options.out / "headroom.png")
    text = "\n\n".join(
        [
            f"`{command_line('headroom')}`",
            f"## Rounds: latency above the best known decision, %, mean (worst) over {cells['seed'].nunique()} cells",
            "Everybody takes part, first round of an episode, EPSL at the preset's phi, no round timeout. Best known: "
            "the least of all allocations and of a local search that begins at the best of them.",
            round_report(cells),
            "## Episodes: simulated time to target, real training",
            *_captions(list(dict.fromkeys(played["preset"]))),
            episode_report(played),
            "",
        ]
    )
    (options.out / "headroom.md").write_text(text, encoding="utf-8")
    print(text)


def _captions(presets: Sequence[str]) -> list[str]:
    settings = "; ".join(f"{preset} {SETTINGS[preset]}" for preset in presets)
    return [
        "Mean over common held-out seeds; an episode that misses the target counts with the whole time budget (≥). "
        "Head-room: how much less time the best oracle needs. Lasting: until the mean of five measurements is at the "
        "target, which luck in one measurement does not bring about. The oracle looks for the first measurement only: "
        "where it leads in that and not lastingly, it foresaw luck. phi: the scenario's where none is said; oracles "
        "try 0 and, on digits, 0.5. All rules have the descent for everything but who takes part.",
        f"Settings that differ from the presets: {settings}.",
    ]
