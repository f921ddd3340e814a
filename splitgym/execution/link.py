"""A connection between two processes: frames over a socket, paced and counted."""

import socket
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from time import sleep as pause

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
from splitgym.execution.pacing import TokenBucket, pieces
from splitgym.inputs import InputError

NUMBER = struct.Struct("<d")
"""Seconds or bytes/s as a body."""
FAULTS = (OSError, EOFError, ProtocolError)
"""What comes of a link whose other side dies, or says what cannot be."""
Sleep = Callable[[float], bool]
"""Waits for so many seconds, or until something happens: whether the round goes on without who waits."""


def undisturbed(seconds: float) -> bool:
    """The `Sleep` of who waits for nothing else."""
    pause(seconds)
    return False


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


@dataclass
class Bytes:
    """What went over a link in one direction."""

    total: int = 0
    payload: int = 0
    """The numbers among them for which phases are charged."""
    framing: int = 0
    """All others."""


class Link:
    """One side of a connection.

    Only the holder of `sending` may send, and only one thread receives.

    Args:
        connection: A connected socket.
        passes_over: Kinds of frames that may come at any time, and are of no use where another is expected.

    Attributes:
        sent: What this side sent.
        received: What the other one sent.
    """

    def __init__(self, connection: socket.socket, passes_over: Collection[Kind] = ()) -> None:
        self.socket, self.sending, self._passes_over = connection, Lock(), passes_over
        self.sent, self.received = Bytes(), Bytes()
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

    def send_paced(self, tensor: Tensor, row: int, tokens: TokenBucket, sleep: Sleep = undisturbed) -> bool:
        """Sends a tensor as fast as a bucket lets it through, whose rate may change meanwhile; it is charged.

        Returns:
            False if the round went on without this side: before the start nothing has been sent, later all at once.
        """
        with self.sending:
            if sleep(0.0):
                return False
            self.begin_payload(tensor, row)
            stopped = False
            for piece in pieces(raw(tensor), tokens):
                tokens.take(len(piece), monotonic())
                while not stopped and (wait_s := tokens.short_s(monotonic())) > 0.0:
                    stopped = sleep(wait_s)
                self.send_piece(piece)
        return not stopped

    def begin_payload(self, tensor: Tensor, row: int) -> None:
        """Sends what stands in front of the numbers of a tensor, which are to follow."""
        self._send_framing(_head(tensor, row))

    def send_piece(self, piece: memoryview) -> None:
        """Sends some of the numbers of a tensor."""
        self.socket.sendall(piece)
        self.sent.total += len(piece)
        self.sent.payload += len(piece)

    def receive(self, most_tensor_bytes: int = 0) -> Header:
        """The next header; see `frames.read_header`."""
        header = read_header(self._receive, most_tensor_bytes)
        self.received.framing += HEADER.size
        return header

    def body(self, header: Header) -> bytearray:
        """The body behind a header, which is not charged."""
        body = read_exactly(self._receive, header.length)
        self.received.framing += len(body)
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
            self.received.payload += tensor.nbytes
            self.received.framing -= tensor.nbytes
        return tensor, began_s

    def _expected(self, kind: Kind, row: int, exactly: int | None, most_tensor_bytes: int) -> Header:
        header = self.receive(most_tensor_bytes)
        while header.kind in self._passes_over and kind is not header.kind:
            self.body(header)
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
        self.received.total += len(found)
        return found

    def _send_framing(self, data: bytes) -> None:
        self.socket.sendall(data)
        self.sent.total += len(data)
        self.sent.framing += len(data)


def _head(tensor: Tensor, row: int) -> bytes:
    """Header and head of a tensor."""
    return pack_header(Kind.TENSOR, row, tensor_bytes(tensor.dtype, *tensor.shape)) + tensor_head(tensor)
