"""Trains a scheduler, then compares it with the heuristics on held-out seeds with real split learning."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import inspect
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

import gymnasium as gym
import tyro
from pydantic import TypeAdapter
from rich.console import Console

import agents
from agents import algorithms
from agents.policy_file import copy, read_card
from agents.training import messages
from agents.training.comparison import TrainedComparison, scheduler
from agents.training.hyperparameters import Hyperparameters
from agents.training.jobs import Job, train_all
from agents.training.run_folder import SETTINGS, RunFolder, command
from agents.training.tuning import Search
from splitgym import command_line
from splitgym.envs import SB3VecEnv
from splitgym.evaluation.processes import check_workers
from splitgym.inputs import InputError, reading
from splitgym.parts import suggest
from splitgym.scenario import Scenario, build
from splitgym.scenario.errors import in_one_line

SEEDS = 100_000
"""Number of allowed seeds of a run.

Environment i of a run starts with a seed of at most 99,999 + i, of a resumed run of at most 899,999 + i: below those of
comparisons.
"""

ALLOWED = {
    "steps": (1, 10**12),
    "environments": (1, 10**6),
    "seeds": (1, SEEDS),
    "tune": (0, 10**6),
    "episodes": (1, 10_000),
}
"""Least and most of a number."""


@dataclass(frozen=True)
class Settings:
    """Train a scheduler, then compare it with the heuristics on held-out seeds with real split learning.

    Everything goes to a run folder: settings, scenario, versions and command; of each training seed the TensorBoard
    log, the best policy and the last state; the best policy of all, comparison table and plot. Ctrl-C keeps what is
    saved, of the comparison every finished episode; --resume goes on.
    """

    scenario: str = "iot"
    """Preset name or path of a TOML file."""
    algorithm: Annotated[str, tyro.conf.arg(metavar="NAME", help=f"One of: {', '.join(algorithms.ALGORITHMS)}.")] = (
        "ppo-equivariant"
    )
    learner: Literal["surrogate", "train"] = "surrogate"
    """What the policy learns on: the surrogate, or real training in a process for each environment."""
    framework: str = "epsl"
    """Learning framework: centralised, fl, sl, sfl-v1, sfl-v2, psl, epsl, psl-drop, epsl-pt, cpsl, hierarchical,
    multi-hop, u-shaped, async-psl or async-sfl; or your own as module:NAME, for which that module is imported: whatever
    code it holds is executed."""
    action: str | None = None
    """Action encoding of the policy: schedule, priority, continuous or discrete; None: the algorithm's own."""
    reward: str = "gain-latency"
    """Reward of the policy: gain-latency, time-to-target or gain-latency-energy."""
    settings: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Settings of the algorithm, in RL Zoo's format; None: agents/training/settings/ALGORITHM.yml."""
    steps: int | None = None
    """Environment steps, which are training rounds, to learn from, rounded up to whole rollouts; None: as in the
    settings."""
    environments: int | None = None
    """Environments in parallel; None: as in the settings."""
    seed: int = 0
    """First seed of policy and training episodes."""
    seeds: int = 2
    """Policies to train from scratch, with seeds one after the other; the best in validation is compared."""
    tune: int = 0
    """Trials of a search for better settings, of so many steps each, instead of a training; writes tuned.yml."""
    compare: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="AGENT [AGENT ...]",
            help="Schedulers to compare with, each as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for example "
            f"highest-loss-k:k=3,allocation=equal-shares. Names: {', '.join(agents.names())}.",
        ),
    ] = ("greedy", "best-fixed", "unified", "random")
    episodes: int = 5
    """Held-out seeds on which each of them runs."""
    workers: int = 2
    """Processes of the training, one for each policy, and of the comparison."""
    device: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Torch device that trains the split network; None: cuda if there is one, else cpu."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Run folder; None: the next free runs/ALGORITHM-SCENARIO-n."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Go on with the run in this folder; its own settings hold. They may name a framework as module:NAME, which is
    imported, so that its code runs: resume only folders that you trust, or whose run.json you have read."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        for name, (least, most) in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"--{name} {value}, allowed: {least}..{most}")
        check_workers(self.workers)
        if self.tune and self.learner != "surrogate":
            raise InputError(f"--tune {self.tune} with --learner {self.learner}, allowed: --learner surrogate")
        if not self.compare:
            raise InputError(f"--compare names none, allowed: {', '.join(agents.names())}")
        for agent in self.compare:
            scheduler(agent)
        if not 0 <= self.seed <= SEEDS - self.seeds:
            raise InputError(f"--seed {self.seed}, allowed: 0..{SEEDS - self.seeds}")
        algorithm = algorithms.get(self.algorithm)
        allowed = algorithm.actions
        if self.action is not None and self.action not in allowed:
            raise InputError(f"--action {self.action} with {self.algorithm}, {suggest(self.action, allowed)}")

    def environment(self) -> dict[str, Any]:
        """Keyword arguments of the environment, but scenario and learner."""
        action = self.action or algorithms.get(self.algorithm).actions[0]
        return {"framework": self.framework, "action": action, "reward": self.reward, "device": self.device}

    def comparison(self, folder: RunFolder) -> TrainedComparison:
        """Of the policy in the folder of this run."""
        return TrainedComparison(
            folder, self.algorithm, self.compare, self.environment(), episodes=self.episodes, seed=self.seed
        )

    def hyperparameters(self) -> Hyperparameters:
        """The settings of the algorithm, with what the command line says of them."""
        chosen = Hyperparameters.read(algorithms.get(self.algorithm), self.learner, self.settings)
        steps = self.steps or (chosen.least_steps // 4 if self.tune else chosen.least_steps)
        return replace(chosen, least_steps=steps, environments=self.environments or chosen.environments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    """Reads and checks the settings, then runs; an interrupted run says how to go on."""
    about = command_line.about(inspect.getdoc(Settings))
    with command_line.parsing():
        settings = tyro.cli(Settings, args=arguments, description=about)
    with command_line.checking_input():
        settings.check()
        folder, settings = _continued(settings) if settings.resume else _started(settings)
    try:
        _run(folder, settings, messages.console())
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(messages.how_to_go_on(folder.path)) from stop


def _started(settings: Settings) -> tuple[RunFolder, Settings]:
    """Makes the folder of a new run, after a first look whether environments and agents can be made."""
    scenario = build(settings.scenario)
    hyperparameters = settings.hyperparameters()
    _try(settings, scenario)
    env = gym.make("SplitLearning-v0", **settings.environment(), scenario=scenario)
    env.reset(seed=settings.seed)
    for agent in settings.compare:
        try:
            if agent != settings.algorithm:
                scheduler(agent)(env)
        except ValueError as error:
            raise InputError(f"--compare {agent}: {error}") from error
    folder = RunFolder.create(settings.out, f"{settings.algorithm}-{scenario.name}")
    settings = replace(settings, steps=hyperparameters.least_steps, environments=hyperparameters.environments)
    hyperparameters.write(folder.path / SETTINGS, settings.learner)
    folder.save_settings(command(), asdict(settings), {"scenario.toml": scenario.to_toml()})
    return folder, settings


def _continued(settings: Settings) -> tuple[RunFolder, Settings]:
    """Opens the folder of a run that goes on, with its settings."""
    assert settings.resume is not None
    folder = RunFolder.open(settings.resume)
    fresh = Settings()
    for field in fields(Settings):
        if field.name != "resume" and getattr(settings, field.name) != getattr(fresh, field.name):
            raise InputError(f"--{field.name} cannot be given with --resume: the run's own settings hold")
    own = {"settings": folder.path / SETTINGS, "out": None, "resume": None}
    with reading(f"{folder.path / 'run.json'}"), in_one_line():
        saved = folder.settings()
        settings = Settings(**{**saved, "compare": tuple(saved["compare"]), **own})
        TypeAdapter(Settings).validate_python(asdict(settings))
    settings.check()
    _try(settings, build(folder.path / "scenario.toml"))
    return folder, settings


def _try(settings: Settings, scenario: Scenario) -> None:
    """Makes environments and learner as the training will, so that a fault of them is said before it starts."""
    chosen, file = settings.hyperparameters(), settings.settings or algorithms.get(settings.algorithm).settings
    envs = SB3VecEnv(
        chosen.environments, threads=1, scenario=scenario, learner=settings.learner, **settings.environment()
    )
    with reading(f"settings file {str(file)!r}"):
        chosen.model(envs, settings.seed)


def _run(folder: RunFolder, settings: Settings, console: Console) -> None:
    """Searches for settings, or trains and compares."""
    environment = {**settings.environment(), "scenario": str(folder.path / "scenario.toml")}
    if settings.tune:
        _tune(folder, settings, environment, console)
    else:
        _train(folder, settings, environment, console)
        settings.comparison(folder).run(settings.workers, console)


def _tune(folder: RunFolder, settings: Settings, environment: dict[str, Any], console: Console) -> None:
    """Writes the best settings of the search."""
    start = settings.hyperparameters()
    messages.say_part(console, "1/1", f"{settings.tune} trials of {settings.algorithm}, {start.steps:,} rounds each")
    messages.say_if_rounded(console, start)
    search = Search(folder.path, start, {**environment, "learner": "surrogate"}, settings.tune, settings.seed)
    with messages.bars(console) as bars:
        task = bars.add_task("trials", total=settings.tune)
        for done in search.run(settings.workers):
            bars.update(task, completed=done)
    best, time_s = search.best()
    full = Hyperparameters.read(best.algorithm, settings.learner).steps
    file = folder.path / "tuned.yml"
    replace(best, least_steps=full).write(file, settings.learner)
    console.print(f"best: {time_s:.1f} s to the target in validation; train with --settings {file}")


def _train(folder: RunFolder, settings: Settings, environment: dict[str, Any], console: Console) -> None:
    """Trains the policies, and keeps the best in the run's folder."""
    chosen = settings.hyperparameters()
    where = "on the surrogate" if settings.learner == "surrogate" else "of real split learning"
    what = f"training {settings.algorithm} on {settings.scenario}: {chosen.steps:,} rounds {where}"
    messages.say_part(console, "1/2", what)
    messages.say_if_rounded(console, chosen)
    console.print(f"      {shlex.join(['tensorboard', '--logdir', str(folder.path)])}")
    learning = {**environment, "learner": settings.learner}
    seeds = range(settings.seed, settings.seed + settings.seeds)
    jobs = [Job(folder.seed(seed).path, chosen, learning, seed, command()) for seed in seeds]
    with messages.bars(console) as bars:
        tasks = [bars.add_task(f"seed {job.seed}", total=chosen.steps) for job in jobs]
        for steps in train_all(jobs, settings.workers):
            for task, done in zip(tasks, steps, strict=True):
                bars.update(task, completed=min(done, chosen.steps))
    kept = [folder.seed(seed) for seed in seeds]
    costs = [inf if (cost := seed.cost()) is None else cost for seed in kept]
    copy(kept[costs.index(min(costs))].policy, folder.policy)
    messages.say_what_was_kept(console, read_card(folder.policy, chosen.algorithm))


if __name__ == "__main__":
    sys.exit(main())
