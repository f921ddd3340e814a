"""Trains a PPO scheduler on real split learning, then compares it with the heuristics on held-out seeds."""

import inspect
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import tyro
from rich.console import Console
from rich.progress import track

import agents
from agents.ppo import CheckpointError
from agents.run_folder import RunFolder
from agents.training import train
from splitgym.evaluation import (
    HELD_OUT,
    AgentFactory,
    Comparison,
    compare,
    episode_table,
    markdown,
    notes,
    on_screen,
    plot_accuracy,
    readable,
    round_table,
)
from splitgym.scenario import build

SEEDS = 100_000
"""Number of allowed seeds of a run.

Environment i of a run begins with a seed of at most 99,999 + i, of a resumed run of at most 899,999 + i: below those of
comparisons.
"""


@dataclass(frozen=True)
class Settings:
    """Train a PPO scheduler on real split learning, then compare it with the heuristics on held-out seeds.

    Everything goes to a run folder: settings, scenario, versions and command, TensorBoard log, best and last
    checkpoint, comparison table and plot. Ctrl-C keeps what is saved; --resume goes on.
    """

    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt or cpsl."""
    action: str = "schedule"
    """Action encoding of the policy: schedule, discrete or continuous."""
    reward: str = "gain-latency"
    """Reward of the policy: gain-latency, time-to-target or gain-latency-energy."""
    steps: int = 10_000
    """Environment steps, which are training rounds, to learn from."""
    environments: int = 2
    """Environments side by side, a process each."""
    seed: int = 0
    """Seed of the policy and of the training episodes."""
    compare: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="AGENT [AGENT ...]",
            help="Schedulers to compare, each as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example "
            f"highest-loss-k:k=3,allocation=equal-shares. Names: {', '.join(agents.names())}.",
        ),
    ] = ("ppo", "greedy", "fixed", "random")
    episodes: int = 5
    """Held-out seeds on which each of them runs."""
    workers: int = 2
    """Processes of the comparison."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Torch device that trains the split network; None: cuda if there is one, else cpu."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Run folder; None: the next free runs/ppo-SCENARIO-n."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Go on with the run in this folder; its own settings hold."""

    def check(self) -> None:
        """Raises a ValueError that names the first setting which is not allowed."""
        for name in ("steps", "environments", "episodes", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}, allowed: 1 or more")
        if not self.compare:
            raise ValueError(f"--compare names nobody, allowed: {', '.join(agents.names())}")
        for agent in self.compare:
            _factory(agent, Path())
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"--seed {self.seed}, allowed: 0..{SEEDS - 1}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    console, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    folder = None
    try:
        settings = tyro.cli(Settings, args=arguments, description=inspect.getdoc(Settings))
        settings.check()
        folder, settings = _continued(settings) if settings.resume else _begun(settings)
        _run(folder, settings, console)
    except (EOFError, ConnectionError, BrokenProcessPool) as error:
        errors.print(f"error: a worker process died ({type(error).__name__})", style="red", markup=False)
        return 2
    except (ValueError, OSError) as error:
        errors.print(f"error: {error}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("\nStopped." + (_how_to_go_on(folder) if folder else ""), markup=False)
        return 130
    return 0


def _how_to_go_on(folder: RunFolder) -> str:
    below = Path(sys.executable).is_relative_to(Path.cwd())
    python = os.path.relpath(sys.executable) if below else sys.executable
    command = shlex.join([python, sys.argv[0], "--resume", str(folder.path)])
    return f" Everything up to the last finished rollout is saved; go on with\n  {command}"


def _begun(settings: Settings) -> tuple[RunFolder, Settings]:
    """Makes the folder of a new run, after a first look whether environment and agents can be made."""
    scenario = build(settings.scenario)
    env = gym.make("SplitLearning-v0", **{**_environment(settings), "scenario": scenario})
    env.reset(seed=settings.seed)
    for agent in settings.compare:
        _try_out(agent, env)
    folder = RunFolder.create(settings.out, f"ppo-{scenario.name}")
    command = shlex.join(["python", *sys.argv])
    folder.save_settings(command, asdict(settings), {"scenario.toml": scenario.to_toml()})
    return folder, settings


def _continued(settings: Settings) -> tuple[RunFolder, Settings]:
    """Opens the folder of a run that goes on, with its settings."""
    assert settings.resume is not None
    folder = RunFolder.open(settings.resume)
    fresh = Settings()
    for field in fields(Settings):
        if field.name != "resume" and getattr(settings, field.name) != getattr(fresh, field.name):
            raise ValueError(f"--{field.name} cannot be given with --resume: the run's own settings hold")
    saved = folder.settings()
    try:
        settings = Settings(**{**saved, "compare": tuple(saved["compare"]), "out": None, "resume": None})
        settings.check()
    except (TypeError, KeyError) as error:
        raise ValueError(f"{folder.path / 'run.json'} does not hold the settings of a run: {error}") from error
    return folder, settings


def _environment(settings: Settings) -> dict[str, Any]:
    names = ("framework", "action", "reward", "device")
    return {name: getattr(settings, name) for name in names}


def _run(folder: RunFolder, settings: Settings, console: Console) -> None:
    scenario = folder.path / "scenario.toml"
    environment = {**_environment(settings), "scenario": str(scenario)}
    console.print(f"[bold]1/2[/] training PPO on {settings.scenario}: {settings.steps:,} rounds of real split learning")
    console.print(f"      {shlex.join(['tensorboard', '--logdir', str(folder.path)])}", markup=False)
    train(folder, environment, settings.environments, settings.steps, settings.seed)
    console.print(
        f"[bold]2/2[/] comparing on {settings.episodes} held-out seeds, real training until the budget is spent"
    )
    checkpoint = folder.best if folder.best.exists() else folder.last
    factories = {agent: _factory(agent, checkpoint) for agent in settings.compare}
    seeds = range(HELD_OUT, HELD_OUT + settings.episodes)
    running = compare(factories, [str(scenario)], seeds, _environment(settings), "budget", settings.workers)
    total = len(factories) * settings.episodes
    episodes = list(track(running, "      episodes", total=total, console=console))
    episodes.sort(key=lambda episode: (episode.agent, episode.seed))
    table = episode_table(episodes)
    baseline = "greedy" if "greedy" in settings.compare else settings.compare[0]
    comparison = Comparison(table, baseline, seed=settings.seed)
    summary = comparison.summary()
    folder.write("episodes.csv", lambda path: table.to_csv(path, index=False))
    folder.write("rounds.csv", lambda path: round_table(episodes).to_csv(path, index=False))
    folder.write("table.csv", lambda path: summary.to_csv(path, index=False))
    folder.write("table.md", lambda path: path.write_text(markdown(summary) + "\n", encoding="utf-8"))
    title = f"Real split learning in scenario {build(scenario).name}"
    folder.write("accuracy.png", lambda path: plot_accuracy(episodes, path, title))
    console.print(on_screen(readable(summary)))
    console.print("\n".join(notes(comparison)), markup=False)
    console.print(f"table, plot, checkpoints and TensorBoard log: {folder.path}", markup=False)


def _factory(agent: str, checkpoint: Path) -> AgentFactory:
    """Makes the agent that `--compare` names; "ppo" without a checkpoint of its own acts from the given one."""
    try:
        name, options = agents.parse(agent)
    except ValueError as error:
        raise ValueError(f"--compare: {error}") from error
    return partial(agents.make, name, **({"checkpoint": checkpoint, **options} if name == "ppo" else options))


def _try_out(agent: str, env: gym.Env[Any, Any]) -> None:
    """Raises a ValueError if the agent cannot be made for the environment; the policy of the run need not be there."""
    name, options = agents.parse(agent)
    try:
        _factory(agent, Path())(env)
    except ValueError as error:
        if name != "ppo" or "checkpoint" in options or not isinstance(error, CheckpointError):
            raise ValueError(f"--compare {agent}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
