"""Trainings, comparisons and experiments that are killed at random moments end as if they had not been.

Of each one in 40 of SPLITGYM_FUZZ_CASES is killed, at a moment that SPLITGYM_FUZZ_SEED decides. By hand:
SPLITGYM_FUZZ_CASES=2000 pytest tests/fuzz/test_kills.py
"""

import json
import os
import random
import signal
import time
from contextlib import chdir
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from in_process import compare_in_this_process

from agents import compare, train
from agents.policy_file import Card, card_file, digest
from agents.training import jobs
from agents.training import run as training
from agents.training.learner_file import steps_done
from agents.training.run_folder import PolicyFolder
from experiments.running import Experiment
from experiments.running import run as running
from experiments.running.options import Options
from splitgym.scenario import build

CASES = max(int(os.environ.get("SPLITGYM_FUZZ_CASES", "0")) // 40, 1)
SEED = int(os.environ.get("SPLITGYM_FUZZ_SEED", "0"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def compare_schedulers():
    arguments = ["--scenarios", "small.toml", "--agents", "fixed", "random", "--baseline", "fixed"]
    return compare.main([*arguments, "--episodes", "20", "--workers", "1", "--out", "run"])


STEPS = 384
"""Three rollouts of two environments."""


def train_a_scheduler():
    if Path("run", "run.json").exists():
        return train.main(["--resume", "run"])
    sizes = ["--steps", f"{STEPS}", "--environments", "2", "--seeds", "1", "--episodes", "2", "--workers", "1"]
    return train.main(["--scenario", "small.toml", *sizes, "--compare", "fixed", "--out", "run"])


def measure(case, seed):
    return [{"value": (case["number"] + seed) ** 2 / 3}]


def draw(table, figure):
    figure.subplots().plot(table["number"], table["value"], "o")


SQUARES = Experiment(
    "What are squares?",
    lambda quick: [{"number": number} for number in range(25)],
    measure,
    lambda table: f"The mean of {len(table)} values is {table['value'].mean():.3f}.",
    {"values": draw},
    seeds=2,
)


def run_an_experiment():
    running.run("squares", SQUARES, Options(out=Path("run")))
    return 0


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Nothing is left to other processes, which would only take time to begin."""

    def train_all(asked, workers):
        for job in asked:
            jobs.train(job)
        yield [PolicyFolder(job.folder).progress().steps for job in asked]

    def perform(measure, jobs):
        return ((job, measure(job.case, job.seed)) for job in jobs)

    compare_in_this_process(monkeypatch)
    monkeypatch.setattr(training, "train_all", train_all)
    monkeypatch.setattr(running, "workers", lambda text: perform)


@dataclass(frozen=True)
class Work:
    """Something that is done in the folder `run` of a folder of its own."""

    act: object
    place: Path

    def do(self, name):
        """Does it, or what is left of it; returns its folder."""
        with chdir(self.begun(name)):
            assert self.act() == 0
        return self.place / name / "run"

    def kill(self, name, after_s):
        """Does it in a process that is killed after so many seconds; returns its folder."""
        folder, process = self.begun(name), os.fork()
        if not process:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(1, 2)
                os.chdir(folder)
                self.act()
            finally:
                os._exit(0)
        time.sleep(after_s)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return folder / "run"

    def begun(self, name):
        folder = self.place / name
        if not folder.exists():
            folder.mkdir()
            scenario = build("toy", {"name": "small", "episode": {"max_rounds": 5, "target_accuracy": 0.2}})
            (folder / "small.toml").write_text(scenario.to_toml())
        return folder

    @cached_property
    def undisturbed(self):
        """Its folder, and the seconds that it takes."""
        if CASES > 1:
            self.do("warm-up")
        begin_s = time.monotonic()
        return self.do("undisturbed"), time.monotonic() - begin_s

    def kills(self):
        """Folders of work that was killed."""
        _, lasts_s = self.undisturbed
        moments = random.Random(SEED)
        for case in range(CASES):
            # More often at the beginning: what is worth most takes less time than plots.
            yield self.kill(f"{case}", lasts_s * moments.random() ** 2)


def lines(path):
    """Whole lines of a file, those that were reported as saved; none if there is no file."""
    return set(path.read_bytes().split(b"\n")[:-1]) if path.exists() else set()


def same_files(folder, other, *names):
    """Whether files have the same bytes."""
    return [name for name in names if (folder / name).read_bytes() != (other / name).read_bytes()] == []


def test_comparisons(tmp_path):
    work = Work(compare_schedulers, tmp_path)
    whole, _ = work.undisturbed
    names = [path.name for path in whole.iterdir() if path.name != "episodes.jsonl"]
    for folder in work.kills():
        saved = lines(folder / "episodes.jsonl")
        assert work.do(folder.parent.name) == folder
        assert same_files(whole, folder, *names)
        assert saved <= lines(folder / "episodes.jsonl") == lines(whole / "episodes.jsonl")


def test_experiments(tmp_path):
    work = Work(run_an_experiment, tmp_path)
    whole, _ = work.undisturbed
    for folder in work.kills():
        saved = lines(folder / "jobs.jsonl")
        assert work.do(folder.parent.name) == folder
        assert same_files(whole, folder, *(path.name for path in whole.iterdir()))
        assert saved <= lines(folder / "jobs.jsonl")


def test_trainings(tmp_path):
    """What goes on in the middle has other episodes than what was not killed, and so another policy."""
    work = Work(train_a_scheduler, tmp_path)
    whole, _ = work.undisturbed
    for folder in work.kills():
        own = PolicyFolder(folder / "seed-0")
        done, saved, best = steps_done(own.last), lines(folder / "episodes.jsonl"), own.cost()
        if best is not None:
            assert Card.read(card_file(own.policy)).weights == digest(own.policy)
        assert work.do(folder.parent.name) == folder
        assert steps_done(own.last) == json.loads((own.path / "progress.json").read_text())["steps"] == STEPS
        assert own.cost() <= (own.cost() if best is None else best)
        assert Card.read(folder / "policy.toml").weights == digest(folder / "policy") == digest(own.policy)
        assert saved <= lines(folder / "episodes.jsonl")
        assert len(lines(folder / "episodes.jsonl")) == 1 + 2 * 2
        if done in (0, STEPS):
            names = ("policy.safetensors", "policy.toml", "episodes.csv", "table.md", "accuracy.png")
            assert same_files(whole, folder, *names)
