"""The round's timeline: who is busy with what when, in a row for each client, and whom the others wait for."""

from math import isfinite

import numpy as np

from splitgym.rendering.canvas import Box, Canvas, text_width
from splitgym.rendering.palette import ALERT, BLUE, FAINT, GRID, INK, MUTED, look
from splitgym.rendering.scene import Role, Scene, owned
from splitgym.rendering.timeline import SERVER, Bar, bars, straggler, waits
from splitgym.rendering.units import quantity, ticks

SPEED, GAIN, BAND, PLOT = 116, 174, 186, 326
"""Where the columns are, pixels from the left edge of the card: right edges of speed and gain; left edges of the
subchannels and of the bars."""

BAND_WIDTH = 124
"""Pixels of the column of subchannels, at most."""

STAGES, LAST = "critical path", "last: others wait"


def draw_gantt(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws the timeline into a card."""
    canvas.card(box, "Timeline")
    _draw_legend(canvas, box, scene)
    plot = Box(box.left + PLOT, box.top + 60, box.right - 24, box.bottom - 30)
    height = min(52.0, plot.height / (len(scene.clients) + 2))
    tops = {SERVER: plot.top + height}
    tops |= {client: plot.top + (2 + number) * height for number, client in enumerate(scene.clients)}
    plot = plot._replace(bottom=plot.top + (len(scene.clients) + 2) * height)
    end_s = 1.0 if scene.played is None else scene.played.cost.latency_s
    _draw_columns(canvas, box, scene, tops, height)
    _draw_axis(canvas, plot, end_s if scene.played is not None else None)
    for bar in [*_stages(scene, plot.top), *((tops[bar.row], bar) for bar in bars(scene))]:
        _draw_bar(canvas, plot, end_s, *bar, height)
    _draw_waits(canvas, plot, end_s, scene, tops, height)
    _draw_who_is_out(canvas, plot, scene, tops, height)
    if scene.played is None:
        canvas.text(((plot.left + plot.right) / 2, plot.top + height), "no round has been played yet", 13, MUTED, "mm")


def _stages(scene: Scene, top: float) -> list[tuple[float, Bar]]:
    """What the latency is made of, as bars one after the other in the first row."""
    if scene.played is None:
        return []
    cost = scene.played.cost
    ends = np.cumsum(cost.stage_s).tolist()
    return [
        (top, Bar(SERVER, stage, start, stop))
        for stage, start, stop in zip(cost.stages, [0.0, *ends], ends, strict=False)
        if stop > start
    ]


def _draw_bar(canvas: Canvas, plot: Box, end_s: float, top: float, bar: Bar, height: float) -> None:
    """A bar with the short name of its stage, if there is room."""
    style, margin = look(bar.stage), min(3.0, 0.12 * height)
    left, right = (plot.left + plot.width * time_s / end_s for time_s in (bar.start_s, bar.stop_s))
    canvas.rectangle(Box(left, top + margin, right, top + height - margin), style.colour)
    size = min(12.0, 0.62 * height)
    if size >= 8 and text_width(style.short, size) + 6 < right - left:
        canvas.text(((left + right) / 2, top + height / 2), style.short, size, style.text_colour, "mm")


def _draw_waits(canvas: Canvas, plot: Box, end_s: float, scene: Scene, tops: dict[int, float], height: float) -> None:
    """Frames what the last client did until all others had waited for it, with a line down to where they stood."""
    for wait in waits(scene):
        if wait.others:
            left, right = (plot.left + plot.width * time_s / end_s for time_s in (wait.start_s, wait.stop_s))
            canvas.dashed((right, plot.top + height), (right, plot.bottom), ALERT, 1, 3)
            top = tops[wait.last]
            canvas.rectangle(Box(left - 1, top, right + 1, top + height), None, ALERT, 2 if height > 12 else 1)


def _draw_who_is_out(canvas: Canvas, plot: Box, scene: Scene, tops: dict[int, float], height: float) -> None:
    """Says in the rows of clients that did not take part why."""
    size = min(12.0, 0.8 * height)
    if size < 7:
        return
    for client in scene.clients:
        role, y = scene.role(client), tops[client] + height / 2
        if role is Role.TIMED_OUT:
            canvas.text((plot.right - 8, y), "left out: timed out", size, ALERT, "rm", bold=True)
        elif role is Role.WITHOUT_SUBCHANNEL:
            canvas.text((plot.left + 8, y), role.value, size, ALERT)
        elif role is not Role.TOOK_PART and (role is Role.AWAY or scene.played is not None):
            canvas.text((plot.left + 8, y), role.value, size, MUTED)


def _draw_axis(canvas: Canvas, plot: Box, end_s: float | None) -> None:
    """Seconds, or milliseconds of a short round; without a round an empty axis."""
    canvas.line([(plot.left, plot.bottom), (plot.right, plot.bottom)], MUTED)
    if end_s is None:
        return
    unit, per_second = ("seconds", 1.0) if end_s >= 1 else ("milliseconds", 1e3)
    for value in ticks(end_s * per_second, 8):
        x = plot.left + plot.width * value / per_second / end_s
        canvas.line([(x, plot.top), (x, plot.bottom + 4)], GRID)
        canvas.text((x, plot.bottom + 13), f"{value:g}", 11, MUTED, "mm")
    canvas.text((plot.left, plot.top - 10), f"{unit} since the round began", 11, MUTED)


def _draw_columns(canvas: Canvas, box: Box, scene: Scene, tops: dict[int, float], height: float) -> None:
    """Beside the bars: number, speed and gain of each client, and which subchannels it has."""
    head, size = box.top + 50, min(12.0, 0.8 * height)
    canvas.text((box.left + BAND, head), "subchannels, power", 11, MUTED)
    if size < 7:
        for number, line in enumerate((STAGES, "server", f"clients {scene.clients[0]} to {scene.clients[-1]}")):
            canvas.text((box.left + 14, head + 16 * (1 + number)), line, 11, MUTED)
    else:
        canvas.text((box.left + 14, head), "client", 11, MUTED)
        canvas.text((box.left + SPEED, head), "speed", 11, MUTED, "rm")
        canvas.text((box.left + GAIN, head), "gain", 11, MUTED, "rm")
        _draw_labels(canvas, box, scene, tops, height, size)
    density = owned(scene)
    highest = np.nanmax(density, initial=0.0)
    step = min(12.0, BAND_WIDTH / density.shape[1])
    for client in scene.clients:
        left, row = box.left + BAND, Box(0, tops[client] + 0.12 * height, 0, tops[client] + 0.88 * height)
        canvas.rectangle(row._replace(left=left, right=left + step * density.shape[1]), "#f1f3f5")
        for subchannel in np.flatnonzero(np.isfinite(density[client])).tolist():
            _draw_subchannel(canvas, row, left + step * subchannel, step, density[client, subchannel] / highest)


def _draw_subchannel(canvas: Canvas, row: Box, left: float, step: float, share: float) -> None:
    """A cell for an own subchannel, filled up to its power density over the highest one."""
    right = left + step - min(1.0, 0.2 * step)
    canvas.rectangle(row._replace(left=left, right=right), "#b9d7e8")
    if isfinite(share) and share > 0:
        canvas.rectangle(Box(left, row.bottom - share * row.height, right, row.bottom), BLUE)


def _draw_labels(canvas: Canvas, box: Box, scene: Scene, tops: dict[int, float], height: float, size: float) -> None:
    """Names of the rows; the straggler's stands out."""
    slow = straggler(scene)
    canvas.text((box.left + 14, tops[SERVER] - height / 2), STAGES, size, INK)
    canvas.text((box.left + 14, tops[SERVER] + height / 2), "server", size, INK)
    canvas.text((box.left + SPEED, tops[SERVER] + height / 2), quantity(scene.state.server_hz, "Hz"), size, MUTED, "rm")
    for client in scene.clients:
        y, role = tops[client] + height / 2, scene.role(client)
        colour = ALERT if client == slow else FAINT if role is Role.AWAY else INK
        canvas.text((box.left + 14, y), f"{client}", size, colour, bold=client == slow)
        canvas.text((box.left + SPEED, y), quantity(scene.state.client_hz[client], "Hz"), size, MUTED, "rm")
        canvas.text((box.left + GAIN, y), f"{scene.gain_db(client):.0f} dB", size, MUTED, "rm")


def _draw_legend(canvas: Canvas, box: Box, scene: Scene) -> None:
    """What the colours are, of the stages that the framework has, and the mark of who is last."""
    program = scene.state.system.program
    styles = dict.fromkeys(look(stage) for stage in (*program.stages, "migration"))
    x = box.right - 16
    if any(wait.others for wait in waits(scene)):
        canvas.text((x, box.top + 18), LAST, 12, MUTED, "rm")
        x -= text_width(LAST, 12) + 19
        canvas.rectangle(Box(x, box.top + 12, x + 14, box.top + 24), None, ALERT, 2)
    for style in reversed(styles):
        x -= text_width(style.name, 12) + 14
        canvas.text((x, box.top + 18), style.name, 12, MUTED)
        x -= 17
        canvas.rectangle(Box(x, box.top + 12, x + 13, box.top + 24), style.colour)
