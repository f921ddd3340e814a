"""A comparison of schedulers: what it checks first, its folder, the episodes, tables, plots and report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import pandas as pd
from rich.console import Console
from rich.progress import track

from splitgym import command_line, schedulers
from splitgym.evaluation import (
    ALL,
    ORACLE,
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
    plot_trade_off,
    readable,
    with_oracle,
    write_report,
)
from splitgym.evaluation.processes import TORCH_THREADS
from splitgym.inputs import InputError
from splitgym.outputs import write_text
from splitgym.scenario import Scenario, build, check_files_differ, file_name
from splitgym.schedulers.tuned_rule import FIXED, RULES, table

from .compare import DEAR, LOOK_AHEADS, Settings
from .provenance import made_by, versions
from .registry import factory, make, names, parse
from .training.run_folder import RunFolder

EPISODES, REPORT, ROUNDS = "episodes.jsonl", "report.html", "rounds"
"""Files with the episodes as they end, and with everything; folder with all their rounds."""

TIMES = (
    "Interquartile mean of the simulated time to target, and by how many % that is less than the baseline's. A bar of "
    "the saving that does not touch the baseline's line is clear of zero at 95 %, each by itself."
)
PROFILES = (
    "Performance profile: fraction of the episodes that have reached the target by a simulated time. A curve that is "
    "higher everywhere is better on easy and hard episodes alike; where it ends below 100 % episodes missed the target."
)
TRADE_OFF = (
    "Energy over time to target, interquartile means with 95 % intervals; the grey line joins those that none beats in "
    "both."
)
ACCURACY = "Test accuracy over simulated time: mean of the episodes, with its 95 % interval."
"""What the plots of the report show."""


def run(settings: Settings) -> None:
    """Checks the settings, plays what is not finished, writes the folder."""
    with command_line.checking_input():
        settings.check()
        scenarios = _scenarios(settings)
        envs = {
            name: gym.make("SplitLearning-v0", scenario=scenario, **settings.environment)
            for name, scenario in scenarios.items()
        }
        compared = _agents(settings, list(envs.values()))
        folder, kept = _folder(settings, made_by(settings.deciding(), envs, compared), list(scenarios))
    command = command_line.spelt("splitgym compare", settings)
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
        named["--reference"] = list(LOOK_AHEADS) if settings.reference == ORACLE else [settings.reference]
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
    tuned = [f"tuned:rule={rule}" for rule in RULES if rule != FIXED and _is_tuned(rule, envs)]
    return [*(name for name in found if name not in DEAR), *tuned]


def _is_tuned(rule: str, envs: Sequence[Any]) -> bool:
    """Whether the rule was tuned to the scenarios of all environments."""
    return all(rule in table().get(env.unwrapped.scenario.name, {}) for env in envs)


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
    if settings.reference == ORACLE:
        rules = [agent for agent in table["agent"].unique() if parse(agent)[0] in schedulers.names()]
        table = with_oracle(table, rules)
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
    console.print(on_screen(readable(summary), console.width))
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
        images.append((folder.path / f"trade-off-{file_name(scenario)}.png", TRADE_OFF))
        plot_trade_off(comparison, summary, scenario, images[-1][0])
        if until == "budget":
            own = [episode for episode in episodes if episode.scenario == scenario]
            images.append((folder.path / f"accuracy-{file_name(scenario)}.png", ACCURACY))
            plot_accuracy(own, images[-1][0], title=f"{scenario}: test accuracy over simulated time")
    return images
