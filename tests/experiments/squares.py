"""An experiment for the tests of running: it leaves traces, and has mishaps where a file asks for one."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.running import Experiment
from splitgym.inputs import InputError

FOLDER = "SQUARES"
"""Environment variable: where traces and mishaps lie."""


@dataclass(frozen=True)
class Cases:
    """Numbers."""

    numbers: tuple[int, ...] = (2, 3, 5)
    """What is squared."""
    power: float = 2.0
    """Of the numbers."""
    negative: bool = False
    """Their other side."""

    def __call__(self, quick):
        sign = -1 if self.negative else 1
        return [{"number": sign * number, "power": self.power} for number in self.numbers[: 1 if quick else None]]


def measure(case, seed):
    name = f"{case['number']}-{seed}"
    folder = Path(os.environ[FOLDER])
    with (folder / f"{name}.ran").open("a", encoding="utf-8") as trace:
        trace.write("x")
    mishap = folder / f"{name}.mishap"
    text = mishap.read_text(encoding="utf-8") if mishap.exists() else ""
    if text == "raise":
        raise ArithmeticError(f"{case['number']} has no square")
    if text == "refuse":
        raise InputError("SQUARES names no squares")
    if text == "die once":
        mishap.unlink()
    if text.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    while text == "hold" and mishap.exists():
        time.sleep(0.01)
    return [{"part": part, "value": (case["number"] + seed) ** case["power"] / 3} for part in ("a", "b")]


def report(rows):
    mean, most = rows["value"].mean(), rows["value"].max()
    return f"The mean of {len(rows)} values is {mean:.3f}.\n\n| the most |\n|---:|\n| {most:.3f} |"


def draw(rows, figure):
    figure.subplots().plot(rows["number"], rows["value"], "o")


EXPERIMENT = Experiment("What are squares?", Cases(), measure, report, {"values": draw}, seeds=2)


def ran(traces: Path) -> dict[str, int]:
    """How often each job began."""
    return {path.stem: len(path.read_text(encoding="utf-8")) for path in traces.glob("*.ran")}


def files(folder: Path) -> dict[str, bytes]:
    """All results."""
    return {name: (folder / name).read_bytes() for name in ("squares.csv", "squares.md", "values.png")}
