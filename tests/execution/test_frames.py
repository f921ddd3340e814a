import contextlib
import struct
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from splitgym.execution.frames import (
    DTYPES,
    HEADER,
    MAGIC,
    MOST_CONTROL_BYTES,
    PIECE_BYTES,
    VERSION,
    Header,
    Kind,
    ProtocolError,
    pack_header,
    raw,
    read_exactly,
    read_header,
    read_json,
    read_tensor,
    tensor_bytes,
    tensor_head,
)

SHAPES = st.lists(st.integers(0, 5), max_size=4)


@given(st.sampled_from(list(Kind)), st.integers(0, 2**16 - 1), st.integers(0, MOST_CONTROL_BYTES))
def test_a_header_is_read_as_it_was_written(kind, row, length):
    written = pack_header(kind, row, length)
    assert len(written) == 16
    assert read_header(BytesIO(written).read, most_tensor_bytes=MOST_CONTROL_BYTES) == Header(kind, row, length)


@given(st.binary(max_size=40))
def test_random_bytes_are_no_header(data):
    with pytest.raises((ProtocolError, EOFError)):
        read_header(BytesIO(data).read)


@given(st.binary(min_size=10, max_size=10))
def test_what_has_the_right_beginning_is_a_header_within_limits_or_refused(rest):
    try:
        header = read_header(BytesIO(MAGIC + bytes([VERSION]) + rest[:1] + rest[1:] + b"\0").read)
    except ProtocolError:
        return
    assert header.kind in set(Kind)
    assert header.length <= MOST_CONTROL_BYTES


@pytest.mark.parametrize("length", [MOST_CONTROL_BYTES + 1, 2**40, 2**64 - 1])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_length_beyond_what_is_expected_is_refused_before_anything_of_it_is_read(kind, length):
    stream = BytesIO(HEADER.pack(MAGIC, VERSION, kind, 0, length) + b"x" * 100)
    with pytest.raises(ProtocolError, match="length"):
        read_header(stream.read, most_tensor_bytes=MOST_CONTROL_BYTES)
    assert stream.tell() == HEADER.size


def test_memory_is_taken_as_bytes_arrive_and_not_as_a_header_says():
    asked = []

    def receive(most):
        asked.append(most)
        return b"x" * 10 if len(asked) < 4 else b""

    with pytest.raises(EOFError):
        read_exactly(receive, 2**40)
    assert max(asked) <= PIECE_BYTES


@given(st.sampled_from(DTYPES), SHAPES, st.integers(0, 2**31))
def test_a_tensor_is_read_as_it_was_written(dtype, shape, seed):
    values = torch.randint(0, 200, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    body = tensor_head(values) + bytes(raw(values))
    assert len(body) == tensor_bytes(dtype, *shape)
    found = read_tensor(body, dtype, *shape)
    assert found.dtype is dtype
    assert torch.equal(found, values)


@given(st.binary(max_size=60), st.sampled_from(DTYPES), SHAPES)
def test_random_bytes_are_no_tensor(data, dtype, shape):
    expected = struct.pack(f"<BB{len(shape)}I", DTYPES.index(dtype), len(shape), *shape)
    if data.startswith(expected) and len(data) == tensor_bytes(dtype, *shape):
        return
    with pytest.raises(ProtocolError):
        read_tensor(data, dtype, *shape)


@given(st.data())
def test_a_tensor_that_is_cut_off_or_of_another_shape_is_refused(data):
    values = torch.arange(6.0).view(2, 3)
    body = tensor_head(values) + bytes(raw(values))
    with pytest.raises(ProtocolError):
        read_tensor(body[: data.draw(st.integers(0, len(body) - 1))], torch.float32, 2, 3)
    with pytest.raises(ProtocolError):
        read_tensor(body, torch.float32, 3, 2)
    with pytest.raises(ProtocolError):
        read_tensor(body, torch.int64, 2, 3)


@given(st.binary(max_size=80))
def test_random_bytes_are_an_object_of_json_or_refused(data):
    with contextlib.suppress(ProtocolError):
        assert isinstance(read_json(data), dict)


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"a": 1e', b"\xff", b'{"a":' * 10_000, b"1" * 5_000])
def test_what_is_no_object_is_refused_in_one_line(body):
    with pytest.raises(ProtocolError) as refused:
        read_json(body)
    assert "\n" not in str(refused.value)
