"""Plays, shows and executes rounds of split learning, measures devices: `python -m splitgym --help`."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import inspect
import sys
from collections.abc import Sequence

from splitgym import command_line
from splitgym.commands.execute import Execute
from splitgym.commands.profile import Profile
from splitgym.commands.render import Render
from splitgym.commands.replay import Replay
from splitgym.commands.warm_up import WarmUp
from splitgym.inputs import MissingExtraError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> None:
    """Parses the command line and runs the command that it names."""
    try:
        import tyro  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("the command line needs tyro, pip install 'splitgym[render]'") from error
    app = tyro.extras.SubcommandApp()
    app.command(name="render")(Render)
    app.command(name="execute")(Execute)
    app.command(name="warm-up")(WarmUp)
    app.command(name="profile")(Profile)
    app.command(name="replay")(Replay)
    about = command_line.about(inspect.getdoc(sys.modules[__name__]))
    with command_line.parsing():
        command = app.cli(prog="python -m splitgym", description=about, args=arguments)
    command.check()
    command.run()


if __name__ == "__main__":
    sys.exit(main())
