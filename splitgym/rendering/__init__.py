"""Pictures of rounds, as pixels and as text; Pillow is loaded with the first frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.rendering.scene import Played, Scene
from splitgym.rendering.text import text

__all__ = ["RENDER_MODES", "Played", "Scene", "frame", "render", "text"]


def frame(scene: Scene) -> NDArray[np.uint8]:
    """The scene as an image: [720, 1280, 3], red, green, blue.

    Raises:
        ImportError: Pillow is missing; the message says how to install it.
    """
    from splitgym.rendering.picture import picture  # noqa: PLC0415 - only drawing needs Pillow

    return np.array(picture(scene))


_DRAWN = {"rgb_array": frame, "ansi": text}

RENDER_MODES = tuple(_DRAWN)
"""In what form a scene can be had."""


def render(scene: Scene, mode: str) -> Any:
    """The scene in one of `RENDER_MODES`: an array of pixels or a text of several lines."""
    return _DRAWN[mode](scene)
