"""Real rounds on a GPU: whether they are right, and how long they take.

    SPLITGYM_DATA=... python -m experiments benchmarks.gpu

Two things are checked: that rounds from one seed learn the same on a processor and on the GPU, but for rounding; and
that a learner which is restored from a saved state goes on to the bit. Timed are rounds of EPSL and measurements of
accuracy, with ResNet-18 on HAM10000, or on random images of the same shape where HAM10000 is not found.
"""

import inspect
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro
from tqdm import tqdm

from experiments.command_line import command_line
from experiments.everybody import everybody
from experiments.running import provenance
from experiments.running.making import made_by_command
from experiments.running.options import results_folder
from experiments.tables import markdown
from splitgym import data
from splitgym.command_line import about, parsing
from splitgym.data.sources import read
from splitgym.inputs import InputError
from splitgym.learning import Learner, training_device
from splitgym.outputs import write_text
from splitgym.scenario import Scenario, build
from splitgym.types import RoundOutcome

CUT = 2
CHECKED_CLIENTS, CHECKED_ROUNDS = 3, 4
RATIOS = (0.0, 1.0)
"""Aggregation ratios that are timed."""
LOSS_ERROR = 1e-3
"""Relative, of the first round: only rounding differs."""
STANDARD_ERRORS = 3.0
"""By which accuracies of two devices may differ, as small differences grow over the rounds."""
IMAGES = 10_000
"""As many random images as HAM10000 has."""


@dataclass(frozen=True)
class Options:
    """Checks real rounds on a GPU against a processor, and times them; prints a table and saves it."""

    device: str = "cuda"
    """The torch device: cuda, cuda:1, or cpu to try the script itself."""
    clients: tuple[int, ...] = (5, 20, 100)
    """Numbers of clients that are timed."""
    batch: int = 64
    """Rows of each client in a round."""
    rounds: int = 10
    """Timed rounds, after two that are not."""
    quick: bool = False
    """A short form: a small network on digits, two and three clients with four rows each, two rounds."""
    out: Path | None = None
    """Folder for gpu.csv and gpu.md; none: benchmarks/gpu in experiments/results or runs/quick."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        for name in ("batch", "rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}, allowed: 1 or more")
        if not self.clients or min(self.clients) < 1:
            raise InputError(f"--clients {' '.join(map(str, self.clients))}, allowed: numbers of 1 or more")
        training_device(self.device)


@dataclass(frozen=True)
class Task:
    """What is trained."""

    model: str
    dataset: str
    batch: int

    def scenario(self, clients: int, evaluate_every: int = 1) -> Scenario:
        """A cell in which it is trained; how the clients are connected does not matter here."""
        task = {"dataset": self.dataset, "model": self.model, "partition": "iid", "evaluate_every": evaluate_every}
        changed = {"task": task, "clients": {"count": clients}, "training": {"batch_size": self.batch}}
        return build("edge6g", changed)

    def learner(self, clients: int, device: str, evaluate_every: int = 1) -> Learner:
        """A learner on some device; those of the same number of clients begin alike."""
        return Learner(self.scenario(clients, evaluate_every), "epsl", 0, device)

    def train(self, learner: Learner, ratio: float = 0.5) -> RoundOutcome:
        """One round in which everybody takes part."""
        return learner.round(everybody(self.scenario(len(learner.data_share)), CUT, ratio))


def same_on_both(task: Task, device: str) -> str:
    """Trains on a processor and on the device from one seed; an empty text, or what differs by more than chance."""
    learners = [task.learner(CHECKED_CLIENTS, each) for each in ("cpu", device)]
    for number in range(1, CHECKED_ROUNDS + 1):
        here, there = (task.train(learner) for learner in learners)
        if number == 1 and not np.allclose(there.client_loss, here.client_loss, rtol=LOSS_ERROR):
            return f"losses of the first round are {there.client_loss} on {device}, {here.client_loss} on the cpu"
        mean, samples = (here.accuracy + there.accuracy) / 2, int(here.evaluation_samples)
        # A share that is 0 or 1 by chance has some error as well: one sample is added to both sides.
        error = sqrt(2 * (mean * (1 - mean) + 1 / samples) / samples)
        if abs(here.accuracy - there.accuracy) > STANDARD_ERRORS * error:
            return f"accuracy after {number} rounds is {there.accuracy:.4f} on {device}, {here.accuracy:.4f} on the cpu"
    return ""


def goes_on_after_restoring(task: Task, device: str) -> str:
    """Saves a state in the middle of a run and restores it; an empty text, or what goes on otherwise."""
    first, file = task.learner(CHECKED_CLIENTS, device), BytesIO()
    task.train(first)
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = task.learner(CHECKED_CLIENTS, device)
    second.load_state_dict(torch.load(file, weights_only=True))
    for number in range(2, CHECKED_ROUNDS + 1):
        went_on, restored = task.train(first), task.train(second)
        for name in ("client_loss", "client_accuracy"):
            if not np.array_equal(getattr(went_on, name), getattr(restored, name)):
                return (
                    f"{name} of round {number} is {getattr(restored, name)}, {getattr(went_on, name)} without restoring"
                )
    return ""


CHECKS: dict[str, Callable[[Task, str], str]] = {
    "Rounds from one seed learn the same on the cpu and on the device": same_on_both,
    "A learner that is restored from a saved state goes on to the bit": goes_on_after_restoring,
}


def timed(task: Task, clients: int, options: Options) -> list[dict[str, object]]:
    """A row for each ratio: median seconds of a round and of a measurement of accuracy, and memory at most."""
    learner, rows = task.learner(clients, options.device, evaluate_every=10**9), []
    for ratio in RATIOS:
        on_gpu = learner.device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(learner.device)
        for _ in range(2):
            task.train(learner, ratio)
        round_s = median_seconds(lambda ratio=ratio: task.train(learner, ratio), options.rounds, learner.device)
        evaluation_s = median_seconds(lambda: learner.evaluator.correct(learner.nodes), 3, learner.device)
        rows.append(
            {
                "clients": clients,
                "phi": ratio,
                "round_s": round_s,
                "rows_per_s": clients * options.batch / round_s,
                "evaluation_s": evaluation_s,
                "memory_gib": torch.cuda.max_memory_allocated(learner.device) / 2**30 if on_gpu else np.nan,
            }
        )
    return rows


def median_seconds(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Of some calls, until the device has done its work."""
    seconds = []
    for _ in range(times):
        begin_s = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin_s)
    return float(np.median(seconds))


def write_random_images(path: Path) -> None:
    """A data set of random images in the shape of HAM10000."""
    (channels, height, width), classes = data.dimensions("ham10000")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, height, width, channels), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(IMAGES) % classes, classes=[f"class {k}" for k in range(classes)])


def task_of(options: Options, folder: Path) -> Task:
    """What is trained here; random images are put into the folder."""
    if options.quick:
        return Task("cnn", "digits", options.batch)
    try:
        read("ham10000")
    except data.DataError:
        write_random_images(folder / "random.npz")
        return Task("resnet18", str(folder / "random.npz"), options.batch)
    return Task("resnet18", "ham10000", options.batch)


def report(options: Options, task: Task) -> tuple[str, pd.DataFrame, bool]:
    """The text, its numbers, and whether all is right."""
    said = {name: check(task, options.device) for name, check in CHECKS.items()}
    runs = pd.DataFrame([row for clients in tqdm(options.clients) for row in timed(task, clients, options)])
    device = training_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    images = "random images" if task.dataset.endswith(".npz") else task.dataset
    lines = [
        f"`{command_line('benchmarks.gpu')}`: {device} ({name}), torch {torch.__version__}; {task.model} on {images}, "
        f"cut layer {CUT}, {options.batch} rows of each client; medians of {options.rounds} rounds.",
        "\n".join(f"* {check}: {fault or 'yes'}." for check, fault in said.items()),
        markdown(
            {
                "clients": int(row.clients),
                "phi": f"{row.phi:g}",
                "round (ms)": f"{1e3 * row.round_s:.1f}",
                "rows/s": f"{row.rows_per_s:,.0f}",
                "accuracy of all clients (ms)": f"{1e3 * row.evaluation_s:.1f}",
                "memory (GiB)": "" if np.isnan(row.memory_gib) else f"{row.memory_gib:.2f}",
            }
            for row in runs.itertuples()
        ),
    ]
    return "\n\n".join(lines) + "\n", runs, not any(said.values())


def main() -> None:
    """Checks, times, prints and saves; ends with status 1 if something is not right, 2 if there is no such device."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    options.check()
    if options.quick:
        options = replace(options, clients=(2, 3), batch=4, rounds=2)
    made_by = made_by_command("benchmarks.gpu", options, main)
    with tempfile.TemporaryDirectory() as folder:
        text, runs, right = report(options, task_of(options, Path(folder)))
    results = results_folder("benchmarks.gpu", options.quick, options.out)
    provenance.save(results, made_by)
    write_text(results / "gpu.csv", runs.to_csv(index=False, float_format="%.4g"))
    write_text(results / "gpu.md", text)
    print(text)
    if not right:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
