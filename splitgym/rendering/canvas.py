"""A canvas with smooth edges and evenly spaced letters: everything is drawn larger than it will be."""

from collections.abc import Sequence
from functools import lru_cache
from math import hypot
from typing import NamedTuple

from splitgym.rendering.palette import CARD, GRID, INK, MUTED
from splitgym.rendering.pillow import Image, ImageDraw, ImageFont

LARGER = 2
"""So many times as large."""

BOLD = 0.25
"""Width that the strokes of a bold text gain on each side, pixels."""

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle, pixels from the upper left corner of the image."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels."""
        return self.bottom - self.top

    def within(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """What is left without margins of so many pixels."""
        return Box(self.left + left, self.top + top, self.right - right, self.bottom - bottom)


class Canvas:
    """An image in the making.

    Args:
        width: Pixels.
        height: Pixels.
        background: Colour.
    """

    def __init__(self, width: int, height: int, background: str) -> None:
        self._large = Image.new("RGB", (LARGER * width, LARGER * height), background)
        self._draw = ImageDraw.Draw(self._large)

    def image(self) -> Image.Image:
        """All that was drawn."""
        return self._large.reduce(LARGER)

    def card(self, box: Box, title: str) -> None:
        """A white card with a title in its upper left corner."""
        self.rectangle(box, CARD, GRID, 1, radius=8)
        self.text((box.left + 14, box.top + 18), title, 14, INK, bold=True)

    def rectangle(
        self, box: Box, fill: str | None, outline: str | None = None, width: float = 1, radius: float = 0
    ) -> None:
        """A rectangle, at least a pixel wide and high, with corners of that radius."""
        left, top = round(LARGER * box.left), round(LARGER * box.top)
        right = max(round(LARGER * box.right), left + LARGER) - 1
        bottom = max(round(LARGER * box.bottom), top + LARGER) - 1
        corners, thickness = (left, top, right, bottom), round(LARGER * width)
        if radius:
            self._draw.rounded_rectangle(corners, LARGER * radius, fill, outline, thickness)
        else:
            self._draw.rectangle(corners, fill, outline, thickness)

    def line(self, points: Sequence[Point], colour: str, width: float = 1) -> None:
        """A line through some points."""
        self._draw.line(
            [(LARGER * x, LARGER * y) for x, y in points], colour, max(round(LARGER * width), 1), joint="curve"
        )

    def dashed(self, start: Point, end: Point, colour: str, width: float = 1, dash: float = 4) -> None:
        """A straight dashed line; dashes and gaps are `dash` pixels long."""
        (left, top), (right, bottom) = start, end
        length = hypot(right - left, bottom - top) or 1.0
        for number in range(int(length / (2 * dash)) + 1):
            begin, stop = 2 * dash * number / length, min((2 * number + 1) * dash / length, 1.0)
            self.line(
                [(left + part * (right - left), top + part * (bottom - top)) for part in (begin, stop)], colour, width
            )

    def circle(
        self, centre: Point, radius: float, fill: str | None, outline: str | None = None, width: float = 1
    ) -> None:
        """A circle."""
        x, y = centre
        corners = tuple(LARGER * edge for edge in (x - radius, y - radius, x + radius, y + radius))
        self._draw.ellipse(corners, fill, outline, max(round(LARGER * width), 1))

    def dashed_circle(self, centre: Point, radius: float, colour: str, width: float = 1, dashes: int = 8) -> None:
        """The outline of a circle, with gaps."""
        x, y = centre
        corners = tuple(LARGER * edge for edge in (x - radius, y - radius, x + radius, y + radius))
        for number in range(dashes):
            begin = 360 * number / dashes
            self._draw.arc(corners, begin, begin + 220 / dashes, colour, max(round(LARGER * width), 1))

    def polygon(self, points: Sequence[Point], fill: str, outline: str | None = None) -> None:
        """A filled polygon."""
        self._draw.polygon([(LARGER * x, LARGER * y) for x, y in points], fill, outline, LARGER)

    def text(
        self, place: Point, text: str, size: float = 12, colour: str = MUTED, anchor: str = "lm", bold: bool = False
    ) -> None:
        """A line of text.

        Args:
            place: Where its anchor is.
            text: What it says.
            size: Of the font, pixels.
            colour: Of the letters.
            anchor: What of it is there: "lm" the left end, "mm" the middle, "rm" the right end, at half its height.
            bold: With thicker strokes.
        """
        letters, left, top = _letters(text, size, bold)
        x, y = place
        x -= {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * text_width(text, size, bold)
        self._draw.bitmap((round(LARGER * x) + left, round(LARGER * y) + top), letters, colour)


@lru_cache(maxsize=1024)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Pixels that a text takes."""
    return _font(size).getlength(text) / LARGER + (2 * BOLD if bold else 0)


@lru_cache(maxsize=1024)
def _letters(text: str, size: float, bold: bool) -> tuple[Image.Image, int, int]:
    """A text as a mask, and where its left upper corner is, from the left end at half its height.

    Kept, because most texts of a frame are in the next one, too, and drawing them takes most of its time.
    """
    font, stroke = _font(size), LARGER * BOLD if bold else 0
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="lm", stroke_width=stroke))
    mask = Image.new("L", (right - left + 4, bottom - top + 4))  # strokes go a little beyond their box
    ImageDraw.Draw(mask).text((2 - left, 2 - top), text, 255, font, "lm", stroke_width=stroke)
    return mask, left - 2, top - 2


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(LARGER * size)
