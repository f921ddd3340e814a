"""What a training run says on the console."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..policy_file import Card
from .hyperparameters import Hyperparameters

HARDLY_TRAINED = 0.01
"""Weights that have all changed by less are nearly those with which the training started."""


def console() -> Console:
    """Prints text as it is, in lines of any length."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def say_part(on: Console, part: str, text: str) -> None:
    """What part of the run starts: "1/2", and what it is."""
    on.print(f"{part} {text}", style="bold")


@contextmanager
def bars(on: Console) -> Iterator[Progress]:
    """Progress bars below the line of a part."""
    columns = (TextColumn("      {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=on) as progress:
        yield progress


def say_if_rounded(on: Console, chosen: Hyperparameters) -> None:
    """Whether there are more steps than were asked for."""
    if chosen.steps != chosen.least_steps:
        rollouts = f"{chosen.updates:,} x {chosen.rollout_steps:,}"
        on.print(f"      rounded up from {chosen.least_steps:,} to whole rollouts, {rollouts}")


def say_what_was_kept(on: Console, card: Card) -> None:
    """Which policy was kept, and how far the training has changed its weights."""
    change = card.largest_change
    if change is not None and change < HARDLY_TRAINED:
        name = "nearly the initial one" if change else "the initial one"
        text = f"the policy that was kept is {name}: by the training no weight changed by more than {change:.2g}"
        on.print(f"      {text}", style="yellow")
        return
    changed = "" if change is None else f"; largest change of a weight: {change:.2g}"
    on.print(f"      kept: the policy of seed {card.seed} after {card.steps:,} rounds{changed}")


def how_to_go_on(folder: Path) -> str:
    """The command that continues the run in a folder."""
    below = Path(sys.executable).is_relative_to(Path.cwd())
    python = os.path.relpath(sys.executable) if below else sys.executable
    program = [sys.argv[0]] if Path(sys.argv[0]).name == "train_agent.py" else ["-m", "splitgym", "train"]
    command = shlex.join([python, *program, "--resume", str(folder)])
    return f"What was saved last stays; go on with\n  {command}"
