"""The options of a run: those of every experiment, and those of its cases."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from experiments.running.experiment import Experiment, at_least
from splitgym import command_line
from splitgym.inputs import InputError

RESULTS, QUICK_RESULTS = Path("experiments/results"), Path("runs/quick")
"""Folders of full and of short forms."""
MOST_SEEDS = 1_000_000


def results_folder(name: str, quick: bool, out: Path | None) -> Path:
    """What was asked for, or else the folder of an experiment's full or short form."""
    return out or (QUICK_RESULTS if quick else RESULTS).joinpath(*name.split("."))


@dataclass(frozen=True)
class Options:
    """How an experiment is run."""

    quick: bool = False
    """A short form of minutes at most, which shows that everything works, not what is true."""
    seeds: int | None = None
    """Runs of every case; none: as many as the experiment says."""
    workers: str = "local:2"
    """local:NUMBER of processes, ray:auto for the Ray cluster that runs on this machine, or ray:ADDRESS."""
    out: Path | None = None
    """Folder of the results, in which a stopped run goes on; none: experiments/results/NAME, or runs/quick/NAME."""

    def folder(self, name: str) -> Path:
        """Of the results of an experiment."""
        return results_folder(name, self.quick, self.out)

    def seeds_of(self, experiment: Experiment) -> int:
        """Runs of every case.

        Raises:
            InputError: there are none, or too many.
        """
        if self.seeds is None:
            return experiment.quick_seeds if self.quick else experiment.seeds
        at_least(1, seeds=self.seeds)
        if self.seeds > MOST_SEEDS:
            raise InputError(f"--seeds {self.seeds}, allowed: up to {MOST_SEEDS}")
        return self.seeds


def parsed(name: str, experiment: Experiment, arguments: Sequence[str]) -> tuple[Experiment, Options]:
    """Options from the command line, and the experiment with the cases that they ask for."""
    about = {"args": arguments, "prog": f"python -m experiments {name}", "description": experiment.title}
    if not is_dataclass(experiment.cases):
        with command_line.parsing():
            return experiment, tyro.cli(Options, **about)
    # The names of the two are the headings of the help.
    both = make_dataclass("Both", [("run", Options), ("cases", type(experiment.cases))])
    default = both(Options(), experiment.cases)
    with command_line.parsing():
        chosen = tyro.cli(both, default=default, config=(tyro.conf.OmitArgPrefixes,), **about)
    return replace(experiment, cases=chosen.cases), chosen.run


def settings(experiment: Experiment, options: Options) -> dict[str, Any]:
    """What decides the results, by name of the option, as it stands in JSON."""
    own = {field.name: getattr(experiment.cases, field.name) for field in _fields(experiment)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
    return {"quick": options.quick, "seeds": options.seeds_of(experiment), **plain}


def command(name: str, experiment: Experiment, options: Options) -> str:
    """What repeats the results, without workers, which do not decide them, and what is so anyway.

    Of folders it names those among the results that are not the experiment's own: that one holds another run.
    """
    words = ["python", "-m", "experiments", name]
    words += ["--quick"] if options.quick else []
    words += [] if options.seeds is None else ["--seeds", f"{options.seeds}"]
    for field in _fields(experiment):
        value, flag = getattr(experiment.cases, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    folder = options.folder(name)
    if folder.is_relative_to(RESULTS) and folder != results_folder(name, options.quick, None):
        words += ["--out", folder.as_posix()]
    return shlex.join(words)


def _fields(experiment: Experiment) -> tuple[Any, ...]:
    return fields(experiment.cases) if is_dataclass(experiment.cases) else ()
