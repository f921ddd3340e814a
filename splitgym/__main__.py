"""Plays, shows and executes rounds of split learning, trains and compares schedulers: `splitgym --help`."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import inspect
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from splitgym import command_line
from splitgym.inputs import MissingExtraError

PROGRAM = "splitgym"
COMMANDS: Mapping[str, str] = {
    "render": "splitgym.commands.render:Render",
    "replay": "splitgym.commands.replay:Replay",
    "compare": "splitgym.agents.compare:Settings",
    "train": "splitgym.agents.train:Settings",
    "execute": "splitgym.commands.execute:Execute",
    "profile": "splitgym.commands.profile:Profile",
    "warm-up": "splitgym.commands.warm_up:WarmUp",
    "ham10000": "splitgym.commands.ham10000:Ham10000",
    "experiments": "splitgym.commands.experiments:Experiments",
}
"""Options of every command, a dataclass with a method `run`; imported only where it is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    Modules of the working directory can be named, as with `python -m`, but never stand in for others.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> int | None:
    """Runs the command that is named first, or shows the help of all."""
    name, *others = arguments or ["--help"]
    if name not in COMMANDS:
        _all(arguments)
        return None
    options = _options(name)
    if name == "experiments":
        return int(options.run(others))
    command_line.parsed(options, f"{PROGRAM} {name}", others).run()
    return None


def _all(arguments: list[str]) -> None:
    """Help of all commands, their completion by a shell, or an error."""
    try:
        import tyro  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("the command line needs: pip install 'splitgym[train]'") from error
    app = tyro.extras.SubcommandApp()
    for name in COMMANDS:
        app.command(name=name)(_options(name))
    about = command_line.about(inspect.getdoc(sys.modules[__name__]))
    with command_line.parsing():
        app.cli(prog=PROGRAM, description=about, args=arguments)


def _options(name: str) -> Any:
    """The dataclass of a command's options."""
    module, _, kind = COMMANDS[name].partition(":")
    return getattr(import_module(module), kind)


if __name__ == "__main__":
    sys.exit(main())
