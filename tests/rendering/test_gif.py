"""GIFs show the frames that were given, are written as these come, and replace the former file when they are whole."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageColor, ImageSequence

from splitgym.rendering.gif import write_gif
from splitgym.rendering.palette import COLOURS

PALETTE = np.array([ImageColor.getrgb(colour) for colour in COLOURS], np.uint8)
SHAPE = (9, 17)
frames = st.lists(arrays(np.uint8, SHAPE, elements=st.integers(0, 2)), min_size=1, max_size=5)


def shown(path):
    """Frames and for how long each stands, ms, as Pillow reads them."""
    with Image.open(path) as gif:
        return [(np.array(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]


@given(numbers=frames)
def test_frames_are_shown_as_they_are_in_the_colours_of_the_palette(numbers, tmp_path_factory):
    """Also those that are as the one before, or differ from it in a corner."""
    path = tmp_path_factory.getbasetemp() / "frames.gif"
    given_frames = [PALETTE[colours] for colours in numbers]
    assert write_gif(path, iter(given_frames), 5) == len(given_frames)
    found = shown(path)
    assert [duration for _, duration in found] == [200] * (len(found) - 1) + [3000]
    assert all(np.array_equal(frame, one) for (frame, _), one in zip(found, given_frames, strict=True))


def test_frames_are_written_as_they_come(tmp_path):
    frames = []

    def coming():
        for number in range(40):
            frame = np.full((*SHAPE, 3), number, np.uint8)
            frames.append(weakref.ref(frame))
            assert sum(one() is not None for one in frames) <= 4
            yield frame

    assert write_gif(tmp_path / "frames.gif", coming(), 5) == 40


def test_a_gif_that_fails_leaves_the_former_one(tmp_path):
    path = tmp_path / "frames.gif"
    write_gif(path, [PALETTE[np.zeros(SHAPE, int)]], 5)
    before = path.read_bytes()

    def failing():
        yield PALETTE[np.ones(SHAPE, int)]
        raise MemoryError

    with pytest.raises(MemoryError):
        write_gif(path, failing(), 5)
    with pytest.raises(ValueError, match="frames holds none, allowed: one or more"):
        write_gif(path, [], 5)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
