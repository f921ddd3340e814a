"""The client's process: it does what the rows of its plan say, at their pace, and stops when it is dropped."""

import select
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic

import torch

from splitgym.execution.client_training import ClientTraining
from splitgym.execution.frames import Kind, ProtocolError, pack_json, read_json
from splitgym.execution.link import NUMBER, DroppedError, EndedError, Link
from splitgym.execution.pacing import TokenBucket, bucket, depth_at
from splitgym.execution.plans import ClientPlan, ClientRow
from splitgym.frameworks import Resource

LONGEST_WAIT_S = 1e6
"""Longer waits are without an end."""


class ClientProcess:
    """A client that has proved that it knows the secret.

    Args:
        link: To the server.
        training: Of its data and units.
    """

    def __init__(self, link: Link, training: ClientTraining) -> None:
        self._link, self._training = link, training

    def run(self) -> None:
        """Plays rounds.

        Raises:
            EndedError: the run is over.
            EOFError, OSError: the server has gone.
            ProtocolError: it says what cannot be.
        """
        ready = {"samples": self._training.samples, "torch": torch.__version__}
        self._link.send(Kind.READY, body=pack_json(ready))
        while True:
            self._hear()

    def _hear(self) -> None:
        """Does what the server says next between rounds.

        Raises:
            EndedError: the run is over.
        """
        link, training = self._link, self._training
        header = link.receive()
        body = link.body(header)
        if header.kind is Kind.PLAN:
            self._play(ClientPlan.from_json(read_json(body)))
        elif header.kind is Kind.HOLD:
            training.hold(_cut_of(body))
        elif header.kind is Kind.REPORT:
            link.send(Kind.DIGEST, body=training.digest())
        elif header.kind is Kind.DROP:
            self._go_back()
        elif header.kind is Kind.END:
            raise EndedError
        elif header.kind is Kind.RATE:
            pass  # Of a row that is over.
        else:
            raise ProtocolError(f"frame = {header}, allowed between rounds: PLAN, HOLD, REPORT, DROP or END")

    def _play(self, plan: ClientPlan) -> None:
        """A round, up to where it ends or goes on without this client."""
        now_s = monotonic()
        try:
            self._training.take_up(plan)
            for row in plan.todo:
                now_s = self._do(row, now_s)
        except DroppedError:
            self._go_back()

    def _go_back(self) -> None:
        self._training.go_back()
        self._link.send(Kind.DROPPED)

    def _do(self, row: ClientRow, begin_s: float) -> float:
        """Does what a row says; when the next one begins."""
        link, training = self._link, self._training
        if row.resource == Resource.CLIENT:
            called_s = monotonic()
            training.compute(row.stage)
            needed_s = monotonic() - called_s
            end_s = begin_s + (inf if row.pace is None else row.pace)
            while (left_s := end_s - monotonic()) > 0.0:
                if self._is_dropped_within(left_s, row):
                    raise DroppedError
            link.send(Kind.DONE, row.number, NUMBER.pack(needed_s))
            return end_s
        if row.resource == Resource.UPLINK:
            if row.stage == "uplink" and training.sends_labels:
                link.send_uncharged(training.labels(), row.number)
            tokens = bucket(row.pace or 0.0, monotonic())
            asleep = partial(self._is_dropped_within, row=row, tokens=tokens)
            if not link.send_paced(training.to_send(row.stage), row.number, tokens, asleep):
                raise DroppedError
        else:
            values, _ = link.expect_tensor(row.number, *training.expected(row.stage))
            link.send(Kind.ARRIVED, row.number)
            training.receive(row.stage, values)
        return monotonic()

    def _is_dropped_within(self, seconds: float, row: ClientRow, tokens: TokenBucket | None = None) -> bool:
        """Waits for so long, or until the server says something; whether the round goes on without this client.

        A rate that it says counts for the bucket of the row that it is meant for.
        """
        most_s = None if seconds > LONGEST_WAIT_S else max(seconds, 0.0)
        link = self._link
        ready, _, _ = select.select([link.socket], [], [], most_s)
        if not ready:
            return False
        header = link.receive()
        body = link.body(header)
        if header.kind is not Kind.RATE:
            if header.kind is not Kind.DROP:
                raise ProtocolError(f"frame = {header}, allowed within a row: DROP or RATE")
            return True
        if tokens is not None and header.row == row.number:
            bytes_per_s = _rate_of(body)
            tokens.set_rate(bytes_per_s, depth_at(bytes_per_s), monotonic())
        return False


def _rate_of(body: bytearray) -> float:
    """Bytes/s of a RATE frame."""
    if len(body) == NUMBER.size:
        (bytes_per_s,) = NUMBER.unpack(body)
        if 0.0 <= bytes_per_s < inf:
            return float(bytes_per_s)
    raise ProtocolError("frame RATE: no rate, allowed: a number from 0, in 8 bytes")


def _cut_of(body: bytearray) -> int:
    """The cut layer of a HOLD frame."""
    with suppress(KeyError, TypeError):
        cut = read_json(body)["cut"]
        if type(cut) is int and cut > 0:
            return cut
    raise ProtocolError("frame HOLD: no cut layer, allowed: a whole number from 1")
