"""What server and clients say to each other: frames of a fixed binary form. Nothing that arrives is ever executed.

A frame is a header and a body. Header, 16 bytes, little-endian: magic "SPLT", version, kind, row of the timeline that
it belongs to, length of the body. A body is raw bytes, one object of JSON, or a tensor: code of its type, number of
axes, 4 bytes for the length of each, then its numbers in row-major order.
"""

import json
import struct
from collections.abc import Callable
from enum import IntEnum
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitgym.files import parse_json
from splitgym.inputs import InputError, one_line

MAGIC, VERSION = b"SPLT", 1
HEADER = struct.Struct("<4sBBHQ")
DTYPES = (torch.uint8, torch.float32, torch.int64)
"""Their places are their codes."""
MOST_AXES = 8
MOST_CONTROL_BYTES = 2**18
"""Of a body that is no tensor."""
PIECE_BYTES = 2**16
"""What is read at a time: memory is taken as bytes arrive, whatever a header says of them."""

Receive = Callable[[int], bytes]
"""Gives at most so many bytes, as `socket.recv`; none: the other side has ended."""


class ProtocolError(InputError):
    """What came is no frame that is expected here."""


class Kind(IntEnum):
    """What a frame says."""

    CHALLENGE = 1
    PROOF = 2
    WELCOME = 3
    """To a client, JSON: its index, scenario, framework and seed."""
    READY = 4
    """From a client, JSON: what it has."""
    PLAN = 5
    """To a client, JSON: its part of a round."""
    TENSOR = 6
    DONE = 7
    """From a client: it has computed a row; seconds that it needed for that, a float64."""
    ARRIVED = 8
    """From a client: it has all of what a row sent to it."""
    DROP = 9
    """To a client: the round goes on without it."""
    DROPPED = 10
    """From a client: it has stopped, and is as it was before the round."""
    HOLD = 11
    """To a client that took no part, JSON: the cut layer from now on."""
    REPORT = 12
    """To a client: say what weights you have."""
    DIGEST = 13
    """From a client: the SHA-256 of its weights."""
    END = 14
    RATE = 15
    """To a client that sends a row on demand: its rate from now on, a float64, real bytes/s."""
    WORK = 16
    """To a node behind the server, JSON: what it does with the tensors that follow."""
    FETCH = 17
    """Likewise, JSON: the cut layer behind which it says what units it has."""


class Header(NamedTuple):
    """What stands in front of a body."""

    kind: Kind
    row: int
    length: int
    """Bytes of the body."""


def pack_header(kind: Kind, row: int, length: int) -> bytes:
    """The bytes in front of a body."""
    return HEADER.pack(MAGIC, VERSION, kind, row, length)


def read_header(receive: Receive, most_tensor_bytes: int = 0) -> Header:
    """Reads a header.

    Args:
        receive: Where it comes from.
        most_tensor_bytes: Of the body of a tensor that is expected; 0: none is.

    Raises:
        ProtocolError: it is none, or says a length that is not allowed.
        EOFError: the other side has ended.
    """
    magic, version, number, row, length = HEADER.unpack(read_exactly(receive, HEADER.size))
    if magic != MAGIC or version != VERSION:
        raise ProtocolError(f"frame: magic = {magic!r}, version = {version}, allowed: {MAGIC!r}, {VERSION}")
    if number not in set(Kind):
        raise ProtocolError(f"frame: kind = {number}, allowed: 1..{max(Kind)}")
    most = most_tensor_bytes if number == Kind.TENSOR else MOST_CONTROL_BYTES
    if length > most:
        raise ProtocolError(f"frame {Kind(number).name}: length = {length}, allowed: 0..{most}")
    return Header(Kind(number), row, length)


def read_exactly(receive: Receive, length: int) -> bytearray:
    """Reads so many bytes.

    Raises:
        EOFError: the other side has ended before.
    """
    found = bytearray()
    while len(found) < length:
        piece = receive(min(length - len(found), PIECE_BYTES))
        if not piece:
            raise EOFError("the connection has ended")
        found += piece
    return found


def pack_json(values: dict[str, Any]) -> bytes:
    """The body of an object."""
    return json.dumps(values).encode()


def read_json(body: bytes | bytearray) -> dict[str, Any]:
    """The object of a body.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return parse_json(bytes(body))
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"frame: no object of JSON, {one_line(error)}") from error


def tensor_head(tensor: Tensor) -> bytes:
    """What stands in front of the numbers of a tensor."""
    return struct.pack(f"<BB{tensor.dim()}I", DTYPES.index(tensor.dtype), tensor.dim(), *tensor.shape)


def tensor_bytes(dtype: torch.dtype, *shape: int) -> int:
    """Length of the body of a tensor."""
    return 2 + 4 * len(shape) + prod(shape) * dtype.itemsize


def raw(tensor: Tensor) -> memoryview:
    """The numbers of a tensor in row-major order, as bytes."""
    numbers: Any = tensor.detach().contiguous().numpy()
    return memoryview(numbers).cast("B") if tensor.numel() else memoryview(b"")


def read_tensor(body: bytes | bytearray, dtype: torch.dtype, *shape: int) -> Tensor:
    """The tensor of a body, which has to have this type and shape.

    Raises:
        ProtocolError: it has not.
    """
    expected = struct.pack(f"<BB{len(shape)}I", DTYPES.index(dtype), len(shape), *shape)
    if body[: len(expected)] != expected or len(body) != tensor_bytes(dtype, *shape):
        raise ProtocolError(f"frame TENSOR: {_said_of(body)}, allowed: {dtype} of shape {list(shape)}")
    if not prod(shape):
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(body[len(expected) :]), dtype=dtype).view(shape)


def _said_of(body: bytes | bytearray) -> str:
    """What a body says of a tensor."""
    axes = body[1] if len(body) > 1 else 0
    if len(body) < 2 + 4 * axes or axes > MOST_AXES or body[0] >= len(DTYPES):
        return f"{len(body)} bytes that are no tensor"
    shape = struct.unpack(f"<{axes}I", body[2 : 2 + 4 * axes])
    return f"{DTYPES[body[0]]} of shape {list(shape)} in {len(body)} bytes"
