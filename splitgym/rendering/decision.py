"""What was decided and what it cost: where the network is cut, phi, the selected clients, joules and bits."""

from splitgym.rendering.canvas import Box, Canvas
from splitgym.rendering.palette import ALERT, BLUE, CARD, INK, MUTED, SOFT_GREY
from splitgym.rendering.scene import Scene
from splitgym.rendering.words import facts, tail_units, units_on_clients, warnings


def draw_decision(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws the decision into a card."""
    canvas.card(box, "Decision")
    if scene.played is None:
        canvas.text((box.left + 14, box.top + 44), "none yet", 13, MUTED)
        _draw_network(canvas, box.within(14, 66, 14, 0), scene, None)
        return
    ends = units_on_clients(scene, scene.played), tail_units(scene, scene.played)
    _draw_network(canvas, box.within(14, 34, 14, 0), scene, ends)
    for number, (name, value) in enumerate(facts(scene, scene.played)):
        x = box.left + 14 + 134 * (number % 3)
        y = box.top + 92 + 36 * (number // 3)
        canvas.text((x, y), name, 11, MUTED)
        canvas.text((x, y + 15), value, 13, INK, bold=True)
    canvas.text((box.left + 14, box.bottom - 13), "; ".join(warnings(scene, scene.played)), 12, ALERT, bold=True)


def _draw_network(canvas: Canvas, box: Box, scene: Scene, on_clients: tuple[int, int] | None) -> None:
    """The network's units in a row, those on the clients in blue; `on_clients`: how many first and last ones."""
    units = scene.state.system.units
    first, last = (0, 0) if on_clients is None else (on_clients[0], units - on_clients[1])
    step = box.width / units
    for number in range(units):
        left = box.left + step * number
        fill = SOFT_GREY if on_clients is None or first <= number < last else BLUE
        canvas.rectangle(Box(left, box.top, left + step - 3, box.top + 18), fill, radius=3)
        colour = CARD if fill == BLUE else INK
        canvas.text((left + step / 2 - 1.5, box.top + 9), f"{number + 1}", 11, colour, "mm")
    if on_clients is None:
        canvas.text((box.left, box.top + 32), f"network of {units} units, not cut yet", 12, MUTED)
        return
    own = " and ".join([_range(1, first)] + [_range(last + 1, units)] * (last < units))
    canvas.text((box.left, box.top + 32), f"on the clients: {own}", 12, BLUE, bold=True)
    canvas.text((box.right - 3, box.top + 32), f"on the server: {_range(first + 1, last)}", 12, MUTED, "rm", bold=True)
    for cut in {first, last} - {0, units}:
        x = box.left + step * cut - 1.5
        canvas.line([(x, box.top - 5), (x, box.top + 23)], INK, 2)


def _range(first: int, last: int) -> str:
    if last < first:
        return "none"
    return f"unit {first}" if first == last else f"units {first} to {last}"
