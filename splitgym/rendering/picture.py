"""The whole frame: what round it is and what it came to, above four cards."""

from splitgym.rendering.accuracy import draw_accuracy
from splitgym.rendering.canvas import Box, Canvas, text_width
from splitgym.rendering.cell import draw_cell
from splitgym.rendering.decision import draw_decision
from splitgym.rendering.gantt import draw_gantt
from splitgym.rendering.palette import GREEN, INK, MUTED, PAGE
from splitgym.rendering.pillow import Image
from splitgym.rendering.scene import Scene
from splitgym.rendering.stations import draw_stations
from splitgym.rendering.units import percent, quantity

WIDTH, HEIGHT = 1280, 720
"""Pixels; even, as video encoders want it."""

GAP = 10
LEFT, RIGHT = Box(GAP, 72, 440, 0), Box(440 + GAP, 72, WIDTH - GAP, 0)
UPPER, LOWER = (72, 522), (522 + GAP, HEIGHT - GAP)


def picture(scene: Scene) -> Image.Image:
    """Draws a scene."""
    canvas = Canvas(WIDTH, HEIGHT, PAGE)
    _draw_head(canvas, scene)
    has_map = scene.scenario.stations or scene.scenario.cell.mobility == "road"
    draw_ground = draw_stations if has_map else draw_cell
    draw_ground(canvas, Box(LEFT.left, UPPER[0], LEFT.right, UPPER[1]), scene)
    draw_gantt(canvas, Box(RIGHT.left, UPPER[0], RIGHT.right, UPPER[1]), scene)
    draw_decision(canvas, Box(LEFT.left, LOWER[0], LEFT.right, LOWER[1]), scene)
    draw_accuracy(canvas, Box(RIGHT.left, LOWER[0], RIGHT.right, LOWER[1]), scene)
    return canvas.image()


def _draw_head(canvas: Canvas, scene: Scene) -> None:
    """Round and world on the left; on the right what it came to, as numbers."""
    teacher = {"train": "real training"}.get(scene.learner, scene.learner)
    names = (f"scenario {scene.scenario.name}", f"framework {scene.framework.name}", teacher)
    canvas.text((GAP + 6, 26), _which_round(scene), 26, INK, bold=True)
    canvas.text((GAP + 6, 53), "  ·  ".join(names), 14, MUTED)
    episode, latency = scene.scenario.episode, "-"
    if scene.played is not None:
        latency = quantity(scene.played.cost.latency_s, "s")
    reached = scene.accuracy[-1] >= episode.target_accuracy
    facts = (
        ("this round took", latency, INK),
        (f"simulated time, of {episode.time_budget_s:g} s", quantity(scene.elapsed_s[-1], "s"), INK),
        (
            f"test accuracy, target {100 * episode.target_accuracy:g} %{' reached' if reached else ''}",
            percent(scene.accuracy[-1]),
            GREEN if reached else INK,
        ),
    )
    x = WIDTH - GAP - 6.0
    for caption, value, colour in reversed(facts):
        canvas.text((x, 25), value, 24, colour, "rm", bold=True)
        canvas.text((x, 53), caption, 13, MUTED, "rm")
        x -= max(text_width(caption, 13), text_width(value, 24, bold=True)) + 36


def _which_round(scene: Scene) -> str:
    if not scene.round:
        return "Before the first round"
    return f"Round {scene.round} of {scene.scenario.episode.max_rounds}"
