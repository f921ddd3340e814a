"""`python -m experiments list` names the experiments, `NAME` runs one; `report`, `redraw` and `stale` take all."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Imports take seconds: until the command runs, Ctrl-C ends it without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import importlib
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated

import tyro

import experiments
from experiments.running.experiment import Experiment
from experiments.running.options import RESULTS, parsed
from experiments.running.page import write_page
from experiments.running.redraw import redraw
from experiments.running.run import JobsFailedError, run
from experiments.running.stale import listing
from splitgym import command_line
from splitgym.inputs import InputError
from splitgym.parts import suggest

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
    names = [module.name for module in pkgutil.walk_packages(experiments.__path__, "experiments.")]
    modules = {name.removeprefix("experiments."): importlib.import_module(name) for name in sorted(names)}
    return {name: _title(module) for name, module in modules.items() if _runs(name, module)}


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
        wanted.write()
        return 0
    if name == "redraw":
        with command_line.parsing():
            drawn = tyro.cli(Redraw, args=others, prog="python -m experiments redraw")
        for line in redraw(drawn.folder, _experiment):
            print(line)
        return 0
    if name == "stale":
        with command_line.parsing():
            asked = tyro.cli(Stale, args=others, prog="python -m experiments stale")
        print(listing(asked.folder))
        return 0
    try:
        _run(name, others)
    except JobsFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("The same command goes on with what is not finished.") from stop
    return 0


@dataclass(frozen=True)
class Report:
    """Show all finished experiments of a folder on one HTML page that needs no other file."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Where results are, at any depth."""
    out: Path | None = None
    """The page; none: report.html in that folder."""

    def write(self) -> None:
        """Writes the page."""
        page = self.out or self.folder / "report.html"
        write_page(self.folder, page)
        print(f"Saved {page}")


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
    provenance has no digest yet is compared with the project at its commit.
    """

    folder: Annotated[Path, tyro.conf.Positional] = RESULTS
    """Where results are, at any depth."""


def _run(name: str, arguments: list[str]) -> None:
    module = _module(name)
    if module is None:
        raise InputError(f"experiment {name!r} is unknown, {suggest(name, ['list', 'report', 'stale', *listed()])}")
    experiment: Experiment | None = getattr(module, "EXPERIMENT", None)
    if experiment is None:
        sys.argv = [f"python -m experiments {name}", *arguments]
        module.main()
    else:
        experiment, options = parsed(name, experiment, arguments)
        print(run(name, experiment, options))
        print(f"\nSaved in {options.folder(name)}")


def _module(name: str) -> ModuleType | None:
    """The module of an experiment, None if there is no such experiment; the others need not be imported."""
    try:
        found = importlib.util.find_spec(f"experiments.{name}") is not None
    except ModuleNotFoundError:
        found = False
    module = importlib.import_module(f"experiments.{name}") if found else None
    return module if module is not None and _runs(name, module) else None


def _experiment(name: str) -> Experiment | None:
    return getattr(_module(name), "EXPERIMENT", None)


def _runs(name: str, module: ModuleType) -> bool:
    return name != "__main__" and (hasattr(module, "EXPERIMENT") or hasattr(module, "main"))


def _title(module: ModuleType) -> str:
    if hasattr(module, "EXPERIMENT"):
        return str(module.EXPERIMENT.title)
    return (module.__doc__ or module.__name__).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
