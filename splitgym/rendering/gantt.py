"""The round's timeline: what is busy when, in a row for each client, and which client the others wait for."""

from typing import NamedTuple

import numpy as np

from splitgym.frameworks.segments import Weights
from splitgym.rendering.canvas import Box, Canvas, text_width
from splitgym.rendering.palette import ALERT, BLUE, EMPTY, FAINT, GRID, INK, MUTED, PALE_BLUE, look
from splitgym.rendering.path import busy_in
from splitgym.rendering.scene import Role, Scene, owned
from splitgym.rendering.timeline import SERVER, Bar, bars, stages_shown, straggler, waits
from splitgym.rendering.units import quantity, ticks

NAME, SPEED, GAIN, BAND, PLOT = 14, 116, 174, 186, 326
"""Where the columns are, pixels from the left edge of the card: left edge of the names, right edges of speed and gain,
left edges of the subchannels and of the bars."""

BAND_WIDTH = 124
"""Pixels of the column of subchannels, at most."""

TALLEST, SMALLEST_TEXT = 52, 7
"""Pixels: of a row, at most; of letters, at least."""

BREAK = 3
"""Pixels from the edge of a bar to the mark that it goes on in another step."""

STAGES = SERVER - 1
"""The row of the stages on the critical path, above the server's."""

NAMES = {STAGES: "critical path", SERVER: "server"}

LAST = "last one ready"


class _Chart(NamedTuple):
    """Where rows and times are."""

    card: Box
    plot: Box
    height: float
    """Of a row, pixels."""
    number: dict[int, int]
    """Of each row, from the top."""
    end_s: float
    """At the right edge of the plot."""

    def x(self, time_s: float) -> float:
        return self.plot.left + self.plot.width * time_s / self.end_s

    def row(self, row: int, margin: float = 0.0) -> Box:
        """The row from edge to edge of the plot, without margins above and below."""
        top = self.plot.top + self.height * self.number[row]
        return self.plot._replace(top=top + margin, bottom=top + self.height - margin)

    def middle(self, row: int) -> float:
        return self.plot.top + self.height * (self.number[row] + 0.5)

    @property
    def text_size(self) -> float:
        return min(12.0, 0.8 * self.height)

    @property
    def margin(self) -> float:
        """Above and below bars."""
        return min(3.0, 0.12 * self.height)


def draw_gantt(canvas: Canvas, card: Box, scene: Scene) -> None:
    """Draws the timeline into a card."""
    canvas.card(card, "Timeline")
    _draw_legend(canvas, card, scene)
    chart = _chart(card, scene)
    _draw_columns(canvas, chart, scene)
    if scene.played is None:
        canvas.text((chart.plot.left, chart.plot.top - 10), "no round has been played yet", 11, MUTED)
    else:
        _draw_axis(canvas, chart)
        _draw_ready(canvas, chart, scene)
        for bar in (*_stages(scene), *bars(scene)):
            _draw_bar(canvas, chart, scene, bar)
        _draw_last(canvas, chart, scene)
    _draw_who_is_out(canvas, chart, scene)


def _chart(card: Box, scene: Scene) -> _Chart:
    rows = [STAGES, SERVER, *scene.clients]
    plot = card.within(PLOT, 60, 24, 30)
    height = min(TALLEST, plot.height / len(rows))
    end_s = 1.0 if scene.played is None else float(scene.played.cost.latency_s)
    number = {row: place for place, row in enumerate(rows)}
    return _Chart(card, plot._replace(bottom=plot.top + height * len(rows)), height, number, end_s)


def _stages(scene: Scene) -> list[Bar]:
    """What the latency is made of, as bars one after the other."""
    if scene.played is None:
        return []
    cost = scene.played.cost
    asynchrony = scene.state.system.asynchrony
    # A step of an asynchronous framework begins with what is on its way back.
    first = 0 if asynchrony is None else asynchrony.return_row
    ends = np.cumsum(np.roll(cost.stage_s, -first)).tolist()
    stages = (*cost.stages[first:], *cost.stages[:first])
    spans = zip(stages, [0.0, *ends[:-1]], ends, strict=True)
    return [Bar(STAGES, stage, start, stop) for stage, start, stop in spans if stop > start]


def _draw_bar(canvas: Canvas, chart: _Chart, scene: Scene, bar: Bar) -> None:
    """A bar with the name of the node of a path, or the short name of its stage, if there is room."""
    style, left, right = look(bar.stage), chart.x(bar.start_s), chart.x(bar.stop_s)
    box = chart.row(bar.row, chart.margin)._replace(left=left, right=right)
    canvas.rectangle(box, style.colour)
    for edge, is_open in ((left + BREAK, bar.begun_before), (right - BREAK, bar.goes_on)):
        if is_open and right - left > 2 * BREAK:
            canvas.dashed((edge, box.top), (edge, box.bottom), INK, 2, 3)
    size = min(12.0, 0.62 * chart.height)
    for name in (busy_in(scene, bar.stage), style.short) if size >= SMALLEST_TEXT else ():
        if name and text_width(name, size) + 6 < right - left:
            canvas.text(((left + right) / 2, chart.middle(bar.row)), name, size, style.text_colour, "mm")
            break


def _draw_ready(canvas: Canvas, chart: _Chart, scene: Scene) -> None:
    """Lines down the plot where the last of those that work side by side is ready."""
    for wait in waits(scene):
        if wait.others:
            x = chart.x(wait.stop_s)
            canvas.dashed((x, chart.row(SERVER).top), (x, chart.plot.bottom), ALERT, 1, 3)


def _draw_last(canvas: Canvas, chart: _Chart, scene: Scene) -> None:
    """Frames around what the last one did until it was ready."""
    for wait in waits(scene):
        if wait.others:
            frame = chart.row(wait.last)._replace(left=chart.x(wait.start_s) - 1, right=chart.x(wait.stop_s) + 1)
            canvas.rectangle(frame, None, ALERT, 2 if chart.height > 12 else 1)


def _draw_who_is_out(canvas: Canvas, chart: _Chart, scene: Scene) -> None:
    """Says in the rows of clients that did not take part why."""
    if chart.text_size < SMALLEST_TEXT:
        return
    for client in scene.clients:
        role, y = scene.role(client), chart.middle(client)
        if role is Role.TIMED_OUT:
            canvas.text((chart.plot.right - 8, y), "dropped: timed out", chart.text_size, ALERT, "rm", bold=True)
        elif role not in (Role.TOOK_PART, Role.IN_FLIGHT):
            colour = ALERT if role in (Role.WITHOUT_SUBCHANNEL, Role.WITHOUT_MEMORY) else MUTED
            canvas.text((chart.plot.left + 8, y), role.value, chart.text_size, colour)


def _draw_axis(canvas: Canvas, chart: _Chart) -> None:
    """Seconds, or milliseconds of a short round."""
    plot = chart.plot
    canvas.line([(plot.left, plot.bottom), (plot.right, plot.bottom)], MUTED)
    unit, per_second = ("seconds", 1.0) if chart.end_s >= 1 else ("milliseconds", 1e3)
    canvas.text((plot.left, plot.top - 10), f"{unit} since the round began", 11, MUTED)
    for value in ticks(chart.end_s * per_second, 8):
        x = chart.x(value / per_second)
        canvas.line([(x, plot.top), (x, plot.bottom + 4)], GRID)
        canvas.text((x, plot.bottom + 13), f"{value:g}", 11, MUTED, "mm")


def _draw_columns(canvas: Canvas, chart: _Chart, scene: Scene) -> None:
    """Beside the bars: number, speed and gain of each client, and which subchannels it has."""
    left, head = chart.card.left, chart.plot.top - 10
    canvas.text((left + BAND, head), "subchannels, power", 11, MUTED)
    if chart.text_size < SMALLEST_TEXT:
        lines = (*NAMES.values(), f"clients {scene.clients[0]} to {scene.clients[-1]}")
        for number, line in enumerate(lines):
            canvas.text((left + NAME, head + 16 * (1 + number)), line, 11, MUTED)
    else:
        canvas.text((left + NAME, head), "client", 11, MUTED)
        canvas.text((left + SPEED, head), "speed", 11, MUTED, "rm")
        canvas.text((left + GAIN, head), "gain", 11, MUTED, "rm")
        _draw_labels(canvas, chart, scene)
    _draw_band(canvas, chart, scene)


def _draw_labels(canvas: Canvas, chart: _Chart, scene: Scene) -> None:
    """Names of the rows; the straggler's stands out."""
    left, size, slow = chart.card.left, chart.text_size, straggler(scene)
    for row, name in NAMES.items():
        canvas.text((left + NAME, chart.middle(row)), name, size, INK)
    canvas.text((left + SPEED, chart.middle(SERVER)), quantity(scene.state.server_hz, "Hz"), size, MUTED, "rm")
    for client in scene.clients:
        y, role = chart.middle(client), scene.role(client)
        colour = ALERT if client == slow else FAINT if role is Role.UNAVAILABLE else INK
        canvas.text((left + NAME, y), f"{client}", size, colour, bold=client == slow)
        canvas.text((left + SPEED, y), quantity(scene.state.client_hz[client], "Hz"), size, MUTED, "rm")
        canvas.text((left + GAIN, y), f"{scene.gain_db(client):.0f} dB", size, MUTED, "rm")


def _draw_band(canvas: Canvas, chart: _Chart, scene: Scene) -> None:
    """A cell for each own subchannel, filled up to its power density over the highest one."""
    density = owned(scene)
    highest, step = np.nanmax(density, initial=0.0), min(12.0, BAND_WIDTH / density.shape[1])
    begin, gap = chart.card.left + BAND, min(1.0, 0.2 * step)
    for client in scene.clients:
        row = chart.row(client, 0.12 * chart.height)
        canvas.rectangle(row._replace(left=begin, right=begin + step * density.shape[1]), EMPTY)
        for subchannel in np.flatnonzero(np.isfinite(density[client])).tolist():
            left = begin + step * subchannel
            cell = row._replace(left=left, right=left + step - gap)
            canvas.rectangle(cell, PALE_BLUE)
            if density[client, subchannel] > 0:
                share = float(density[client, subchannel] / highest)
                canvas.rectangle(cell._replace(top=cell.bottom - share * cell.height), BLUE)


def _draw_legend(canvas: Canvas, card: Box, scene: Scene) -> None:
    """What the colours are, of the stages that the framework has, and the mark of the last client."""
    # Copies of common units are fetched, and nothing moves.
    moves = not any(segment.weights is Weights.FETCHED for segment in scene.framework.segments)
    styles = dict.fromkeys(look(stage) for stage in (*stages_shown(scene), *(["migration"] if moves else [])))
    x, y = card.right - 16, card.top + 18
    if any(wait.others for wait in waits(scene)):
        canvas.text((x, y), LAST, 12, MUTED, "rm")
        x -= text_width(LAST, 12) + 19
        canvas.rectangle(Box(x, y - 6, x + 14, y + 6), None, ALERT, 2)
    for style in reversed(styles):
        x -= text_width(style.name, 12) + 14
        canvas.text((x, y), style.name, 12, MUTED)
        x -= 17
        canvas.rectangle(Box(x, y - 6, x + 13, y + 6), style.colour)
