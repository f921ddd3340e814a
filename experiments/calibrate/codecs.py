"""Whether a calibration holds for smashed data that go through a codec, on real runs with and without it.

    python -m experiments calibrate.codecs --scenario iot --framework epsl

Every run is trained without a codec and with each of them: the same data, initial weights and rule of decisions. A
codec is covered if the surrogate, which knows nothing of it, is not further off with it than without, by more than a
hundredth of accuracy at the upper end of the 95 % interval. Those are written into the calibration.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
import tyro

from experiments.calibrate.jobs import jobs
from experiments.calibrate.logs import Generator, Job, Log, finish
from experiments.calibrate.network import compact
from experiments.calibrate.replays import Replay
from experiments.command_line import command_line
from experiments.running.options import results_folder
from splitgym.arrays import Floats
from splitgym.command_line import about, parsing
from splitgym.evaluation.processes import check_workers
from splitgym.evaluation.statistics import Bootstrap, Estimate
from splitgym.files import read_toml
from splitgym.inputs import InputError, reading
from splitgym.learning.surrogate import calibration
from splitgym.learning.surrogate.calibration import Calibration, calibration_for
from splitgym.outputs import write_text
from splitgym.scenario import Scenario, build, file_name

NONE = "none"
FIRST = 100_000
"""Number of the first run: no calibration is fitted to these."""
TOLERANCE = 0.01
"""Accuracy by which the surrogate may be further off with a codec."""


@dataclass(frozen=True)
class Options:
    """Checks a calibration on real runs with codecs, and notes which it covers."""

    scenario: str = "iot"
    """Preset, or path of a TOML file."""
    framework: str = "epsl"
    """Whose calibration."""
    codecs: tuple[str, ...] = ("uniform-8", "uniform-4")
    """Besides none."""
    runs: int = 39
    """Real runs with each codec."""
    rounds: int = 200
    """Of each run."""
    evaluate_every: int = 8
    """Rounds from one measurement to the next."""
    workers: int = 1
    """Processes that train."""
    logs: Path = Path("runs/calibrate/codecs")
    """Folder for the logs."""
    file: Path | None = None
    """The calibration into which covered codecs are written; none: the one that is shipped."""
    out: Path | None = None
    """Folder for the report; none: experiments/results/calibrate, or runs/quick/calibrate."""
    quick: bool = False
    """A short form: 4 runs of 16 rounds; no calibration is changed."""


@dataclass(frozen=True)
class CodedJob(Job):
    """A run whose smashed data go through a codec."""

    codec: str = NONE

    @property
    def file_name(self) -> str:
        """See `Job.file_name`."""
        return f"{self.number:06d}-{file_name(self.codec)}.npz"

    def draw(self, rng: Generator) -> tuple[Scenario, dict[str, Any]]:
        """See `Job.draw`."""
        scenario, described = super().draw(rng)
        return build(scenario, {"plan": {"codecs": (self.codec,)}}), described


def main() -> None:
    """Trains what is not logged yet, compares, writes report and calibration."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    check_workers(options.workers)
    if options.runs < 1 or not options.codecs:
        raise InputError(f"--runs {options.runs} --codecs {' '.join(options.codecs)}, allowed: at least one of each")
    scenario = build(options.scenario)
    known = calibration_for(scenario, options.framework)
    name = file_name(f"{scenario.name}-{options.framework}")
    folder = options.logs / (f"{name}-quick" if options.quick else name)
    todo = coded_jobs(options, known.clients, known.dirichlet_alpha)
    finish(todo, folder, options.workers)
    logs = {
        codec: [Log.load(folder / job.file_name) for job in todo if job.codec == codec]
        for codec in (NONE, *options.codecs)
    }
    rows = compare(logs, known, scenario.training.batch_size)
    text = report(rows, options)
    results = results_folder("calibrate", options.quick, options.out)
    results.mkdir(parents=True, exist_ok=True)
    write_text(results / f"{name}-codecs.md", text)
    write_text(results / f"{name}-codecs.csv", rows.to_csv(index=False, float_format="%.5g"))
    print(text)
    if not options.quick:
        note(options.file or Path(calibration.__file__).with_name("calibrations") / f"{name}.toml", covered(rows))


def coded_jobs(options: Options, clients: tuple[int, int], alpha: tuple[float, float]) -> list[CodedJob]:
    """The runs without a codec and with each, pattern after pattern; a third of them steady."""
    runs, rounds, every = (4, 16, 4) if options.quick else (options.runs, options.rounds, options.evaluate_every)
    plain = jobs(
        options.scenario,
        build(options.scenario),
        options.framework,
        runs=runs - runs // 3,
        steady_runs=runs // 3,
        clients=clients,
        dirichlet_alpha=alpha,
        rounds=rounds,
        evaluate_every=every,
        evaluation_samples=None,
    )
    return [
        CodedJob(**{**vars(job), "number": FIRST + job.number, "again": False}, codec=codec)
        for job in plain
        for codec in (NONE, *options.codecs)
    ]


def compare(logs: dict[str, list[Log]], known: Calibration, batch_size: int) -> pd.DataFrame:
    """A row for each run with each codec: mean accuracy, and how far the surrogate's expectation is off."""
    rows = []
    for codec, own in logs.items():
        replay = Replay(own, known.cut_layers, batch_size)
        expected = replay.mean(replay.play(known.parameters).client_accuracy)
        errors, accuracy = np.abs(expected - replay.accuracy).mean(1), replay.accuracy.mean(1)
        rows += [
            {
                "codec": codec,
                "number": log.job["number"],
                "pattern": log.job["pattern"],
                "steady": log.job["steady"],
                "accuracy": of_run,
                "error": error,
            }
            for log, of_run, error in zip(own, accuracy, errors, strict=True)
        ]
    return pd.DataFrame(rows)


def further_off(rows: pd.DataFrame, column: str, codec: str) -> Estimate:
    """How much larger a column is with a codec than without one, run by run."""
    of = {name: own.sort_values("number")[column].to_numpy() for name, own in rows.groupby("codec")}
    difference: Floats = of[codec] - of[NONE]
    return Bootstrap([len(difference)], seed=0).estimate(lambda sample: sample[0].mean(-1), [difference])


def covered(rows: pd.DataFrame) -> list[str]:
    """None, and the codecs with which the surrogate is hardly further off."""
    codecs = [codec for codec in rows["codec"].unique() if codec != NONE]
    return [NONE, *(codec for codec in codecs if further_off(rows, "error", codec).high <= TOLERANCE)]


def report(rows: pd.DataFrame, options: Options) -> str:
    """Markdown: error and accuracy with each codec."""
    holds = covered(rows)
    lines = [
        f"`{command_line('calibrate.codecs')}`",
        "",
        f"{rows['number'].nunique()} real runs with each codec, on seeds that nothing is fitted to. Error: of the "
        "surrogate's expected accuracy, over the run. Intervals are of 95 %, run by run against the same one without a "
        "codec; a codec is covered if the error grows by at most "
        f"{TOLERANCE:g} at the upper end.",
        "",
        "| codec | accuracy over the run | less or more than without | error | more than without | covered |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for codec, own in rows.groupby("codec", sort=False):
        changes = (
            ["", ""] if codec == NONE else [_text(further_off(rows, of, str(codec))) for of in ("accuracy", "error")]
        )
        lines.append(
            f"| {codec} | {own['accuracy'].mean():.3f} | {changes[0]} | {own['error'].mean():.3f} | {changes[1]} | "
            f"{'yes' if codec in holds else 'no'} |"
        )
    return "\n".join([*lines, ""])


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def note(path: Path, codecs: Sequence[str]) -> None:
    """Writes into a calibration which codecs it covers."""
    with reading(f"calibration {str(path)!r}"):
        values = read_toml(path)
    write_text(path, compact(tomli_w.dumps({**values, "codecs": list(codecs)})))
    print(f"{path}: codecs = {list(codecs)}")
