"""Frames as an animated GIF."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitgym.rendering.palette import COLOURS
from splitgym.rendering.pillow import Image, ImageColor

BLENDS = 44
"""Colours at edges and in letters, beside those of the palette: fewer make smaller files."""

LAST_S = 3.0
"""How long the last frame stands, s."""


def write_gif(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_s: float) -> int:
    """Writes an endless animation.

    Args:
        path: Of the file.
        frames: [height, width, 3] each, of one size.
        frames_per_s: How fast.

    Returns:
        Number of frames.
    """
    first, *others = (Image.fromarray(frame) for frame in frames)
    last = others[-1] if others else first
    palette = _palette(last)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in (first, *others)]
    shown_ms = [round(1000 / frames_per_s)] * len(others) + [round(1000 * LAST_S)]
    # Optimised, a frame holds only the pixels that differ from the one before.
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=shown_ms, loop=0, optimize=True)
    return len(flat)


def _palette(image: Image.Image) -> Image.Image:
    """An image whose palette holds the colours that are drawn with, as they are, and blends of them."""
    drawn = [channel for colour in COLOURS for channel in ImageColor.getrgb(colour)]
    blends = image.quantize(BLENDS, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(drawn + blends[: 3 * BLENDS])
    return palette
