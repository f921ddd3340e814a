"""A training run: what it checks first, its folder, the training or a search for settings, the comparison."""

import shlex
from dataclasses import asdict, fields, replace
from math import inf
from pathlib import Path
from typing import Any

import gymnasium as gym
from pydantic import TypeAdapter
from rich.console import Console

from splitgym import command_line
from splitgym.envs import SB3VecEnv
from splitgym.inputs import InputError, reading
from splitgym.scenario import Scenario, build
from splitgym.scenario.errors import in_one_line

from .. import algorithms
from ..learned import find_policy
from ..policy_file import copy, fill_in, read_card
from ..train import USUAL, Settings
from . import messages
from .comparison import TrainedComparison, scheduler
from .hyperparameters import Hyperparameters
from .imitation import rounds_of
from .jobs import Job, train_all
from .run_folder import SETTINGS, RunFolder
from .tuning import Search


def run(settings: Settings) -> None:
    """Checks the settings, then runs; an interrupted run says how to go on."""
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
    if settings.compare == USUAL:
        settings = replace(settings, compare=tuple(agent for agent in USUAL if _can_be_made(agent, env)))
    named = [("compare", agent) for agent in settings.compare if agent != settings.algorithm]
    if settings.imitate is not None:
        named.append(("imitate", settings.imitate))
    for option, agent in named:
        try:
            scheduler(agent)(env)
        except ValueError as error:
            raise InputError(f"--{option} {agent}: {error}") from error
    folder = RunFolder.create(settings.out, f"{settings.algorithm}-{scenario.name}")
    settings = replace(settings, steps=hyperparameters.least_steps, environments=hyperparameters.environments)
    hyperparameters.write(folder.path / SETTINGS, settings.learner)
    folder.save_settings(_command(settings), asdict(settings), {"scenario.toml": scenario.to_toml()})
    return folder, settings


def _start(settings: Settings) -> Path | None:
    """Files of the policy whose weights the training begins with, without their endings."""
    if settings.start is None:
        return None
    return find_policy(algorithms.get(settings.algorithm), settings.start, settings.scenario)


def _can_be_made(agent: str, env: gym.Env[Any, Any]) -> bool:
    """Whether an agent is tuned to the scenario and fits the environment."""
    try:
        scheduler(agent)(env)
    except ValueError:
        return False
    return True


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
        model = chosen.model(envs, settings.seed)
    if start := _start(settings):
        fill_in(start, model.policy)


def _run(folder: RunFolder, settings: Settings, console: Console) -> None:
    """Searches for settings, or trains and compares."""
    environment = {**settings.environment(), "scenario": str(folder.path / "scenario.toml")}
    if settings.tune:
        _tune(folder, settings, environment, console)
    else:
        _train(folder, settings, environment, console)
        _comparison(folder, settings).run(settings.workers, console)


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
    start = _start(settings)
    jobs = [
        Job(folder.seed(seed).path, chosen, learning, seed, _command(settings), start, settings.imitate)
        for seed in seeds
    ]
    if settings.imitate is not None and not all(folder.seed(seed).last.exists() for seed in seeds):
        console.print(f"      first it imitates {settings.imitate}, for {rounds_of(chosen.steps):,} rounds of its own")
    with messages.bars(console) as bars:
        tasks = [bars.add_task(f"seed {job.seed}", total=chosen.steps) for job in jobs]
        for steps in train_all(jobs, settings.workers):
            for task, done in zip(tasks, steps, strict=True):
                bars.update(task, completed=min(done, chosen.steps))
    kept = [folder.seed(seed) for seed in seeds]
    costs = [inf if (cost := seed.cost()) is None else cost for seed in kept]
    copy(kept[costs.index(min(costs))].policy, folder.policy)
    messages.say_what_was_kept(console, read_card(folder.policy, chosen.algorithm))


def _comparison(folder: RunFolder, settings: Settings) -> TrainedComparison:
    """Of the policy in the folder of a run."""
    environment = settings.environment()
    return TrainedComparison(
        folder, settings.algorithm, settings.compare, environment, episodes=settings.episodes, seed=settings.seed
    )


def _command(settings: Settings) -> str:
    """The command of the run."""
    return command_line.spelt("splitgym train", settings)
