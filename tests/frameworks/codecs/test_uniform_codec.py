"""Uniform quantisation, against a plain decoder of its bytes and the law of its rounding."""

import struct

import numpy as np
import pytest
import torch
from coded import SHAPES, back, bits_of, chance, normal, numbers_in, relu, size, there
from hypothesis import given
from hypothesis import strategies as st

from splitgym.frameworks.codecs import codec

WIDTHS = (8, 4, 2)


def parts_of(payload, width, shape):
    """Steps, zeros and levels of the documented layout; the scale of each number, too."""
    scales = shape[1] if len(shape) > 2 else shape[0]
    raw = bytes(payload.tolist())
    steps = struct.unpack(f"<{scales}f", raw[: 4 * scales])
    zeros = list(raw[4 * scales : 5 * scales])
    levels = numbers_in(bits_of(payload[5 * scales :]), width, size(shape))
    index = np.indices(shape)[1 if len(shape) > 2 else 0].ravel().tolist()
    return steps, zeros, levels, index


def decoded(payload, width, shape):
    steps, zeros, levels, index = parts_of(payload, width, shape)
    return np.array([steps[s] * (level - zeros[s]) for level, s in zip(levels, index, strict=True)], np.float32)


@pytest.mark.parametrize("width", WIDTHS)
@given(shape=SHAPES, seed=st.integers(0, 9))
def test_a_plain_program_decodes_the_bytes_and_no_number_is_a_step_off(width, shape, seed):
    smashed = normal(shape, seed)
    for generator, most in ((chance(seed), 1.0), (None, 0.5)):
        payload = codec(f"uniform-{width}").encode(smashed, generator).payload
        found = decoded(payload, width, shape)
        assert codec(f"uniform-{width}").decode(payload, shape).smashed.numpy().ravel() == pytest.approx(
            found, rel=1e-6
        )
        steps, _, _, index = parts_of(payload, width, shape)
        error = np.abs(found - smashed.numpy().ravel())
        assert (error <= most * np.array(steps)[index] * 1.0001).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_rounding_is_right_on_average(width):
    rows, row = 40_000, torch.tensor([-0.9, -0.31, 0.0, 0.007, 0.52, 1.3])
    made = codec(f"uniform-{width}")
    payload = made.encode(row.expand(rows, -1), chance()).payload
    (step,) = set(struct.unpack(f"<{rows}f", bytes(payload[: 4 * rows].tolist())))
    found = made.decode(payload, (rows, 6)).smashed.double()
    # Of a number between two levels the standard deviation is at most half a step.
    assert ((found.mean(0) - row.double()).abs() < 5 * 0.5 * step / rows**0.5).all()
    assert (found[:, 2] == 0).all()
    exact = row.double() / step
    fraction = exact - exact.floor()
    assert found.var(0).numpy() == pytest.approx((step**2 * fraction * (1 - fraction)).numpy(), abs=0.03 * step**2)


@pytest.mark.parametrize("width", WIDTHS)
def test_levels_are_exact_and_all_are_used(width):
    """Numbers that are levels of a scale come back as they are, whatever is drawn."""
    last = 2**width - 1
    levels = torch.arange(last + 1.0)
    for zero in (0, 1, last - 1, last):
        smashed = 0.25 * (levels - zero)[None]
        assert torch.equal(there(codec(f"uniform-{width}"), smashed, chance()), smashed)
        assert torch.equal(back(codec(f"uniform-{width}"), relu((1, last + 1)), smashed, chance()), smashed)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_step_is_the_least_that_covers_the_range_with_zero_as_a_level(width):
    last = 2**width - 1
    for row in normal((20, 7), seed=width):
        payload = codec(f"uniform-{width}").encode(row[None]).payload
        (step,) = struct.unpack("<f", bytes(payload[:4].tolist()))
        low, high = max(0.0, -float(row.min())), max(0.0, float(row.max()))
        allowed = [z for z in range(last + 1) if (z > 0 or low == 0) and (z < last or high == 0)]
        least = min(max(low / z if z else 0.0, high / (last - z) if z < last else 0.0) for z in allowed)
        assert step == pytest.approx(least, rel=1e-6)


def test_images_have_a_scale_for_each_channel_and_rows_one_of_their_own():
    sizes = torch.tensor([1e-3, 1.0, 1e3])
    images = relu((4, 3, 5, 5)) * sizes.view(1, 3, 1, 1)
    error = (there(codec("uniform-8"), images) - images).abs().amax((0, 2, 3)) / images.amax((0, 2, 3))
    assert (error < 0.5 / 255 + 1e-6).all()
    rows = relu((3, 50)) * sizes.view(3, 1)
    error = (there(codec("uniform-8"), rows) - rows).abs().amax(1) / rows.amax(1)
    assert (error < 0.5 / 255 + 1e-6).all()


def test_bits_and_flops_are_counted_by_hand():
    # 3 rows of 2 channels of 5 numbers, 4 bits: 15 bytes; 2 scales of 5 bytes.
    assert codec("uniform-4").costs(3, (2, 5)) == (200, 200, 270, 90, 270, 90)
    # 3 rows of 5 numbers, 2 bits: 4 bytes; 3 scales.
    assert codec("uniform-2").costs(3, (5,))[:2] == (152, 152)
