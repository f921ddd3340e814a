"""CPU seconds of a real round for each framework, beside plain PyTorch programs of the same work.

    SPLITGYM_DATA=... python -m experiments benchmarks.rounds

Measured are a small CNN on digits and ResNet-18 on HAM10000 (left out without SPLITGYM_DATA) with 5 to 100 clients, by
the learner that the environment uses, accuracy not measured; and ResNet-18 on random images of 64 pixels. Beside them:

(a) plain centralised training: one network, the rows of all clients as one mini-batch;
(b) a plain loop: every client with a module and an optimiser of its own, one after the other, the server sees each
    client's rows alone and steps once on the sum of its gradients: the work of PSL;
(c) a deep-copy loop: per client and mini-batch a deep copy of the server's model and new Adam optimisers for both,
    copies averaged at the end. It follows the way in which public programs work (SplitFed of AAAI 2022, CycleSL: deep
    copies, fresh Adam) and is not their code.

(a) to (c) get fixed random mini-batches, in torch's default memory format. Batch norm on the server normalises the rows
of all clients together in the package, as the scenarios have it, and each client's by themselves in (b) and (c).

Every subject has a process of its own, so memory is its own too; the subjects of a setting take slots, and all settings
are gone through several times. With the small CNN all processes of a setting live at once and rest between their slots;
with ResNet-18 there is one at a time. The package tells the C library to keep freed memory. The baselines, as plain
programs, do not; with five clients they are measured a second time with it, as "memory kept".
"""

import inspect
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
import tyro
from tqdm import tqdm

from experiments.benchmarks.judged import judged
from experiments.benchmarks.processes import measure
from experiments.benchmarks.subjects import Setting, Subject, all_frameworks, baselines
from experiments.benchmarks.tables import LEGEND, key_of, markdown, save, summary
from experiments.command_line import command_line
from experiments.running import provenance
from experiments.running.making import made_by_command
from experiments.running.options import results_folder
from splitgym import data
from splitgym.command_line import about, parsing
from splitgym.data.sources import read
from splitgym.inputs import InputError
from splitgym.learning.device import has_bf16

EPSL = tuple(Subject("epsl", phi) for phi in (0.0, 0.5, 1.0))
BF16 = (Subject("psl", precision="bf16"), Subject("epsl", 1.0, "bf16"))
CENTRALISED, PSL = Subject("centralised"), Subject("psl")


@dataclass(frozen=True)
class Options:
    """CPU seconds of a real round for each framework, beside plain PyTorch programs; prints tables and saves them."""

    passes: int = 2
    """Times that all settings are gone through."""
    quick: bool = False
    """Few settings and rounds, once: less than two minutes."""
    threads: int = 1
    """Threads of torch in each process."""
    only: tuple[str, ...] = ()
    """Only settings in whose titles one of these texts is found, such as "cnn" or "20 x"; none: all."""
    out: Path | None = None
    """Folder for rounds.csv and rounds.md; none: benchmarks/rounds in experiments/results or runs/quick."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        for name in ("passes", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}, allowed: 1 or more")


def all_settings() -> list[Setting]:
    """Everything that is measured."""
    return [*_small_networks(), *_residual_networks()]


def quick_settings() -> list[Setting]:
    """A part of it for a first impression."""
    few = (CENTRALISED, PSL, EPSL[0], EPSL[2], *baselines())
    more = (Subject("fl"), Subject("sl"), Subject("sfl-v1"), *few)
    return [
        Setting("cnn", 8, 5, 16, 1, more, slots=2, rounds=5, warm_up=3),
        Setting("resnet18", 32, 5, 64, 2, few, rounds=2, warm_up=2, resident=False),
    ]


def available(settings: Sequence[Setting]) -> tuple[list[Setting], list[str]]:
    """The settings that can be measured here, and a line for each reason why others cannot."""
    lines = []
    if any(setting.dataset == "ham10000" for setting in settings):
        try:
            read("ham10000")
        except data.DataError as error:
            lines.append(f"ResNet-18 at 32 px is left out: {error}.")
            settings = [setting for setting in settings if setting.dataset != "ham10000"]
    half = any(subject.precision == "bf16" for setting in settings for subject in setting.subjects)
    if half and not has_bf16(torch.device("cpu")):
        lines.append("bf16 is left out: this processor has no such arithmetic.")
        settings = [replace(s, subjects=tuple(x for x in s.subjects if x.precision == "fp32")) for s in settings]
    return list(settings), lines


def run(settings: Sequence[Setting], options: Options) -> str:
    """Measures, saves after each setting, and returns the report."""
    caption, made_by = [_machine(options)], made_by_command("benchmarks.rounds", options, main)
    folder = results_folder("benchmarks.rounds", options.quick, options.out)
    settings, notes = available(settings)
    rounds, failures = pd.DataFrame(), list[str]()
    text = "\n\n".join([*caption, *notes])
    slots = sum(len(setting.subjects) * setting.slots for setting in settings)
    with tqdm(total=options.passes * slots, desc="slots") as progress:
        for _ in range(options.passes):
            for setting in settings:
                progress.set_postfix_str(setting.title)
                rows, failed = measure(setting, options.threads, progress.update)
                rounds = pd.concat([rounds, pd.DataFrame([{**key_of(setting), **row} for row in rows])])
                failures += [line for line in failed if line not in failures]
                if len(rounds):
                    table = summary(rounds, settings)
                    parts = [*caption, LEGEND, *notes, *failures, markdown(table), "### Judged", judged(table)]
                    text = "\n\n".join(parts) + "\n"
                    provenance.save(folder, made_by)
                    save(folder, table, text)
    return text


def _small_networks() -> list[Setting]:
    settings = []
    for batch, cut in ((16, 1), (32, 1), (32, 2)):
        for clients in (5, 20, 100):
            subjects = (*all_frameworks(), *baselines(), *(baselines(keeps_memory=True) if clients == 5 else ()))
            settings.append(Setting("cnn", 8, clients, batch, cut, subjects, slots=4, rounds=5, warm_up=3))
    return settings


def _residual_networks() -> list[Setting]:
    plain, kept = baselines(), baselines(keeps_memory=True)
    every = (*all_frameworks(), *plain)
    # The others would take long, and an optimiser for each of a hundred copies of the server a lot of memory.
    few = (CENTRALISED, Subject("fl"), Subject("sl"), PSL, EPSL[0], EPSL[2], *plain)
    bare = (CENTRALISED, PSL, *EPSL, *BF16, *plain, *kept)
    # The first rounds are slow, while memory is fetched that is kept from then on.
    alike = {"warm_up": 2, "resident": False}
    return [
        Setting("resnet18", 32, 5, 64, 2, (*every, *BF16, *kept), rounds=4, **alike),
        Setting("resnet18", 32, 20, 64, 2, every, rounds=3, **alike),
        Setting("resnet18", 32, 100, 64, 2, few, rounds=2, **alike),
        Setting("resnet18", 64, 5, 64, 2, bare, rounds=4, **alike),
    ]


def _machine(options: Options) -> str:
    """Machine, load and command."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    command = command_line("benchmarks.rounds")
    return (
        f"{_processor()}, {os.cpu_count()} cores, torch {torch.__version__}, torch threads per process: "
        f"{options.threads}; load average at the start {load}. `{command}`"
    )


def _processor() -> str:
    """Name of the processor."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measures, prints and saves the tables."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    options.check()
    if options.quick:
        options = replace(options, passes=1)
    offered = quick_settings() if options.quick else all_settings()
    settings = [s for s in offered if not options.only or any(text in s.title for text in options.only)]
    if not settings:
        raise InputError(f"--only {options.only!r} is in no title, allowed: {'; '.join(s.title for s in offered)}")
    print(run(settings, options))


if __name__ == "__main__":
    main()
