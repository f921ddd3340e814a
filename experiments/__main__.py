"""`python -m experiments list` names the experiments, `NAME` runs one; `report`, `redraw` and `stale` take all."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import tyro

from experiments.running.experiment import Experiment
from experiments.running.options import RESULTS, parsed
from experiments.running.outline import Outline, outline, places
from splitgym import command_line
from splitgym.inputs import InputError
from splitgym.parts import suggest

HELP = {"-h", "--help"}
USAGE = f"""usage: python -m experiments list
       python -m experiments NAME --help
       python -m experiments report DIR [--out FILE]
       python -m experiments redraw [DIR]
       python -m experiments stale [DIR]
       python -m experiments NAME [--quick] [--seeds N] [--workers local:N | ray:auto | ray:ADDRESS] [--out DIR]

{command_line.ABOUT_TRACEBACK}
"""


def listed() -> dict[str, str]:
    """Title of every experiment: of all modules, at any depth, that hold an `EXPERIMENT` or have a `main`."""
    return {name: found.title for name, path in places().items() if (found := outline(path))}


def main(arguments: list[str] | None = None) -> int:
    """Lists or runs; returns the exit status."""
    return command_line.run(_command, arguments)


def _command(arguments: list[str]) -> int:
    name, *others = arguments or ["--help"]
    if name in ("list", "-h", "--help"):
        print(USAGE)
        for each, title in listed().items():
            print(f"{each:22} {title}")
        return 0
    if name == "report":
        with command_line.parsing():
            wanted = tyro.cli(Report, args=others, prog="python -m experiments report")
        from experiments.running.page import write_page  # noqa: PLC0415 - help need not import pandas

        page = wanted.out or wanted.folder / "report.html"
        write_page(wanted.folder, page)
        print(f"Saved {page}")
        return 0
    if name == "redraw":
        with command_line.parsing():
            drawn = tyro.cli(Redraw, args=others, prog="python -m experiments redraw")
        from experiments.running.redraw import redraw  # noqa: PLC0415 - likewise

        for line in redraw(drawn.folder, _experiment):
            print(line)
        return 0
    if name == "stale":
        with command_line.parsing():
            asked = tyro.cli(Stale, args=others, prog="python -m experiments stale")
        from experiments.running.stale import listing  # noqa: PLC0415 - likewise

        print(listing(asked.folder))
        return 0
    found = _outline(name)
    if found is None:
        raise InputError(f"experiment {name!r} is unknown, {suggest(name, ['list', 'report', 'stale', *listed()])}")
    if HELP.intersection(others):
        _show_help(name, found, others)
    try:
        return _run(name, others)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("The same command goes on with what is not finished.") from stop


@dataclass(frozen=True)
class Report:
    """Show all finished experiments of a folder on one HTML page that needs no other file."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Where results are, at any depth."""
    out: Path | None = None
    """The page; none: report.html in that folder."""


@dataclass(frozen=True)
class Redraw:
    """Draw the plots of finished experiments from their tables, as PNG and PDF, and write their texts.

    Nothing is measured again. A text in which a number would become another, as tables are rounded, stays.
    """

    folder: Annotated[Path, tyro.conf.Positional] = RESULTS
    """Where results are, at any depth."""


@dataclass(frozen=True)
class Stale:
    """List the results that were made by other code or data than the project has now.

    What counts is what a measurement reaches, and the presets, calibrations, tuned rules and policies that it names.
    Reports, plots, command lines, frames, docstrings, comments, and texts of errors make no numbers. A result whose
    provenance has no digest yet is compared with the project at its commit. What `splitgym compare` and `train` left,
    with their `run.json`, is stale with any change of the simulator or the schedulers.
    """

    folder: Annotated[Path, tyro.conf.Positional] = RESULTS
    """Where results are, at any depth."""


def _outline(name: str) -> Outline | None:
    """That of an experiment; None: there is no such experiment."""
    path = places().get(name)
    return outline(path) if path else None


def _show_help(name: str, found: Outline, arguments: list[str]) -> None:
    """Ends with the help of an experiment, without what it measures with."""
    if found.options is None:
        parsed(name, found, arguments)
    else:
        command_line.parsed(found.options, f"python -m experiments {name}", arguments)


def _run(name: str, arguments: list[str]) -> int:
    """Runs an experiment; returns the exit status."""
    from experiments.running.run import JobsFailedError, run  # noqa: PLC0415 - help need not import pandas

    experiment = _experiment(name)
    if experiment is None:
        sys.argv = [f"python -m experiments {name}", *arguments]
        import_module(f"experiments.{name}").main()
        return 0
    experiment, options = parsed(name, experiment, arguments)
    try:
        print(run(name, experiment, options))
    except JobsFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\nSaved in {options.folder(name)}")
    return 0


def _experiment(name: str) -> Experiment | None:
    """That of a name; None: there is none, or it has a `main`."""
    return import_module(f"experiments.{name}").EXPERIMENT if (found := _outline(name)) and not found.options else None


if __name__ == "__main__":
    sys.exit(main())
