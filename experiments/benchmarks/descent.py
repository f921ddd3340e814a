"""Time of one descent over clients and subchannels, against the paper's descent put together block by block.

python -m experiments benchmarks.descent
"""

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure
from tqdm import tqdm

from experiments.cells import random_states
from experiments.command_line import command_line
from experiments.running import provenance
from experiments.running.making import made_by_command
from experiments.running.options import results_folder
from splitgym.allocation import descend, descent, paper_descend
from splitgym.command_line import about, parsing
from splitgym.evaluation.figures import number_log_axes, save
from splitgym.evaluation.look import COLOURS
from splitgym.frameworks import get
from splitgym.inputs import InputError
from splitgym.outputs import write_text
from splitgym.scenario import build
from splitgym.types import RoundState

SIZES = ((2, 4), (3, 8), (5, 20), (10, 50), (20, 100), (50, 300), (200, 200), (100, 1000))
"""Clients, subchannels."""
SUBJECTS = {"single": "descend, one world", "batch": "descend, a world of 32", "greedy": "without exchanges, one of 32"}
PAPER = "paper_descend (baseline)"


@dataclass(frozen=True)
class Options:
    """Times one descent for growing cells in CPU time of one core; prints a table, saves it and a log-log plot."""

    presets: tuple[str, ...] = ("epsl", "iot", "bandwidth-limited")
    """Presets whose cells are drawn."""
    cells: int = 5
    """Random cells of each size."""
    seconds: float = 0.5
    """About how long each of them is timed; the fastest of its repetitions counts."""
    quick: bool = False
    """A short form: the three smallest sizes, one cell of each, a moment."""
    out: Path | None = None
    """Folder for descent.csv, .md and .png; none: benchmarks/descent in experiments/results or runs/quick."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        if self.cells < 1:
            raise InputError(f"--cells {self.cells}, allowed: 1 or more")
        if not self.seconds > 0:
            raise InputError(f"--seconds {self.seconds}, allowed: more than 0")


def cpu_seconds(call: Callable[[], object], at_least_s: float) -> float:
    """CPU time of the fastest of some calls, after one to warm up, s."""
    call()
    best, spent = np.inf, 0.0
    while spent < at_least_s:
        begin = time.process_time()
        call()
        took = time.process_time() - begin
        best, spent = min(best, took), spent + max(took, 1e-6)
    return best


def side_by_side(state: RoundState, worlds: int) -> RoundState:
    """A batch of worlds that differ in a little noise on their gains."""
    batch = state.repeat(worlds)
    noise = np.random.default_rng(0).normal(0.0, 0.1, batch.channel_gain.shape)
    return replace(batch, channel_gain=batch.channel_gain * 10**noise)


def measure(preset: str, clients: int, subchannels: int, options: Options) -> list[dict[str, object]]:
    """Rows of one size: microseconds for each subject and cell."""
    scenario = build(preset, {"clients": {"count": clients}, "radio": {"subchannels": subchannels}})
    rows, everybody, worlds = [], np.ones(clients, bool), 32 if clients * subchannels < 10_000 else 4
    for cell, state in enumerate(random_states(scenario, get("epsl"), range(options.cells))):
        batch = side_by_side(state, worlds)
        all_of_them = np.ones((worlds, clients), bool)
        share = options.seconds / options.cells
        seconds = {
            "single": cpu_seconds(lambda s=state: descend(s, everybody, 0.5), share),
            "batch": cpu_seconds(lambda b=batch, s=all_of_them: descent(b, s, 0.5), share) / worlds,
            "greedy": cpu_seconds(lambda b=batch, s=all_of_them: descent(b, s, 0.5, search=False), share) / worlds,
            "paper": cpu_seconds(lambda s=state: paper_descend(s, everybody, 0.5), share),
        }
        key = {"preset": preset, "clients": clients, "subchannels": subchannels, "cell": cell}
        rows += [{**key, "subject": subject, "microseconds": 1e6 * value} for subject, value in seconds.items()]
    return rows


def table(runs: pd.DataFrame) -> str:
    """Markdown: median microseconds of each subject by size, and how many times faster than the baseline."""
    medians = runs.groupby(["preset", "clients", "subchannels", "subject"])["microseconds"].median().unstack()
    heads = [*SUBJECTS.values(), PAPER, "times faster"]
    lines = [
        "| preset | clients | subchannels | " + " | ".join(heads) + " |",
        "|---" + "|---:" * (len(heads) + 2) + "|",
    ]
    for (preset, clients, subchannels), row in medians.sort_index().iterrows():
        cells = [f"{row[subject]:,.0f}" for subject in (*SUBJECTS, "paper")]
        cells.append(f"{row['paper'] / row['single']:.1f}")
        lines.append(f"| {preset} | {clients} | {subchannels} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(runs: pd.DataFrame, path: Path) -> None:
    """Log-log: time of a descent over clients x subchannels."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    labels = {**SUBJECTS, "paper": PAPER}
    runs = runs.assign(links=runs["clients"] * runs["subchannels"])
    for colour, (subject, label) in zip(COLOURS, labels.items(), strict=False):
        own = runs[runs["subject"] == subject].groupby("links")["microseconds"]
        axes.plot(own.median().index, own.median(), "o-", color=colour, label=label)
        ends = own.quantile([0.25, 0.75]).unstack()
        axes.fill_between(ends.index, ends[0.25], ends[0.75], color=colour, alpha=0.15, linewidth=0)
    for clients, subchannels, limit_us in ((5, 20, 100.0), (100, 1000, 20_000.0)):
        axes.plot(clients * subchannels, limit_us, "kx", markersize=9)
        axes.annotate(
            f"limit for {clients} x {subchannels}",
            (clients * subchannels, limit_us),
            xytext=(-6, -12),
            ha="right",
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="clients x subchannels",
        ylabel="CPU time of one descent (µs)",
        title="One descent over subchannels, powers and cut layer; median and quartiles over cells of all presets",
    )
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    number_log_axes(figure)
    save(figure, path)


def main() -> None:
    """Measures all sizes, prints and saves."""
    with parsing():
        options = tyro.cli(Options, description=about(inspect.getdoc(Options)))
    options.check()
    if options.quick:
        options = replace(options, cells=1, seconds=0.02)
    made_by = made_by_command("benchmarks.descent", options, main)
    todo = [(preset, *size) for preset in options.presets for size in (SIZES[:3] if options.quick else SIZES)]
    runs = pd.DataFrame([row for job in tqdm(todo, desc="sizes") for row in measure(*job, options)])
    command = command_line("benchmarks.descent")
    text = f"`{command}`: CPU time (µs) of one descent on one core, fastest of its repetitions, median over cells.\n\n"
    text += table(runs) + "\n"
    folder = results_folder("benchmarks.descent", options.quick, options.out)
    provenance.save(folder, made_by)
    write_text(folder / "descent.csv", runs.to_csv(index=False, float_format="%.4g"))
    write_text(folder / "descent.md", text)
    plot(runs, folder / "descent.png")
    print(text)


if __name__ == "__main__":
    main()
