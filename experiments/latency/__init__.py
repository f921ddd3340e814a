"""Mean latency of a round over clients, band, compute and their spread, by allocation and by framework; no training.

    python -m experiments latency

Everybody takes part in every round (the presets' round timeout is taken away), in the first round of random cells,
which are the same for all methods.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tyro
from tqdm import tqdm

from experiments.command_line import command_line
from experiments.latency.comparisons import COMPARISONS
from experiments.latency.report import plot, table
from experiments.latency.rounds import measure, points
from experiments.latency.sweeps import SWEEPS

QUICK_CELLS = 3


@dataclass(frozen=True)
class Options:
    """Mean round latency by allocation and framework over seven quantities; saves rounds, tables and figures."""

    cells: int = 100
    """Random cells."""
    only: tuple[str, ...] = ()
    """Quantities to vary; none: all."""
    quick: bool = False
    """Three cells only."""
    out: Path = Path("experiments/results/latency")
    """Folder for latency.csv.gz, latency.md and the figures."""

    def check(self) -> None:
        """Raises a ValueError that names the first setting which is not allowed."""
        if self.cells < 2:
            raise ValueError(f"--cells {self.cells}, allowed: 2 or more, for an interval")
        for name in self.only:
            if name not in SWEEPS:
                raise ValueError(f"--only {name!r} is unknown, allowed: {', '.join(SWEEPS)}")


def sections(rounds: pd.DataFrame, out: Path) -> Iterator[str]:
    """Draws a figure for each comparison in each preset, and writes its tables, one for each quantity."""
    for preset, in_preset in rounds.groupby("preset", sort=False):
        for comparison in COMPARISONS:
            if preset in comparison.presets:
                compared = comparison.of(in_preset)
                figure = f"{comparison.name}-{preset}.png"
                plot(compared, comparison, str(preset), out / figure)
                yield f"## {preset}: {comparison.title}\n\n![{comparison.title}]({figure})"
                yield from (table(compared, comparison, varied) for varied in compared["varied"].unique())


def caption(rounds: pd.DataFrame) -> str:
    """What the numbers are."""
    left_out = int((rounds["participants"] < rounds["clients"]).sum())
    return (
        f"Mean latency (s) of the first round ± half width of its 95 % interval (Student's t) over "
        f"{rounds['cell'].nunique()} random cells, the same ones for all methods; in parentheses the geometric mean of "
        "the latency relative to that of the reference, e) or PSL, in the same cell. One quantity of the preset is "
        "varied at a time. More clients than subchannels divide the same band into as many subchannels as they are; "
        "the spread of gains is stretched in dB around their mean. Rounds of all frameworks train one mini-batch of "
        "each client, those of PSL-drop(0.5) half of it. The presets' round timeout is taken away; "
        f"{left_out or 'none'} of {len(rounds)} rounds left somebody out."
    )


def main() -> None:
    """Measures, prints and saves."""
    options = tyro.cli(Options, description=inspect.getdoc(Options))
    options.check()
    cells = QUICK_CELLS if options.quick else options.cells
    todo = points(options.only or tuple(SWEEPS))
    rounds = pd.DataFrame(row for point in tqdm(todo, desc="values") for row in measure(point, cells))
    options.out.mkdir(parents=True, exist_ok=True)
    packed = {"method": "gzip", "mtime": 0}
    rounds.to_csv(options.out / "latency.csv.gz", index=False, float_format="%.4g", compression=packed)
    command = command_line("latency")
    text = "\n\n".join([f"`{command}`", caption(rounds), *sections(rounds, options.out)]) + "\n"
    (options.out / "latency.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
