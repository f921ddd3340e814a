"""Pictures of a sliced cell: who has what of band and server, and how each slice is doing."""

from typing import Any

import numpy as np

from splitgym.rendering.units import percent, quantity
from splitgym.slices.cell import SharedCell
from splitgym.slices.setup import SlicedCell
from splitgym.slices.slice import Slice

WIDTH = 60
"""Letters of the server's bar in a frame of text."""
LATEST = 30
"""Rounds of which a line of text says whether they were late."""


def render(setup: SlicedCell, cell: SharedCell, mode: str) -> Any:
    """The cell as it is now: an array of pixels, uint8 [720, 1280, 3], or a text of several lines.

    Raises:
        ImportError: Pillow is missing; the message says how to install it.
    """
    if mode == "ansi":
        return text(setup, cell)
    from splitgym.slices.picture import picture  # noqa: PLC0415 - only drawing needs Pillow

    return np.array(picture(setup, cell))


def text(setup: SlicedCell, cell: SharedCell) -> str:
    """The cell in lines without colours; slices are named by letters."""
    letters = [letter_of(index) for index in range(len(cell.slices))]
    band = "".join(letters[index] if index >= 0 else "." for index in cell.owner)
    ends = np.rint(WIDTH * np.cumsum([each.grant.server_share for each in cell.slices])).astype(int)
    server = "".join(letter * count for letter, count in zip(letters, np.diff(ends, prepend=0), strict=True))
    rows = [f"{letter} {line}" for letter, each in zip(letters, cell.slices, strict=True) for line in _lines(each)]
    return "\n".join([f"{setup.name}: {cell.now_s:g} s", f"band    {band}", f"server  {server}", *rows])


def letter_of(index: int) -> str:
    """A for the first slice, and so on; Z for all from the 26th on."""
    return chr(ord("A") + min(index, 25))


def facts(each: Slice) -> list[str]:
    """What is said of a slice: its service and state, its part of the cell, its accuracy, its rounds."""
    progress, row = each.progress, each.row
    said = [
        f"{row.service}, {state_of(each)}",
        f"{len(each.grant.subchannels)} of {len(each.env.whole_state.subchannel_hz)} subchannels, "
        f"{percent(each.grant.server_share)} of the server",
        f"accuracy {percent(each.accuracy)} of {percent(each.env.scenario.episode.target_accuracy)}",
        f"{progress.rounds} rounds" + (f", the last took {quantity(progress.latency_s, 's')}" * (progress.rounds > 0)),
    ]
    if row.deadline_s is not None and row.violation_probability is not None:
        said.append(
            f"late: {progress.violations} of {progress.rounds} ({percent(each.violation_rate)}, allowed "
            f"{percent(row.violation_probability)}), deadline {quantity(row.deadline_s, 's')}"
        )
    return said


def state_of(each: Slice) -> str:
    """What a slice does now."""
    if each.progress.ended:
        return "target reached" if each.progress.reached else "budget spent"
    return "trains"


def _lines(each: Slice) -> list[str]:
    """Two lines of a slice; "!" are late rounds, "." those in time."""
    latest = each.progress.latencies_s[-LATEST:]
    rounds = "".join("!" if each.is_late(latency_s) else "." for latency_s in latest)
    return [f"{each.name}: {'; '.join(facts(each))}", f"  last rounds: {rounds or 'none yet'}"]
