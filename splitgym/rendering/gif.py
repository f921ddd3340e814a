"""Frames as an animated GIF, which is written frame by frame: however many there are, two of them are in memory."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools
from splitgym.outputs import write
from splitgym.rendering.palette import COLOURS
from splitgym.rendering.pillow import GifImagePlugin, Image, ImageColor

BLENDS = 44
"""Colours at edges and in letters, beside those of the palette: fewer make smaller files."""

TRANSPARENT = len(COLOURS) + BLENDS
"""Number of the colour that is none."""

LAST_S = 3.0
"""How long the last frame stands, s."""

END = b";"
"""Last byte of a GIF."""


def write_gif(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_s: float) -> int:
    """Writes an endless animation; the former file stays until the new one is whole.

    Args:
        path: Of the file.
        frames: [height, width, 3] each, of one size.
        frames_per_s: How fast.

    Returns:
        Number of frames.

    Raises:
        ValueError: there are no frames.
    """
    written: list[int] = []
    write(path, lambda file: written.append(_write(file, frames, round(1000 / frames_per_s))))
    return written[0]


def _write(file: BinaryIO, frames: Iterable[NDArray[np.uint8]], shown_ms: int) -> int:
    """Writes all frames with one palette; returns how many there were."""
    images = map(Image.fromarray, frames)
    # The first one is from before the first round, and lacks much of what the others show.
    begin = list(islice(images, 2))
    if not begin:
        raise ValueError("frames holds none, allowed: one or more")
    palette = _palette(begin[-1])
    flat = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in chain(begin, images))
    count, before = 0, None
    for image, is_last in _with_last(flat):
        shown = round(1000 * LAST_S) if is_last else shown_ms
        file.writelines(_whole(image, shown) if before is None else _change(before, image, shown))
        count, before = count + 1, image
    file.write(END)
    return count


def _with_last(images: Iterator[Image.Image]) -> Iterator[tuple[Image.Image, bool]]:
    """Each image, and whether it is the last one."""
    held = next(images)
    for image in images:
        yield held, False
        held = image
    yield held, True


def _whole(image: Image.Image, shown_ms: int) -> list[bytes]:
    """The head of a file, with its first frame."""
    header, _ = GifImagePlugin.getheader(image, info={"loop": 0})
    return [*header, *GifImagePlugin.getdata(image, duration=shown_ms)]


def _change(before: Image.Image, image: Image.Image, shown_ms: int) -> list[bytes]:
    """A later frame: the rectangle of what differs from the one before, in which all else is transparent."""
    colours = np.array(image)
    differs = colours != np.array(before)
    colours[~differs] = TRANSPARENT
    top, bottom = _first_and_end(differs.any(1))
    left, right = _first_and_end(differs.any(0))
    changed = Image.fromarray(colours[top:bottom, left:right])
    return GifImagePlugin.getdata(changed, (left, top), duration=shown_ms, transparency=TRANSPARENT)


def _first_and_end(differs: Bools) -> tuple[int, int]:
    """Where differences begin and end; one place where there are none."""
    places = np.flatnonzero(differs)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 1)


def _palette(image: Image.Image) -> Image.Image:
    """An image whose palette holds the colours that are drawn with, as they are, and blends of them."""
    drawn = [channel for colour in COLOURS for channel in ImageColor.getrgb(colour)]
    blends = image.quantize(BLENDS, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(drawn + blends[: 3 * BLENDS])
    return palette
