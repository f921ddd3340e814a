"""Plots and texts of finished runs from their tables: nothing is measured again."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from experiments.running import provenance
from experiments.running.experiment import Experiment
from experiments.running.results import draw_plots, text_of
from splitgym.files import read_text
from splitgym.inputs import InputError, reading
from splitgym.outputs import write_text

TABLES = (".csv", ".csv.gz")
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*")


def redraw(folder: Path, find: Callable[[str], Experiment | None]) -> Iterator[str]:
    """Draws the plots of every run in a folder or below from its table, and writes its text if all numbers in it stay.

    Args:
        folder: As `experiments/results`.
        find: The experiment of a name; None if there is none.

    Yields:
        What became of each run, in a line.

    Raises:
        InputError: there are no runs, or a file of one is broken.
    """
    places = sorted(path.parent for path in folder.rglob(provenance.FILE))
    if not places:
        raise InputError(f"{folder} holds no {provenance.FILE}, expected: results as experiments write them")
    for place in places:
        yield f"{place}: {_redrawn(place, find)}"


def _redrawn(place: Path, find: Callable[[str], Experiment | None]) -> str:
    made_by = provenance.saved(place) or {}
    name = str(made_by.get("experiment", ""))
    experiment, stem = find(name), name.rpartition(".")[2]
    if experiment is None:
        return f"left as it is, for no experiment {name!r} draws a table again"
    path = next((path for kind in TABLES if (path := place / f"{stem}{kind}").exists()), None)
    if path is None:
        return "left as it is, for it is not finished"
    with reading(str(path)):
        table = pd.read_csv(path)
    try:
        draw_plots(place, experiment, table)
        text = text_of(experiment, table, made_by["command"])
    except KeyError as error:
        return f"drawn in part: its table is of an earlier form and has no column {error}"
    said = place / f"{stem}.md"
    if said.exists() and NUMBER.findall(read_text(said)) != NUMBER.findall(text):
        return "plots drawn, text kept: from the rounded numbers of the table another would come"
    write_text(said, text)
    return "plots and text drawn"
