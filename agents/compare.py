"""Compares schedulers on common held-out seeds: `python -m agents.compare --help`."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import inspect
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import gymnasium as gym
import pandas as pd
import tyro
from rich.console import Console
from rich.progress import track

from agents.provenance import made_by, versions
from agents.registry import factory, make, names
from agents.training.run_folder import RunFolder
from splitgym import command_line
from splitgym.evaluation import (
    ALL,
    HELD_OUT,
    AgentFactory,
    Comparison,
    Episode,
    KeptEpisodes,
    Until,
    compare,
    episode_table,
    markdown,
    notes,
    on_screen,
    plot_accuracy,
    plot_profiles,
    plot_times,
    readable,
    write_report,
)
from splitgym.evaluation.processes import TORCH_THREADS, check_workers
from splitgym.inputs import InputError
from splitgym.outputs import write_text
from splitgym.scenario import Scenario, build, check_files_differ, file_name

SEEDS = 10_000
"""Held-out seeds of one `--seed`; the next one has others."""
LARGEST_SEED = 10**9

EPISODES, REPORT, ROUNDS = "episodes.jsonl", "report.html", "rounds"
"""Files with the episodes as they end, and with everything; folder with all their rounds."""

DEAR = "look-ahead"
"""What is not compared unless it is named: an oracle that tries every rule in every round."""


TIMES = (
    "Interquartile mean of the simulated time to target, and by how many % that is less than the baseline's. A bar of "
    "the saving that does not touch the baseline's line is clear of zero at 95 %, each by itself."
)
PROFILES = (
    "Performance profile: fraction of the episodes that have reached the target by a simulated time. A curve that is "
    "higher everywhere is better on easy and hard episodes alike; where it ends below 100 % episodes missed the target."
)
ACCURACY = "Test accuracy over simulated time: mean of the episodes, and the range over them."
"""What the plots of the report show."""


@dataclass(frozen=True)
class Settings:
    """Compare schedulers on common held-out seeds: the same cells, data and initial weights for all of them.

    Prints a table of interquartile means with 95 % intervals and paired comparisons with a baseline, and writes a
    folder: episodes.csv, table.md, table.csv, paired.csv, plots, and report.html, one file that holds everything.
    The same settings and seed give the same table. Episodes are kept as they end: after a stop the same command goes
    on.
    """

    scenarios: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]")] = ("iot",)
    """Preset names or paths of TOML files."""
    agents: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="AGENT [AGENT ...]",
            help="Schedulers to compare, each as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example "
            f"highest-loss-k:k=3,allocation=equal-shares. Names: {', '.join(names())}. "
            f"None given: all that need no option in any of the scenarios, but {DEAR}; of trained policies those "
            "that are shipped for each scenario or in general.",
        ),
    ] = ()
    baseline: Annotated[str, tyro.conf.arg(metavar="AGENT")] = "greedy"
    """The scheduler with which the others are compared; it runs even if it is not among them."""
    reference: Annotated[str | None, tyro.conf.arg(metavar="AGENT")] = None
    """The scheduler whose saving counts as the whole head-room, a look-ahead for example; it runs, too."""
    learner: Literal["surrogate", "train"] = "surrogate"
    """What a round teaches: surrogate, a model of the training (milliseconds an episode), or train, real training
    (seconds an episode)."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt, cpsl, hierarchical,
    multi-hop, u-shaped, async-psl or async-sfl; or your own as module:NAME, for which that module is imported: whatever
    code it holds is executed."""
    action: str = "schedule"
    """Action encoding of the environment: all decisions are played exactly, whatever the encoding of a policy; but
    those that learnt with discrete see more and need it, and the others need another one."""
    until: Until = "target"
    """When an episode ends: at the target accuracy, or only when time or rounds are spent, for accuracy curves."""
    episodes: int = 100
    """Held-out seeds on which every scheduler runs in every scenario."""
    seed: int = 0
    """Of the comparison: another one has other episodes and other bootstrap resamples."""
    rounds: bool = False
    """Also write every round of every episode, and every client in it, as packed CSV into the folder `rounds`."""
    workers: int = 2
    """Processes; the table does not depend on them."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Torch device of real training; None: cuda if there is one, else cpu."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of the results; None: the last runs/compare-SCENARIO-n if it holds this comparison unfinished, or else the
    next one."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        check_workers(self.workers)
        if not 1 <= self.episodes <= SEEDS:
            raise InputError(f"--episodes {self.episodes}, allowed: 1..{SEEDS}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"--seed {self.seed}, allowed: 0..{LARGEST_SEED}")
        if not self.scenarios:
            raise InputError("--scenarios names none, allowed: preset names or paths of TOML files")

    @property
    def environment(self) -> dict[str, Any]:
        """Keyword arguments of the environment, without the scenario."""
        return {name: getattr(self, name) for name in ("learner", "framework", "action", "device")}

    def deciding(self) -> dict[str, Any]:
        """What decides the episodes and their table."""
        return {name: value for name, value in asdict(self).items() if name not in ("scenarios", "workers", "out")}

    @property
    def seeds(self) -> range:
        """Of the episodes."""
        first = HELD_OUT + SEEDS * self.seed
        return range(first, first + self.episodes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    """Reads and checks the settings, plays what is not finished, writes the folder."""
    about = command_line.about(inspect.getdoc(Settings))
    with command_line.parsing():
        settings = tyro.cli(Settings, prog="python -m agents.compare", args=arguments, description=about)
    with command_line.checking_input():
        settings.check()
        scenarios = _scenarios(settings)
        envs = {
            name: gym.make("SplitLearning-v0", scenario=scenario, **settings.environment)
            for name, scenario in scenarios.items()
        }
        compared = _agents(settings, list(envs.values()))
        folder, kept = _folder(settings, made_by(settings.deciding(), envs, compared), list(scenarios))
    command = shlex.join(["python", "-m", "agents.compare", *arguments])
    files = {f"{file_name(name)}.toml": scenario.to_toml() for name, scenario in scenarios.items()}
    folder.save_settings(command, asdict(settings), files)
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    try:
        paths, log = [str(folder.path / file) for file in files], folder.path / ROUNDS if settings.rounds else None
        episodes = _play(settings, compared, paths, kept, log, console)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{len(kept.episodes)} episodes are kept; the same command goes on.") from stop
    _write(folder, settings, command, episodes, console)


def _scenarios(settings: Settings) -> dict[str, Scenario]:
    """The scenarios by name, whose files must differ."""
    scenarios: dict[str, Scenario] = {}
    for source in settings.scenarios:
        scenario = build(source)
        check_files_differ((ALL, *scenarios, scenario.name))
        scenarios[scenario.name] = scenario
    return scenarios


def _folder(
    settings: Settings, made_with: Mapping[str, Any], scenarios: Sequence[str]
) -> tuple[RunFolder, KeptEpisodes]:
    """The folder of this comparison where it was stopped, or else a new one; and its finished episodes."""
    name = f"compare-{'-'.join(scenarios)}"
    before = settings.out or RunFolder.last(name)
    if before is not None and (before / EPISODES).is_file() and (settings.out or not (before / REPORT).exists()):
        try:
            return RunFolder(before), KeptEpisodes(before / EPISODES, made_with)
        except InputError as error:
            if settings.out:
                raise InputError(f"{error}; choose another --out") from error
    folder = RunFolder.create(settings.out, name)
    return folder, KeptEpisodes(folder.path / EPISODES, made_with)


def _agents(settings: Settings, envs: Sequence[gym.Env[Any, Any]]) -> dict[str, AgentFactory]:
    """The agents to compare, after a look whether they can be made in every scenario."""
    named = {"--agents": settings.agents or _without_options(envs), "--baseline": [settings.baseline]}
    if settings.reference is not None:
        named["--reference"] = [settings.reference]
    for option, texts in named.items():
        for text in texts:
            try:
                for env in envs:
                    factory(text)(env)
            except ValueError as error:
                raise InputError(f"{option} {text}: {error}") from error
    return {text: factory(text) for texts in named.values() for text in texts}


def _without_options(envs: Sequence[gym.Env[Any, Any]]) -> list[str]:
    """Names of the agents that need nothing but the environment, whichever of these it is."""
    found = []
    for name in names():
        try:
            for env in envs:
                make(name, env)
        except ValueError:
            continue
        found.append(name)
    return [name for name in found if name != DEAR]


def _play(
    settings: Settings,
    compared: Mapping[str, AgentFactory],
    scenarios: Sequence[str],
    kept: KeptEpisodes,
    log: Path | None,
    console: Console,
) -> list[Episode]:
    """Plays all episodes that are not kept yet, behind a progress bar."""
    how = settings.environment, settings.until, settings.workers, kept, log
    running = compare(compared, scenarios, settings.seeds, *how)
    total = len(compared) * len(scenarios) * settings.episodes
    played = list(track(running, f"{settings.learner}, {total} episodes", total=total, console=console))
    # In a fixed order, as sums over episodes are rounded.
    return sorted(played, key=lambda episode: episode.key)


def _write(folder: RunFolder, settings: Settings, command: str, episodes: list[Episode], console: Console) -> None:
    """Writes tables, plots and report, and prints the summary."""
    table = episode_table(episodes)
    if settings.until == "target":
        # Where an episode ends at the target, its last accuracy says nothing new.
        table = table.drop(columns="final_accuracy")
    comparison = Comparison(table, settings.baseline, settings.reference, settings.seed)
    summary, paired = comparison.summary(), comparison.paired()
    write_text(folder.path / "episodes.csv", table.to_csv(index=False))
    write_text(folder.path / "table.csv", summary.to_csv(index=False))
    write_text(folder.path / "table.md", markdown(summary) + "\n")
    write_text(folder.path / "paired.csv", paired.to_csv(index=False))
    images = _draw(folder, comparison, summary, episodes, settings.until)
    facts = {
        "Command": command,
        "Learner": {
            "surrogate": "surrogate, a model of the training that is calibrated on real runs; "
            "what matters should be confirmed with --learner train",
            "train": "real training in every round",
        }[settings.learner],
        "Settings": ", ".join(f"{name} = {value}" for name, value in asdict(settings).items()),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Torch threads": str(TORCH_THREADS),
    }
    title = f"Schedulers in {', '.join(comparison.scenarios)}"
    # Last, for it says that the comparison is finished.
    write_report(folder.path / REPORT, title, facts, comparison, summary, paired, images)
    console.print(on_screen(readable(summary)))
    console.print("\n".join(notes(comparison)))
    console.print(f"everything is in {folder.path / REPORT}")


def _draw(
    folder: RunFolder, comparison: Comparison, summary: pd.DataFrame, episodes: Sequence[Episode], until: Until
) -> list[tuple[Path, str]]:
    """Draws the plots of every scenario; returns each with what it shows."""
    images = []
    for scenario in summary["scenario"].unique():
        images.append((folder.path / f"times-{file_name(scenario)}.png", TIMES))
        plot_times(comparison, summary, scenario, images[-1][0])
    for scenario in comparison.scenarios:
        images.append((folder.path / f"profiles-{file_name(scenario)}.png", PROFILES))
        plot_profiles(comparison, summary, scenario, images[-1][0])
        if until == "budget":
            own = [episode for episode in episodes if episode.scenario == scenario]
            images.append((folder.path / f"accuracy-{file_name(scenario)}.png", ACCURACY))
            plot_accuracy(own, images[-1][0], title=f"{scenario}: mean accuracy by when")
    return images


if __name__ == "__main__":
    sys.exit(main())
