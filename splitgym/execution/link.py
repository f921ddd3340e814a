"""A connection between two processes: frames over a socket, paced and counted."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import monotonic

import torch
from torch import Tensor

from splitgym.execution.frames import (
    HEADER,
    PIECE_BYTES,
    Header,
    Kind,
    ProtocolError,
    pack_header,
    raw,
    read_exactly,
    read_header,
    read_tensor,
    tensor_bytes,
    tensor_head,
)
from splitgym.execution.pacing import bucket, pieces
from splitgym.inputs import InputError

SECONDS = struct.Struct("<d")
FAULTS = (OSError, EOFError, ProtocolError)
"""What comes of a link whose other side dies, or says what cannot be."""
Sleep = Callable[[float], bool]
"""Waits for so many seconds, or until something happens: whether it does."""


class DroppedError(Exception):
    """The other side goes on without this one, or has been told so and has stopped."""


def address_of(text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT".

    Raises:
        InputError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) < 2**16:
        raise InputError(f"address = {text!r}, allowed: HOST:PORT with a port of 0..65535")
    return host.strip("[]"), int(port)


class EndedError(Exception):
    """The server has ended the run."""


class Link:
    """One side of a connection.

    Only the holder of `sending` may send.

    Args:
        connection: A connected socket.

    Attributes:
        total_bytes: All that went over it, both ways.
        payload_bytes: The numbers among them for which phases are charged.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket, self.sending = connection, Lock()
        self.total_bytes = self.payload_bytes = self.framing_bytes = 0
        with suppress(OSError):  # Sockets that are no TCP have no such option.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def wait_at_most(self, seconds: float | None) -> None:
        """From now on nothing waits for longer for the other side; None: for ever."""
        self.socket.settimeout(seconds)

    def close(self) -> None:
        """Ends the connection, also for a thread that waits at it."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def send(self, kind: Kind, row: int = 0, body: bytes = b"") -> None:
        """Sends a frame that is not charged."""
        with self.sending:
            self._send_framing(pack_header(kind, row, len(body)) + body)

    def send_uncharged(self, tensor: Tensor, row: int) -> None:
        """Sends a tensor that is not charged, at once."""
        with self.sending:
            self._send_framing(_head(tensor, row) + bytes(raw(tensor)))

    def send_paced(self, tensor: Tensor, row: int, bytes_per_s: float, sleep: Sleep) -> bool:
        """Sends a tensor at a rate; the numbers are charged.

        Returns:
            False if something happened on the way: the rest has been sent at once.
        """
        with self.sending:
            self.begin_payload(tensor, row)
            tokens, happened = bucket(bytes_per_s, monotonic()), False
            for piece in pieces(raw(tensor), bytes_per_s):
                wait_s = 0.0 if happened else tokens.take(len(piece), monotonic())
                happened = happened or (wait_s > 0.0 and sleep(wait_s))
                self.send_piece(piece)
        return not happened

    def begin_payload(self, tensor: Tensor, row: int) -> None:
        """Sends what stands in front of the numbers of a tensor, which are to follow."""
        self._send_framing(_head(tensor, row))

    def send_piece(self, piece: memoryview) -> None:
        """Sends some of the numbers of a tensor."""
        self.socket.sendall(piece)
        self.total_bytes += len(piece)
        self.payload_bytes += len(piece)

    def receive(self, most_tensor_bytes: int = 0) -> Header:
        """The next header; see `frames.read_header`."""
        header = read_header(self._receive, most_tensor_bytes)
        self.framing_bytes += HEADER.size
        return header

    def body(self, header: Header) -> bytearray:
        """The body behind a header, which is not charged."""
        body = read_exactly(self._receive, header.length)
        self.framing_bytes += len(body)
        return body

    def expect(self, kind: Kind, row: int = 0, exactly: int | None = None) -> bytearray:
        """The body of the next frame, which has to be of that kind and row, and so long.

        Raises:
            DroppedError: it is about being dropped.
            EndedError: it says that the run is over.
            ProtocolError: it is another.
        """
        return self.body(self._expected(kind, row, exactly, 0))

    def expect_tensor(self, row: int, dtype: torch.dtype, *shape: int, charged: bool = True) -> tuple[Tensor, float]:
        """The tensor of that type and shape that is next, and when it began to arrive (`time.monotonic`)."""
        length = tensor_bytes(dtype, *shape)
        header = self._expected(Kind.TENSOR, row, length, length)
        began_s = monotonic()
        tensor = read_tensor(self.body(header), dtype, *shape)
        if charged:
            self.payload_bytes += tensor.nbytes
            self.framing_bytes -= tensor.nbytes
        return tensor, began_s

    def _expected(self, kind: Kind, row: int, exactly: int | None, most_tensor_bytes: int) -> Header:
        header = self.receive(most_tensor_bytes)
        if header.kind in (Kind.DROP, Kind.DROPPED) and kind is not header.kind:
            self.body(header)
            raise DroppedError
        if header.kind is Kind.END:
            raise EndedError
        if (header.kind, header.row) != (kind, row) or (exactly is not None and header.length != exactly):
            raise ProtocolError(f"frame = {header}, allowed: {kind.name} of row {row}, {exactly} bytes")
        return header

    def _receive(self, most: int) -> bytes:
        found = self.socket.recv(min(most, PIECE_BYTES))
        self.total_bytes += len(found)
        return found

    def _send_framing(self, data: bytes) -> None:
        self.socket.sendall(data)
        self.total_bytes += len(data)
        self.framing_bytes += len(data)


def _head(tensor: Tensor, row: int) -> bytes:
    """Header and head of a tensor."""
    return pack_header(Kind.TENSOR, row, tensor_bytes(tensor.dtype, *tensor.shape)) + tensor_head(tensor)
