"""Running an experiment: what is not finished yet is measured, then everything is saved."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.running import provenance
from experiments.running.experiment import Experiment, Job
from experiments.running.finished import Finished
from experiments.running.making import made_by
from experiments.running.options import Options, command, settings
from experiments.running.results import save_results
from experiments.running.workers import Workers, workers
from splitgym.command_line import checking_input
from splitgym.evaluation.kept import differences
from splitgym.inputs import InputError, one_line


class JobsFailedError(Exception):
    """Some measurements raised errors, all others are finished; the message names case, seed and error of each."""


def run(name: str, experiment: Experiment, options: Options) -> str:
    """Measures what is not finished yet, saves table, plots and text, and returns the text.

    Args:
        name: Of the experiment, as in commands; files are named after its last part.
        experiment: What is measured.
        options: How.

    Raises:
        InputError: an option is not allowed, or the folder holds another run.
        JobsFailedError: not everything could be measured, and that is no fault of the input.
    """
    with checking_input():
        perform = workers(options.workers)
        jobs = experiment.jobs(options.quick, options.seeds_of(experiment))
    folder = options.folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    finished = Finished(folder / "jobs.jsonl")
    left = [job for job in jobs if job.key not in finished.rows]
    made = made_by(name, command(name, experiment, options), settings(experiment, options), experiment.measure)
    made = _agreed(folder, made, begins=not finished.rows, ends=not left)
    failed = _measure(experiment, left, perform, finished, len(jobs))
    if failed and all(isinstance(error, InputError) for error in failed.values()):
        said = "; ".join(dict.fromkeys(map(one_line, failed.values())))
        raise InputError(f"{len(failed)} of {len(jobs)} jobs failed: {said}") from next(iter(failed.values()))
    if failed:
        said = "; ".join(f"{key}: {type(error).__name__}: {one_line(error)}" for key, error in failed.items())
        raise JobsFailedError(f"{len(failed)} of {len(jobs)} jobs failed, run again to retry them: {said}")
    rows = [row for job in jobs for row in job.rows(finished.rows[job.key])]
    return save_results(folder, name.rpartition(".")[2], experiment, rows, made["command"])


def _agreed(folder: Path, made: dict[str, Any], begins: bool, ends: bool) -> dict[str, Any]:
    """What stands in the folder of a run that goes on; that of a run that begins is written there.

    Raises:
        InputError: the folder holds another run, or what is left would be measured by something else.
    """
    before = provenance.saved(folder)
    differ = before is not None and differences(before["settings"], made["settings"])
    if before is not None and not differ and not begins and not ends:
        differ = differences(before["versions"], made["versions"])
    if differ:
        raise InputError(f"{folder} holds another run ({differ}): choose another --out, or delete that folder")
    if before is None or begins:
        provenance.save(folder, made)
        return made
    return before


def _measure(
    experiment: Experiment, jobs: Sequence[Job], perform: Workers, finished: Finished, total: int
) -> dict[str, BaseException]:
    """Measures the jobs and keeps what is finished; returns the errors of those that failed, by their keys."""
    failed = {}
    with tqdm(total=total, initial=total - len(jobs), desc="jobs", file=sys.stderr) as progress:
        for job, outcome in perform(experiment.measure, jobs) if jobs else ():
            if isinstance(outcome, BaseException):
                failed[job.key] = outcome
                if not isinstance(outcome, InputError):
                    progress.write("".join(traceback.format_exception(outcome)), file=sys.stderr)
            else:
                finished.add(job, outcome)
                progress.update()
    return failed
