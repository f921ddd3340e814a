"""Frames as an animated GIF."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitgym.rendering.pillow import Image

COLOURS = 64
"""Of all frames together: the pictures are flat, and fewer colours make smaller files."""

LAST_S = 3.0
"""How long the last frame stands, s."""


def write_gif(path: Path, frames: Iterable[NDArray[np.uint8]], frames_per_s: float) -> int:
    """Writes an endless animation; every frame is kept, also one that equals the one before.

    Args:
        path: Of the file.
        frames: [height, width, 3] each, of one size.
        frames_per_s: How fast.

    Returns:
        Number of frames.
    """
    first, *others = (Image.fromarray(frame) for frame in frames)
    last = others[-1] if others else first
    palette = last.quantize(COLOURS, dither=Image.Dither.NONE)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in (first, *others)]
    shown_ms = [round(1000 / frames_per_s)] * len(others) + [round(1000 * LAST_S)]
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=shown_ms, loop=0, optimize=False)
    return len(flat)
