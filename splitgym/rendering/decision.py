"""What was decided and what it cost: where the network is cut, codecs, phi, the selected clients, joules and bits."""

from splitgym.rendering.canvas import Box, Canvas, text_width
from splitgym.rendering.palette import ALERT, BLUE, CARD, INK, MUTED, PALE_BLUE, SOFT_GREY
from splitgym.rendering.path import Stop, path
from splitgym.rendering.scene import Played, Scene
from splitgym.rendering.words import batch_sizes, codecs, facts, tail_units, units_on_clients, warnings

GAP = 8
"""Pixels between texts in a line."""


def draw_decision(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws the decision into a card."""
    canvas.card(box, "Decision")
    if scene.played is None:
        canvas.text((box.left + 14, box.top + 44), "none yet", 13, MUTED)
        _draw_network(canvas, box.within(14, 66, 14, 0), scene, None)
        return
    _draw_network(canvas, box.within(14, 34, 14, 0), scene, scene.played)
    for number, (name, value) in enumerate(facts(scene, scene.played)):
        x = box.left + 14 + 134 * (number % 3)
        y = box.top + 92 + 36 * (number // 3)
        canvas.text((x, y), name, 11, MUTED)
        canvas.text((x, y + 15), value, 13, INK, bold=True)
    canvas.text((box.left + 14, box.bottom - 13), "; ".join(warnings(scene, scene.played)), 12, ALERT, bold=True)


def _draw_network(canvas: Canvas, box: Box, scene: Scene, played: Played | None) -> None:
    """The network's units in a row: those on all clients in blue, those on some of them in a paler one."""
    units = scene.state.system.units
    fewest, most = (0, 0) if played is None else units_on_clients(scene, played)
    behind = units if played is None else units - tail_units(scene, played)
    step = box.width / units
    for number in range(units):
        left = box.left + step * number
        fill = BLUE if number < fewest or number >= behind else PALE_BLUE if number < most else SOFT_GREY
        canvas.rectangle(Box(left, box.top, left + step - 3, box.top + 18), fill, radius=3)
        colour = CARD if fill == BLUE else INK
        canvas.text((left + step / 2 - 1.5, box.top + 9), f"{number + 1}", 11, colour, "mm")
    y = box.top + 32
    if played is None:
        canvas.text((box.left, y), f"network of {units} units, not cut yet", 12, MUTED)
        return
    own = " and ".join([_range(1, most)] + [_range(behind + 1, units)] * (behind < units))
    stops = path(scene, played)
    ends = f"on the clients: {own}", f"on the server: {_range(fewest + 1, behind)}"
    if len(stops) > 1:
        ends = f"on the clients: {own}", _draw_path(canvas, box._replace(top=y - 9, bottom=y + 9), stops)
    canvas.text((box.left, y), ends[0], 12, BLUE, bold=True)
    canvas.text((box.right - 3, y), ends[1], 12, MUTED, "rm", bold=True)
    left, right = box.left + text_width(ends[0], 12, True), box.right - 3 - text_width(ends[1], 12, True)
    names = codecs(scene, played) + [f"b = {sizes}" for sizes in (batch_sizes(scene, played),) if sizes]
    if names:
        canvas.text(((left + right) / 2, y), _chosen(names, right - left - 2 * GAP), 12, INK, "mm")
    for cut in sorted({fewest, most, behind, *(stop.last for stop in stops)} - {0, units}):
        x = box.left + step * cut - 1.5
        canvas.line([(x, box.top - 5), (x, box.top + 23)], INK, 2)


def _draw_path(canvas: Canvas, box: Box, stops: list[Stop]) -> str:
    """The nodes of a path as boxes with their units, in order, at the right edge; their number if there is no room.

    Returns:
        What is to be said there instead.
    """
    widths = [text_width(stop.words, 11) + 10 for stop in stops]
    if sum(widths) + GAP * len(stops) > 0.66 * box.width:
        return f"on {sum(stop.last >= stop.first for stop in stops)} servers"
    right = box.right - 3
    for stop, width in zip(reversed(stops), reversed(widths), strict=True):
        left, holds = right - width, stop.last >= stop.first
        canvas.rectangle(box._replace(left=left, right=right), SOFT_GREY if holds else CARD, MUTED, radius=3)
        canvas.text(((left + right) / 2, (box.top + box.bottom) / 2), stop.words, 11, INK if holds else MUTED, "mm")
        if stop is not stops[0]:
            middle = (box.top + box.bottom) / 2
            canvas.line([(left - GAP, middle), (left, middle)], MUTED)
        right = left - GAP
    return ""


def _chosen(names: list[str], width: float) -> str:
    """Codecs and other choices by name, or how many if that does not fit."""
    text = ", ".join(names)
    return text if text_width(text, 12) <= width else f"{len(names)} choices"


def _range(first: int, last: int) -> str:
    if last < first:
        return "none"
    return f"unit {first}" if first == last else f"units {first} to {last}"
