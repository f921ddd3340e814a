"""How far learning is: test accuracy over simulated time, and the target."""

from splitgym.rendering.canvas import Box, Canvas, text_width
from splitgym.rendering.palette import ALERT, BLUE, CARD, GRID, INK, MUTED
from splitgym.rendering.scene import Scene
from splitgym.rendering.units import percent, ticks


def draw_accuracy(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Draws the curve so far into a card."""
    canvas.card(box, "Test accuracy over simulated time (s)")
    plot = box.within(54, 40, 62, 34)
    end_s = _end_of_axis(scene)

    def place(time_s: float, accuracy: float) -> tuple[float, float]:
        return plot.left + plot.width * time_s / end_s, plot.bottom - plot.height * accuracy

    for accuracy in (0.0, 0.25, 0.5, 0.75, 1.0):
        left, y = place(0.0, accuracy)
        canvas.line([(left, y), (plot.right, y)], GRID)
        canvas.text((left - 8, y), f"{100 * accuracy:g} %", 11, MUTED, "rm")
    for time_s in ticks(end_s, 10):
        x, _ = place(time_s, 0.0)
        canvas.line([(x, plot.bottom), (x, plot.bottom + 4)], MUTED)
        canvas.text((x, plot.bottom + 13), f"{time_s:g}", 11, MUTED, "mm")
    _draw_target(canvas, place(0.0, scene.scenario.episode.target_accuracy), plot, scene)
    points = [place(*point) for point in zip(scene.elapsed_s.tolist(), scene.accuracy.tolist(), strict=True)]
    canvas.line(points, BLUE, 2)
    x, y = points[-1]
    canvas.circle((x, y), 4.5, BLUE)
    value = percent(scene.accuracy[-1])
    canvas.rectangle(Box(x + 8, y - 7, x + 12 + text_width(value, 12, bold=True), y + 7), CARD)
    canvas.text((x + 10, y), value, 12, INK, bold=True)


def _draw_target(canvas: Canvas, begin: tuple[float, float], plot: Box, scene: Scene) -> None:
    left, y = begin
    beside = y - 9 if y > plot.top + 20 else y + 9
    canvas.dashed((left, y), (plot.right, y), ALERT, 1.5)
    canvas.text((left + 6, beside), f"target {100 * scene.scenario.episode.target_accuracy:g} %", 12, ALERT)


def _end_of_axis(scene: Scene) -> float:
    """What the time axis shows, s: at least a twentieth of the budget, then a round value that grows now and then."""
    shown = max(1.1 * scene.elapsed_s[-1], scene.scenario.episode.time_budget_s / 20)
    return ticks(shown, 5)[-1] + ticks(shown, 5)[1]
