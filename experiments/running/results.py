"""What a finished run leaves: table, text, plots; the same bytes however it was interrupted."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.running.experiment import Experiment, Row
from splitgym.evaluation.figures import number_log_axes, save, text_as_it_is
from splitgym.outputs import write, write_text

LARGEST_BYTES = 250_000
"""Of a table that is saved as plain text, to nine digits; a larger one is packed, to five."""


def save_results(folder: Path, name: str, experiment: Experiment, rows: Sequence[Row], command: str) -> str:
    """Writes NAME.csv (packed if it is large), the plots, and NAME.md; returns its text.

    Args:
        folder: Where to.
        name: Of the files.
        experiment: Whose rows they are.
        rows: All of them, in their order.
        command: That repeats the run.
    """
    table = pd.DataFrame(rows)
    draw_plots(folder, experiment, table)
    text = text_of(experiment, table, command)
    content = table.to_csv(index=False, float_format="%.9g").encode()
    packed = len(content) > LARGEST_BYTES
    if packed:
        content = table.to_csv(index=False, float_format="%.5g").encode()
    (folder / f"{name}.csv{'' if packed else '.gz'}").unlink(missing_ok=True)
    if packed:
        write(folder / f"{name}.csv.gz", lambda file: file.write(gzip.compress(content, mtime=0)))
    else:
        write(folder / f"{name}.csv", lambda file: file.write(content))
    write_text(folder / f"{name}.md", text)
    return text.rstrip()


def draw_plots(folder: Path, experiment: Experiment, table: pd.DataFrame) -> None:
    """Draws the plots of an experiment from its table, as PNG and as PDF."""
    for stem, draw in experiment.plots.items():
        _draw(draw, table, folder / f"{stem}.png")


def text_of(experiment: Experiment, table: pd.DataFrame, command: str) -> str:
    """Title, command, report and plots of an experiment, in Markdown."""
    plots = [f"![{stem}]({stem}.png)" for stem in experiment.plots]
    return "\n\n".join([f"# {experiment.title}", f"`{command}`", experiment.report(table).strip(), *plots]) + "\n"


def _draw(draw: Callable[[pd.DataFrame, Figure], None], table: pd.DataFrame, path: Path) -> None:
    figure = Figure(layout="constrained")
    with text_as_it_is():
        draw(table, figure)
        number_log_axes(figure)
        save(figure, path)
