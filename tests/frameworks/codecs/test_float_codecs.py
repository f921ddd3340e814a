"""Codecs of floating-point numbers, against NumPy's casts and hand-computed bytes."""

import numpy as np
import pytest
import torch
from coded import SHAPES, back, normal, there
from hypothesis import given
from hypothesis import strategies as st

from splitgym.frameworks.codecs import codec

NONE, FP16, BF16 = codec("none"), codec("fp16"), codec("bf16")
LARGEST = torch.finfo(torch.float32).max


@given(shape=SHAPES, dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]), seed=st.integers(0, 9))
def test_none_is_the_identity_to_the_bit(shape, dtype, seed):
    smashed = (normal(shape, seed) * 10.0 ** (4 * seed - 18)).to(dtype)
    smashed.flatten()[0] = torch.inf if seed % 2 else -0.0
    whole = {torch.float32: torch.int32}.get(dtype, torch.int16)
    assert torch.equal(there(NONE, smashed).contiguous().view(whole), smashed.view(whole))
    assert torch.equal(back(NONE, smashed, smashed).contiguous().view(whole), smashed.view(whole))


def test_none_sends_the_bytes_of_float32():
    assert bytes(NONE.encode(torch.tensor([[1.0, -2.5]])).payload.tolist()) == np.array([1.0, -2.5], "<f4").tobytes()


def test_fp16_sends_a_power_of_two_and_halves():
    payload = bytes(FP16.encode(torch.tensor([[1.0, -2.5, 0.3]])).payload.tolist())
    # 2.5 = 1.25 * 2^1, and 1.25 * 2^14 lies in [2^14, 2^15).
    assert np.frombuffer(payload[:1], "i1").tolist() == [-13]
    assert payload[1:] == (np.array([1.0, -2.5, 0.3]) * 2**13).astype("<f2").tobytes()


@given(st.lists(st.floats(2.0**-14, 2.0**14, width=32) | st.just(0.0), min_size=1, max_size=30), st.booleans())
def test_fp16_rounds_as_a_cast_where_that_has_normal_numbers(numbers, negative):
    smashed = torch.tensor([numbers]) * (-1 if negative else 1)
    assert there(FP16, smashed).numpy().tolist() == smashed.numpy().astype(np.float16).astype(np.float32).tolist()


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e-9, 1e6, 1e30])
def test_fp16_keeps_eleven_bits_of_numbers_that_a_cast_cannot_have(scale):
    smashed = scale * (1 + torch.rand(4, 5, generator=torch.Generator().manual_seed(0)))
    error = (there(FP16, smashed) / smashed - 1).abs()
    assert error.max() <= 2.0**-11
    assert torch.isclose(back(FP16, smashed, smashed), smashed, rtol=2.0**-11, atol=0.0).all()


@pytest.mark.parametrize("fault", [torch.inf, -torch.inf, torch.nan])
def test_fp16_keeps_numbers_beside_one_that_is_not_finite(fault):
    found = there(FP16, torch.tensor([[fault, 1e-10, 3e-10]]))
    assert found[0, 1:].tolist() == pytest.approx([1e-10, 3e-10], rel=2.0**-11)
    assert not found[0, 0].isfinite()


def test_bf16_rounds_as_a_cast():
    smashed = normal((4, 300)) * torch.logspace(-30, 30, 300)
    # Half to even in the upper 16 bits.
    bits = smashed.numpy().view(np.uint32).astype(np.uint64)
    expected = ((bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)).astype(np.uint16)
    payload = BF16.encode(smashed).payload
    assert bytes(payload.tolist()) == expected.tobytes()


@pytest.mark.parametrize(("made", "largest"), [(FP16, 65504 * 2.0**112), (BF16, 255 * 2.0**120)])
def test_the_largest_numbers_become_the_largest_that_there_are(made, largest):
    assert there(made, torch.tensor([[LARGEST, -LARGEST, 1e38]]))[0, :2].tolist() == [largest, -largest]
    assert there(made, torch.tensor([[LARGEST, 1.0]])).isfinite().all()


def test_flops_are_counted_by_hand():
    assert NONE.costs(5, (2, 3))[2:] == (0, 0, 0, 0)
    assert BF16.costs(5, (2, 3)) == (480, 480, 30, 30, 30, 30)
    assert FP16.costs(5, (2, 3)) == (488, 488, 90, 60, 90, 60)
