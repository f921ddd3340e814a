"""Logs of real runs: decisions of many patterns, and what each client's network then knows of each class."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.calibrate import patterns
from splitgym import data, models
from splitgym.arrays import Bools, Floats, Ints
from splitgym.evaluation.kept import differences
from splitgym.evaluation.processes import interrupts_ignored, worker_pool
from splitgym.files import parse_json, read_arrays
from splitgym.inputs import InputError, reading
from splitgym.learning import Learner
from splitgym.learning.surrogate.calibration_file import key
from splitgym.outputs import write
from splitgym.scenario import Scenario, build
from splitgym.types import Decision

Generator = np.random.Generator

NEVER = 1_000_000
"""Rounds: the learner measures nothing by itself."""
ARRAYS = {
    "class_counts": ("iu", "CK"),
    "test_counts": ("iu", "K"),
    "cut_layer": ("iu", "RC"),
    "selected": ("b", "RC"),
    "aggregation_ratio": ("f", "R"),
    "client_loss": ("f", "RC"),
    "evaluated": ("iu", "E"),
    "correct": ("iu", "ECK"),
}
"""Kinds of numbers and axes of the arrays of a log: R rounds, E evaluations, C clients, K classes."""
NO_BAND = (np.zeros(0, np.int64), np.zeros(0))
"""Subchannels and powers: a learner reads nothing of them."""


@dataclass(frozen=True)
class Job:
    """One run to be logged; its number decides everything that is drawn."""

    number: int
    scenario: str
    framework: str
    pattern: str
    clients: tuple[int, int]
    """Fewest and most clients of a run."""
    dirichlet_alpha: tuple[float, float]
    rounds: int
    evaluate_every: int
    evaluation_samples: int | None
    steady: bool
    """Hold phi 0 and one cut layer, mostly the first: where good schedulers end up."""
    again: bool
    """Train it twice: how much chance there is in a real run."""

    @property
    def file_name_again(self) -> str:
        """Under which the log of the same run with other initial weights is found."""
        return f"{self.number:04d}-again.npz"

    @property
    def file_name(self) -> str:
        """Under which the log is found again."""
        return f"{self.number:04d}.npz"

    def draw(self, rng: Generator) -> tuple[Scenario, dict[str, Any]]:
        """The scenario of the run, and all that decides what it learns, as it stands in its log."""
        clients = patterns.number_between(*self.clients, rng)
        alpha = float(np.exp(rng.uniform(*np.log(self.dirichlet_alpha))))
        task = {"evaluate_every": NEVER, "evaluation_samples": self.evaluation_samples, "dirichlet_alpha": alpha}
        scenario = build(self.scenario, {"clients": {"count": clients}, "family": {"clients": None}, "task": task})
        own = {**asdict(self), "clients": clients, "dirichlet_alpha": alpha}
        del own["again"]
        task_settings, training = key(scenario)
        return scenario, {
            **own,
            "task": task_settings,
            "training": training,
            "data": data.digest(task_settings["dataset"]),
        }

    def selection(self, group: patterns.Group, rng: Generator) -> patterns.Selection:
        """How the pattern selects clients."""
        select: patterns.Selection = getattr(patterns, self.pattern)(group, rng)
        return select

    def cut_layers(self, clients: int, count: int, rng: Generator) -> Iterator[Ints]:
        """Cut layers of the rounds, [C], of which there are `count`."""
        cuts = repeat(patterns.steady_cut_layer(count, rng)) if self.steady else patterns.cut_layers(count, rng)
        return (np.full(clients, cut) for cut in cuts)

    def ratios(self, rng: Generator) -> Iterator[float]:
        """Phi of the rounds."""
        return repeat(0.0) if self.steady else patterns.aggregation_ratios(rng)

    def is_done(self, folder: Path) -> bool:
        """Whether all of its logs are there.

        Raises:
            InputError: one is there, but of another run.
        """
        names = [self.file_name, *([self.file_name_again] if self.again else [])]
        there = [folder / name for name in names if (folder / name).exists()]
        _, expected = self.draw(self.rng())
        for path in there:
            differ = differences(Log.job_of(path), expected)
            if differ:
                raise InputError(
                    f"{path} is the log of another run ({differ}): choose another --logs, or delete that folder"
                )
        return len(there) == len(names)

    def rng(self) -> Generator:
        """Draws everything of the run, in the same order each time."""
        return np.random.default_rng([self.number, 7])


@dataclass(frozen=True)
class Log:
    """One run: R rounds, E evaluations, C clients, K classes."""

    job: dict[str, Any]
    class_counts: Ints
    """[C, K] training samples of each class that each client has."""
    test_counts: Ints
    """[K] test samples of each class."""
    cut_layer: Ints
    """[R, C]"""
    selected: Bools
    """[R, C]"""
    aggregation_ratio: Floats
    """[R]"""
    client_loss: Floats
    """[R, C] after each round."""
    evaluated: Ints
    """[E] rounds, counted from 0, after which accuracy was measured."""
    correct: Ints
    """[E, C, K] test samples that each client's network classifies correctly."""

    @cached_property
    def client_accuracy(self) -> Floats:
        """Accuracy of each client, [E, C]."""
        accuracy: Floats = self.correct.sum(2) / self.test_counts.sum()
        return accuracy

    @cached_property
    def accuracy(self) -> Floats:
        """Mean over the clients, weighted by their data, [E]."""
        accuracy: Floats = self.client_accuracy @ (self.class_counts.sum(1) / self.class_counts.sum())
        return accuracy

    def decisions(self) -> Iterator[Decision]:
        """What was decided, round by round."""
        for cut_layer, selected, ratio in zip(self.cut_layer, self.selected, self.aggregation_ratio, strict=True):
            yield Decision(common(cut_layer), *NO_BAND, selected, float(ratio))

    def save(self, path: Path) -> None:
        """Written as a whole: a stopped run leaves no half file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "job"}
        write(path, lambda file: np.savez_compressed(file, job=np.array(json.dumps(self.job)), **arrays))

    @classmethod
    def load(cls, path: Path) -> "Log":
        """What `save` wrote.

        Raises:
            InputError: the file is missing or broken; the message names it.
        """
        with reading(f"log {str(path)!r}"):
            arrays = read_arrays(path)
            job = _job(arrays.pop("job"))
            _check_arrays(arrays)
            return cls(job=job, **arrays)

    @staticmethod
    def job_of(path: Path) -> dict[str, Any]:
        """The job of the log in a file."""
        with reading(f"log {str(path)!r}"):
            return _job(read_arrays(path)["job"])


def _job(array: NDArray[Any]) -> dict[str, Any]:
    """The job of a log."""
    job = parse_json(str(array))
    for name, kind in (("number", int), ("pattern", str), ("clients", int), ("dirichlet_alpha", float)):
        if not isinstance(job[name], kind):
            raise TypeError(f"job.{name} = {job[name]!r}, allowed: {kind.__name__}")
    return job


def _check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises a ValueError or a KeyError if they are not those of a log."""
    lengths: dict[str, int] = {}
    for name, (kinds, axes) in ARRAYS.items():
        array = arrays[name]
        shape = tuple(lengths.setdefault(axis, length) for axis, length in zip(axes, array.shape, strict=False))
        if array.dtype.kind not in kinds or array.shape != shape or array.ndim != len(axes):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, which is not that of the others")
        if not np.isfinite(array).all() or (array < 0).any():
            raise ValueError(f"{name} is negative or not finite")
    for name in ("class_counts", "test_counts", "evaluated"):
        if not arrays[name].size or (name != "evaluated" and not arrays[name].any()):
            raise ValueError(f"{name} holds nothing")
    if arrays["cut_layer"].min(initial=1) < 1 or arrays["aggregation_ratio"].max(initial=0.0) > 1:
        raise ValueError("a cut layer is below 1, or a ratio above 1")


def run(job: Job, folder: Path) -> None:
    """Trains one run for real and saves its log; some once more, with the same decisions and other initial weights."""
    path = folder / job.file_name
    if not path.exists():
        trained(job).save(path)
    if job.again:
        trained_again(job, Log.load(path).decisions()).save(folder / job.file_name_again)


def trained(job: Job) -> Log:
    """The log of a run that is trained for real."""
    rng = job.rng()
    scenario, described = job.draw(rng)
    learner = Learner(scenario, job.framework, seed=job.number)
    return _play(learner, _decisions(learner, job, scenario.training.batch_size, rng), described)


def trained_again(job: Job, decisions: Iterable[Decision]) -> Log:
    """The same of a run with the same data and given decisions, and other initial weights."""
    scenario, described = job.draw(job.rng())
    learner = Learner(scenario, job.framework, seed=job.number)
    _initialise_again(learner, scenario, job.number)
    return _play(learner, decisions, described)


def _decisions(learner: Learner, job: Job, batch_size: int, rng: Generator) -> Iterator[Decision]:
    """Those of the job's pattern, which hears the clients' losses as they come."""
    clients = len(learner.data_share)
    group = patterns.Group(clients, np.exp(rng.uniform(np.log(0.1), 0.0, clients)), learner.class_counts)
    select = job.selection(group, rng)
    cuts, ratios = job.cut_layers(clients, cut_layers(learner), rng), job.ratios(rng)
    highest = learner.framework.allowed_ratio(batch_size)
    for _ in range(job.rounds):
        cut_layer, selected = common(next(cuts)), select(learner.outcome.client_loss)
        yield Decision(cut_layer, *NO_BAND, selected, min(next(ratios), highest))


def _initialise_again(learner: Learner, scenario: Scenario, seed: int) -> None:
    """Other initial weights, by the same distribution."""
    task, (shape, classes) = scenario.task, data.dimensions(scenario.task.dataset)
    other = models.build(task.model, shape, classes, torch.Generator().manual_seed(seed), stem=task.stem)
    for unit, own in zip(learner.nodes.server.units, other.units, strict=True):
        unit.load_state_dict(own.state_dict())


def _play(learner: Learner, decisions: Iterable[Decision], job: dict[str, Any]) -> Log:
    decided: dict[str, list[Any]] = {"cut_layer": [], "selected": [], "aggregation_ratio": [], "client_loss": []}
    evaluated, correct = [], []
    for number, decision in enumerate(decisions):
        outcome = learner.round(decision)
        cut_layer = np.broadcast_to(decision.cut_layer, decision.selected.shape)
        taken = (cut_layer, decision.selected, decision.aggregation_ratio, outcome.client_loss)
        for column, value in zip(decided.values(), taken, strict=True):
            column.append(value)
        if (number + 1) % job["evaluate_every"] == 0:
            evaluated.append(number)
            correct.append(learner.evaluator.correct(learner.nodes))
    return Log(
        job=job,
        class_counts=learner.class_counts,
        test_counts=learner.evaluator.class_counts,
        evaluated=np.array(evaluated),
        correct=np.array(correct),
        **{name: np.array(values) for name, values in decided.items()},
    )


def common(cut_layer: Ints) -> Any:
    """One cut layer for all if theirs are the same, else [C]."""
    return int(cut_layer[0]) if np.all(cut_layer == cut_layer[0]) else cut_layer


def cut_layers(learner: Learner) -> int:
    """Cut layers of the network, L - 1."""
    return len(learner.nodes.server.units) - 1


def finish(jobs: Sequence[Job], folder: Path, workers: int) -> None:
    """Runs the jobs that have no log in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = [job for job in jobs if not job.is_done(folder)]
    with worker_pool(workers) as pool:
        with interrupts_ignored():
            running = [pool.submit(run, job, folder) for job in todo]
        for job in tqdm(as_completed(running), total=len(todo), desc=str(folder)):
            job.result()


def finished(folder: Path, again: bool = False) -> list[Log]:
    """All logs of the folder in the order of their numbers, or those of second trainings.

    Raises:
        InputError: one is broken, or has other rounds, evaluations or classes than the first.
    """
    paths = sorted(path for path in folder.glob("*.npz") if path.stem.endswith("-again") == again)
    logs = [Log.load(path) for path in paths]
    for path, log in zip(paths, logs, strict=True):
        for name in ("cut_layer", "evaluated", "test_counts"):
            has, first = len(getattr(log, name)), len(getattr(logs[0], name))
            if has != first:
                raise InputError(f"log {str(path)!r}: {name} has {has} rows, that of {paths[0].name} has {first}")
    return logs
