"""A sliced cell as pixels: bars of band and server, and a card for each slice."""

from collections.abc import Callable

from splitgym.rendering.canvas import Box, Canvas
from splitgym.rendering.palette import (
    ALERT,
    BLUE,
    CARD,
    EMPTY,
    FAINT,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    YELLOW,
)
from splitgym.rendering.pillow import Image
from splitgym.rendering.units import percent, ticks
from splitgym.slices.cell import SharedCell
from splitgym.slices.frames import facts
from splitgym.slices.setup import SlicedCell
from splitgym.slices.slice import Slice

SIZE = 1280, 720
COLOURS = BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW
"""Of slices, in order; from the seventh on again."""
MOST_CARDS = 5
"""Further slices are counted."""
TOP, MARGIN = 166, 12


def picture(setup: SlicedCell, cell: SharedCell) -> Image.Image:
    """The cell at the end of a period."""
    width, height = SIZE
    canvas = Canvas(width, height, PAGE)
    _draw_bars(canvas, Box(MARGIN, MARGIN, width - MARGIN, TOP), setup, cell)
    shown = cell.slices[:MOST_CARDS]
    more = len(cell.slices) - len(shown)
    bottom = height - MARGIN - (18 if more else 0)
    each = (bottom - TOP) / len(shown)
    _, step, *_ = marks = ticks(max(cell.now_s, setup.period_s), 5)
    end_s = marks[-1] + step
    for index, one in enumerate(shown):
        top = TOP + index * each + MARGIN
        _draw_slice(canvas, Box(MARGIN, top, width - MARGIN, TOP + (index + 1) * each), one, _colour(index), end_s)
    if more:
        canvas.text((2 * MARGIN, height - 14), f"and {more} more", 12, MUTED)
    return canvas.image()


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _draw_bars(canvas: Canvas, box: Box, setup: SlicedCell, cell: SharedCell) -> None:
    """Who has which subchannels, and how much of the server."""
    canvas.card(box, f"{setup.name}: {cell.now_s:g} s")
    left, right = box.left + 120, box.right - 20
    band, server = box.top + 42, box.top + 100
    canvas.text((box.left + 14, band + 18), "subchannels", 13, INK)
    canvas.text((box.left + 14, server + 18), "server", 13, INK)
    wide = (right - left) / len(cell.owner)
    for place, index in enumerate(cell.owner.tolist()):
        cut = Box(left + place * wide, band, left + (place + 1) * wide - min(2, wide / 4), band + 36)
        canvas.rectangle(cut, _colour(index) if index >= 0 else EMPTY)
    x = left
    for index, one in enumerate(cell.slices):
        part = (right - left) * one.grant.server_share
        if part:
            canvas.rectangle(Box(x, server, x + part, server + 36), _colour(index))
            if part > 60:
                canvas.text((x + part / 2, server + 18), percent(one.grant.server_share), 13, CARD, "mm", bold=True)
        x += part


def _draw_slice(canvas: Canvas, box: Box, one: Slice, colour: str, end_s: float) -> None:
    """A card: what is said of the slice, its accuracy, and the latencies of its rounds."""
    canvas.card(box, "")
    canvas.rectangle(Box(box.left, box.top, box.left + 8, box.bottom), colour)
    canvas.text((box.left + 20, box.top + 18), one.name, 15, INK, bold=True)
    said = facts(one)
    step = min(22, (box.height - 34) / len(said))
    for number, line in enumerate(said):
        late = number == 4 and one.violation_rate > (one.row.violation_probability or 0)
        canvas.text((box.left + 20, box.top + 40 + number * step), line, 12, ALERT if late else MUTED, bold=late)
    plots = Box(box.left + 450, box.top + 30, box.right - 20, box.bottom - 24)
    middle = (plots.left + plots.right) / 2
    _draw_accuracy(canvas, plots._replace(right=middle - 40), one, colour, end_s)
    _draw_latencies(canvas, plots._replace(left=middle + 30), one, colour, end_s)


def _draw_accuracy(canvas: Canvas, plot: Box, one: Slice, colour: str, end_s: float) -> None:
    target, times = one.env.scenario.episode.target_accuracy, [0.0, *one.progress.end_s]
    place = _axes(canvas, plot, "test accuracy over simulated time (s)", end_s, [0.0, 0.5, 1.0], percent)
    canvas.dashed(place(0.0, target), place(end_s, target), ALERT, 1.5)
    points = [place(*point) for point in zip(times, one.progress.accuracy, strict=True)]
    canvas.line(points, colour, 2)
    canvas.circle(points[-1], 4, colour)


def _draw_latencies(canvas: Canvas, plot: Box, one: Slice, colour: str, end_s: float) -> None:
    """A dot for each round; late ones are red, above the dashed deadline."""
    deadline_s, latencies = one.row.deadline_s, one.progress.latencies_s
    _, step, *_ = marks = ticks(1.1 * max([*latencies, deadline_s or 0.0, 1e-9]), 3)
    most = marks[-1] + step
    place = _axes(canvas, plot, "latency of rounds (s)", end_s, [*marks, most], lambda value: f"{value:g}", most)
    if deadline_s is not None:
        canvas.dashed(place(0.0, deadline_s), place(end_s, deadline_s), ALERT, 1.5)
    for time_s, latency_s in zip(one.progress.end_s, latencies, strict=True):
        late = one.is_late(latency_s)
        canvas.circle(place(time_s, latency_s), 3.5 if late else 2.5, ALERT if late else colour)


def _axes(
    canvas: Canvas,
    plot: Box,
    title: str,
    end_s: float,
    marks: list[float],
    said: Callable[[float], str],
    most: float = 1.0,
) -> Callable[[float, float], tuple[float, float]]:
    """Draws axes of simulated time and of what is from 0 to `most`; returns where a point is."""

    def place(time_s: float, value: float) -> tuple[float, float]:
        return plot.left + plot.width * time_s / end_s, plot.bottom - plot.height * value / most

    canvas.text((plot.left, plot.top - 13), title, 12, MUTED)
    for value in marks:
        _, y = place(0.0, value)
        canvas.line([(plot.left, y), (plot.right, y)], GRID)
        canvas.text((plot.left - 8, y), said(value), 11, MUTED, "rm")
    for time_s in ticks(end_s, 5):
        x, y = place(time_s, 0.0)
        canvas.line([(x, y), (x, y + 4)], FAINT)
        canvas.text((x, y + 12), f"{time_s:g}", 11, MUTED, "mm")
    return place
