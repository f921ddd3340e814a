"""Whether a calibration holds for what it was not fitted to, on real runs with and without it.

    python -m experiments calibrate.variants --scenario iot --framework epsl

Every run is trained as the calibration has it and once in each variant: the same data, initial weights and rule of
decisions. A variant is covered if the surrogate is not further off in it than
without, by more than a hundredth of accuracy at the upper end of the 95 % interval. The calibration notes which are.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
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
from experiments.running import provenance
from experiments.running.making import made_by_command
from experiments.running.options import results_folder
from splitgym.arrays import Floats, Ints
from splitgym.command_line import about, parsing
from splitgym.evaluation.processes import check_workers
from splitgym.evaluation.statistics import Bootstrap, Estimate
from splitgym.files import read_toml
from splitgym.inputs import InputError, reading
from splitgym.learning.surrogate import calibration
from splitgym.learning.surrogate.calibration import CUTS_BY_CLIENT, Calibration, calibration_for
from splitgym.outputs import write_text
from splitgym.scenario import Scenario, build, file_name

NONE = "none"
FIRST = 100_000
"""Number of the first run: no calibration is fitted to these."""
TOLERANCE = 0.01
"""Accuracy by which the surrogate may be further off with a codec."""


@dataclass(frozen=True)
class Options:
    """Checks a calibration on real runs in other variants, and notes which it covers."""

    scenario: str = "iot"
    """Preset, or path of a TOML file."""
    framework: str = "epsl"
    """Whose calibration."""
    variants: tuple[str, ...] = ("uniform-8", "uniform-4", CUTS_BY_CLIENT)
    """Names of codecs, and "cuts-by-client"; besides none of these."""
    runs: int = 26
    """Real runs in each variant."""
    rounds: int = 200
    """Of each run."""
    evaluate_every: int = 8
    """Rounds from one measurement to the next."""
    workers: int = 1
    """Processes that train."""
    logs: Path = Path("runs/calibrate/variants")
    """Folder for the logs."""
    file: Path | None = None
    """The calibration into which covered variants are written; none: the one that is shipped."""
    out: Path | None = None
    """Folder for the report; none: calibrate/SCENARIO-FRAMEWORK-variants in experiments/results or runs/quick."""
    quick: bool = False
    """A short form: 4 runs of 16 rounds; no calibration is changed."""


@dataclass(frozen=True)
class VariantJob(Job):
    """A run in a variant."""

    variant: str = NONE

    @property
    def file_name(self) -> str:
        """See `Job.file_name`."""
        return f"{self.number:06d}-{file_name(self.variant)}.npz"

    def draw(self, rng: Generator) -> tuple[Scenario, dict[str, Any]]:
        """See `Job.draw`."""
        scenario, described = super().draw(rng)
        if self.variant == CUTS_BY_CLIENT:
            return build(scenario, {"plan": {"cut_layer": "by-client"}}), described
        return build(scenario, {"plan": {"codecs": (self.variant,)}}), described

    def cut_layers(self, clients: int, count: int, rng: Generator) -> Iterator[Ints]:
        """See `Job.cut_layers`."""
        if self.variant != CUTS_BY_CLIENT:
            return super().cut_layers(clients, count, rng)
        own = [super(VariantJob, self).cut_layers(1, count, rng) for _ in range(clients)]
        return (np.concatenate(cuts) for cuts in zip(*own, strict=True))

    def ratios(self, rng: Generator) -> Iterator[float]:
        """See `Job.ratios`; clients that differ in their cut layers have no aggregated rows."""
        return repeat(0.0) if self.variant == CUTS_BY_CLIENT else super().ratios(rng)


def main() -> None:
    """Trains what is not logged yet, compares, writes report and calibration."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    check_workers(options.workers)
    if options.runs < 1 or not options.variants:
        raise InputError(
            f"--runs {options.runs} --variants {' '.join(options.variants)}, allowed: at least one of each"
        )
    scenario = build(options.scenario)
    known = calibration_for(scenario, options.framework)
    name = file_name(f"{scenario.name}-{options.framework}")
    folder = options.logs / (f"{name}-quick" if options.quick else name)
    # Runs that were logged before may be of other code.
    made_by = {**made_by_command("calibrate.variants", options, main), "runs_kept": len(list(folder.glob("*.npz")))}
    todo = variant_jobs(options, known.clients, known.dirichlet_alpha)
    finish(todo, folder, options.workers)
    logs = {
        variant: [Log.load(folder / job.file_name) for job in todo if job.variant == variant]
        for variant in (NONE, *options.variants)
    }
    rows = compare(logs, known, scenario.training.batch_size)
    text = report(rows, options)
    results = results_folder(f"calibrate.{name}-variants", options.quick, options.out)
    provenance.save(results, made_by)
    write_text(results / f"{name}-variants.md", text)
    write_text(results / f"{name}-variants.csv", rows.to_csv(index=False, float_format="%.5g"))
    print(text)
    if not options.quick:
        note(options.file or Path(calibration.__file__).with_name("calibrations") / f"{name}.toml", covered(rows))


def variant_jobs(options: Options, clients: tuple[int, int], alpha: tuple[float, float]) -> list[VariantJob]:
    """The runs without and in each variant, pattern after pattern; a third of them steady."""
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
        VariantJob(**{**vars(job), "number": FIRST + job.number, "again": False}, variant=variant)
        for job in plain
        for variant in (NONE, *options.variants)
    ]


def compare(logs: dict[str, list[Log]], known: Calibration, batch_size: int) -> pd.DataFrame:
    """A row for each run in each variant: mean accuracy, and how far the surrogate's expectation is off."""
    rows = []
    for variant, own in logs.items():
        replay = Replay(own, known.cut_layers, batch_size)
        expected = replay.mean(replay.play(known.parameters).client_accuracy)
        errors, accuracy = np.abs(expected - replay.accuracy).mean(1), replay.accuracy.mean(1)
        rows += [
            {
                "variant": variant,
                "number": log.job["number"],
                "pattern": log.job["pattern"],
                "steady": log.job["steady"],
                "accuracy": of_run,
                "error": error,
            }
            for log, of_run, error in zip(own, accuracy, errors, strict=True)
        ]
    return pd.DataFrame(rows)


def further_off(rows: pd.DataFrame, column: str, variant: str) -> Estimate:
    """How much larger a column is in a variant than without, run by run."""
    of = {name: own.sort_values("number")[column].to_numpy() for name, own in rows.groupby("variant")}
    difference: Floats = of[variant] - of[NONE]
    return Bootstrap([len(difference)], seed=0).estimate(lambda sample: sample[0].mean(-1), [difference])


def covered(rows: pd.DataFrame) -> list[str]:
    """The variants in which the surrogate is hardly further off."""
    variants = [variant for variant in rows["variant"].unique() if variant != NONE]
    return [variant for variant in variants if further_off(rows, "error", variant).high <= TOLERANCE]


def report(rows: pd.DataFrame, options: Options) -> str:
    """Markdown: error and accuracy in each variant."""
    holds = covered(rows)
    lines = [
        f"`{command_line('calibrate.variants')}`",
        "",
        f"{rows['number'].nunique()} real runs in each variant, on seeds that nothing is fitted to. Error: of the "
        "surrogate's expected accuracy, over the run. Intervals are of 95 %, run by run against the same data and "
        f"initial weights without it; a variant is covered if the error grows by at most {TOLERANCE:g} at the upper "
        "end. cuts-by-client: cut layers of each client's own, phi 0.",
        "",
        "| variant | accuracy over the run | less or more than without | error | more than without | covered |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for variant, own in rows.groupby("variant", sort=False):
        compared = () if variant == NONE else ("accuracy", "error")
        changes = [_text(further_off(rows, of, str(variant))) for of in compared] or ["", ""]
        lines.append(
            f"| {variant} | {own['accuracy'].mean():.3f} | {changes[0]} | {own['error'].mean():.3f} | {changes[1]} | "
            f"{'' if variant == NONE else 'yes' if variant in holds else 'no'} |"
        )
    return "\n".join([*lines, ""])


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def note(path: Path, variants: Sequence[str]) -> None:
    """Writes into a calibration which variants it covers."""
    with reading(f"calibration {str(path)!r}"):
        values = read_toml(path)
    codecs = [variant for variant in variants if variant != CUTS_BY_CLIENT]
    covers: dict[str, Any] = {"codecs": [NONE, *codecs], "cuts_by_client": CUTS_BY_CLIENT in variants}
    write_text(path, compact(tomli_w.dumps({**values, **covers})))
    print(f"{path}: {', '.join(f'{name} = {value}' for name, value in covers.items())}")
