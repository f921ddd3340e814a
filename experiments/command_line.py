"""The command line of an experiment, as its report names it."""

import shlex
import sys


def command_line(experiment: str) -> str:
    """How the experiment that is running was begun."""
    return shlex.join(["python", "-m", "experiments", experiment, *sys.argv[1:]])
