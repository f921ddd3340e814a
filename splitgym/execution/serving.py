"""What the server does with each client by itself: it receives, answers, sends; who is dropped is heard out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from itertools import groupby
from threading import Lock
from time import monotonic, sleep

import numpy as np
import torch

from splitgym.arrays import Bools
from splitgym.execution.frames import Kind
from splitgym.execution.link import FAULTS, NUMBER, DroppedError, Link
from splitgym.execution.measured import Measured, RemoteClient
from splitgym.execution.pacing import bucket, depth_at
from splitgym.execution.schedule import Row, Schedule
from splitgym.execution.server_training import ServerTraining
from splitgym.execution.shared_band import SharedBand
from splitgym.frameworks import Resource

MOST_TENSOR_BYTES = 2**31
"""Of what a dropped client still sends."""
Paces = Mapping[tuple[int, int], float | None]
"""Of a row's number and a client, as in `plans.ClientRow`."""


class Serving:
    """A round with each client by itself, in a thread of its own.

    Args:
        remotes: [C].
        training: Of the server's part.
        schedule: Of the round.
        measured: Filled.
        desk: A single thread, in which the server works for one client after the other.
        pace: Of all rows in which clients do something.
        band: Of the slot that is played, if it is shared on demand.

    Attributes:
        arrived: Clients whose data the server worked on by themselves, in the order in which these came.
    """

    def __init__(
        self,
        remotes: Sequence[RemoteClient],
        training: ServerTraining,
        schedule: Schedule,
        measured: Measured,
        desk: Executor,
        pace: Paces,
        band: SharedBand | None,
    ) -> None:
        self._remotes, self._training, self._schedule = remotes, training, schedule
        self._measured, self._desk, self._pace, self._band = measured, desk, pace, band
        self._sharing, self._sending, self._rate = Lock(), dict[int, Row](), dict[int, float]()
        self.arrived: list[int] = []

    def serve(self, client: int, rows: Sequence[Row], begin_s: float) -> bool:
        """The rows of one client one after the other; whether it has said that it stopped."""
        remote = self._remotes[client]
        try:
            for (at_server, _), part in groupby(rows, lambda row: (row.in_pieces, row.number < self._deadline)):
                run = list(part)
                if run[0].number >= self._deadline and not remote.comes():
                    return False
                if at_server:
                    self.arrived.append(client)
                    answers = run[-1] is not rows[-1]
                    begin_s = self._desk.submit(self._work_for, client, run, answers).result()
                else:
                    begin_s = self._go_through(client, run, begin_s)
        except DroppedError:
            return True
        except _StoppedError:
            return False
        finally:
            remote.comes()
        return False

    def hear_out(self, client: int, serving: "Future[bool] | None") -> bool:
        """Waits until a dropped client has stopped."""
        remote = self._remotes[client]
        try:
            remote.link.send(Kind.DROP)
            stopped = serving is not None and serving.result()
            while not stopped and remote.is_there:
                header = remote.link.receive(MOST_TENSOR_BYTES)
                remote.link.body(header)
                stopped = header.kind is Kind.DROPPED
        except FAULTS:
            self.lose(client, "drop")
        return True

    def lose(self, client: int, stage: str) -> None:
        """Gives a client up."""
        if self._remotes[client].is_there:
            self._remotes[client].lose(stage)
            self._measured.lost[client] = stage

    def attempt(self, client: int, stage: str, do: Callable[[Link], object]) -> None:
        """Does something with a client that is there; if it fails, the client is lost."""
        if self._remotes[client].is_there:
            try:
                do(self._remotes[client].link)
            except FAULTS:
                self.lose(client, stage)

    @property
    def _deadline(self) -> int:
        return self._schedule.deadline_row

    def _go_through(self, client: int, rows: Sequence[Row], begin_s: float) -> float:
        """Rows in which the client does something; when they are done.

        Raises:
            DroppedError: it has said that it stopped.
            _StoppedError: it was lost, or dropped while something was sent to it.
        """
        needed_s, allowed_s, computed = 0.0, 0.0, ""
        for row in rows:
            if (row.number, client) not in self._pace:
                continue
            try:
                if row.resource == Resource.CLIENT:
                    body = self._remotes[client].link.expect(Kind.DONE, row.number, NUMBER.size)
                    needed_s, allowed_s = needed_s + NUMBER.unpack(body)[0], allowed_s + (self._of(row, client) or 0.0)
                    computed = row.stage
                elif row.resource == Resource.UPLINK:
                    begin_s = self._receive(row, client)
                else:
                    begin_s = self._send(row, client)
            except FAULTS:
                self.lose(client, row.stage)
                raise _StoppedError from None
            now_s = monotonic()
            self._measured.note(row, [client], begin_s, now_s)
            begin_s = now_s
        self._measured.note_if_slow(f"{computed} of client {client}", needed_s, allowed_s)
        return begin_s

    def _of(self, row: Row, client: int) -> float | None:
        return self._pace[row.number, client]

    def _receive(self, row: Row, client: int) -> float:
        """Takes what a client sends in a row; when that began."""
        link, training = self._remotes[client].link, self._training
        dtype, length = training.expected(row.stage, client)
        labels, begin_s = None, None
        with self._using_the_band(row, client, length * dtype.itemsize):
            if row.stage == "uplink" and training.needs_labels:
                labels, begin_s = link.expect_tensor(row.number, torch.int64, training.rows, charged=False)
            values, first_s = link.expect_tensor(row.number, dtype, length)
        training.receive(row.stage, client, values, labels)
        return first_s if begin_s is None else begin_s

    def _send(self, row: Row, client: int) -> float:
        """Sends what a client is to have; when that began."""
        remote, begin_s = self._remotes[client], monotonic()
        values = self._training.to_send(row.stage, client)
        tokens = bucket(self._of(row, client) or 0.0, begin_s)

        def sleep_or_change(seconds: float) -> bool:
            dropped = remote.sleep(seconds)
            rate = self._rate.get(client, tokens.bytes_per_s)
            tokens.set_rate(rate, depth_at(rate), monotonic())
            return dropped

        with self._using_the_band(row, client, values.nbytes):
            if not remote.link.send_paced(values, row.number, tokens, sleep_or_change):
                raise _StoppedError
            remote.link.expect(Kind.ARRIVED, row.number, 0)
        return begin_s

    def _work_for(self, client: int, rows: Sequence[Row], answers: bool) -> float:
        """The server works for one client; when that is done."""
        begin_s = end_s = monotonic()
        allowed_s = self._measured.scale * sum(self._schedule.common_seconds(row, 1) for row in rows)
        if answers:
            self._training.answer(client)
            self._measured.note_if_slow(rows[0].stage, monotonic() - begin_s, allowed_s)
        for row in rows:
            end_s += self._measured.scale * self._schedule.common_seconds(row, 1)
            sleep(max(end_s - monotonic(), 0.0))
            now_s = monotonic()
            self._measured.note(row, [client], begin_s, now_s)
            begin_s = now_s
        return begin_s

    @contextmanager
    def _using_the_band(self, row: Row, client: int, size: int) -> Iterator[None]:
        """While a client sends or receives so many bytes, it has its part of a band that is shared on demand."""
        band, measured = self._band, self._measured
        if band is None:
            yield
            return
        with self._sharing:
            changed = band.begin(client, 8.0 * size, row.resource == Resource.UPLINK, measured.now_s())
            self._sending[client] = row
            self._tell(band, changed)
        try:
            yield
        finally:
            with self._sharing:
                del self._sending[client]
                self._tell(band, band.end(client, measured.now_s()))

    def _tell(self, band: SharedBand, changed: Bools) -> None:
        """Says their new rates to those that send, from whichever side."""
        for i in np.flatnonzero(changed).tolist():
            row, bytes_per_s = self._sending[i], float(band.rate[i]) / 8.0 / self._measured.scale
            if row.resource == Resource.UPLINK:
                with suppress(*FAULTS):  # That it is lost its own thread finds out.
                    self._remotes[i].link.send(Kind.RATE, row.number, NUMBER.pack(bytes_per_s))
            else:
                self._rate[i] = bytes_per_s
                self._remotes[i].woken.set()


class _StoppedError(Exception):
    """The round goes on without the client."""
