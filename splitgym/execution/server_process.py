"""The server's process: it plays the rows of a round with the clients that are there, and notes when each is done."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from time import monotonic, sleep

import numpy as np
import torch

from splitgym.arrays import Ints
from splitgym.execution.frames import Kind, pack_json, raw
from splitgym.execution.link import FAULTS, SECONDS, DroppedError, Link
from splitgym.execution.measured import Measured, RemoteClient
from splitgym.execution.pacing import bucket, pieces
from splitgym.execution.plans import ClientRow
from splitgym.execution.schedule import MIGRATION, Row, Schedule, Slot
from splitgym.execution.server_training import ServerTraining
from splitgym.frameworks import Resource

GRACE_S = 20.0
"""Real seconds for which somebody is waited for beyond the time that all its work takes; who is later is lost."""

MOST_TENSOR_BYTES = 2**31
"""Of what a dropped client still sends."""


class ServerProcess:
    """The server, and its clients.

    Args:
        remotes: [C] in the order of their indices.
        training: Of the server's part.
        scale: Real seconds for a simulated one.
    """

    def __init__(self, remotes: Sequence[RemoteClient], training: ServerTraining, scale: float) -> None:
        self.remotes, self._training, self._scale = remotes, training, scale
        self._threads = ThreadPoolExecutor(2 * len(remotes))
        self._measured = Measured(np.zeros((0, 0)), np.zeros((0, 0)))

    def play(self, schedule: Schedule, number: int) -> Measured:
        """Plays a round, counted from 1, with all clients that are there.

        Raises:
            NotFiniteError: the models have diverged.
        """
        shape = len(schedule.cost.stages), len(self.remotes)
        self._measured = Measured(np.full(shape, np.nan), np.full(shape, np.nan))
        self._schedule, self._copies_bytes = schedule, 0
        before = [self._counted(remote) for remote in self.remotes]
        self._training.begin(schedule, number)
        # What is said before the round is off the clock.
        todo = {i: self._rows_of(slot, i) for slot in schedule.slots for i in slot.members}
        self._pace = {(row.number, i): row.pace for i, rows in todo.items() for row in rows}
        plans = {i: pack_json(self._training.plan_for(i, rows).to_json()) for i, rows in todo.items()}
        self._begin_s = monotonic()
        took_part = [client for slot in schedule.slots for client in self._play_slot(slot, plans)]
        if not schedule.slots:
            sleep(self._scale * schedule.system.round_timeout_s)
        self._measured.latency_s = self._since_begin()
        self._measured.took_part = tuple(took_part)
        self._settle(took_part)
        self._count(np.sum([self._counted(remote) for remote in self.remotes], 0) - np.sum(before, 0))
        return self._measured

    def _counted(self, remote: RemoteClient) -> Ints:
        """[3] bytes that went over its link: all, payload, framing."""
        return np.array([remote.link.total_bytes, remote.link.payload_bytes, remote.link.framing_bytes])

    def _count(self, difference: Ints) -> None:
        """Notes what went over all links in the round."""
        total, payload, framing = difference.tolist()
        measured = self._measured
        measured.payload_bytes, measured.framing_bytes = payload - self._copies_bytes, framing
        measured.is_whole = total == payload + framing

    def reports(self, clients: Sequence[int]) -> dict[int, bytes]:
        """What these clients say of their weights; those that are lost say nothing."""
        found: dict[int, bytes] = {}

        def ask(link: Link) -> None:
            link.send(Kind.REPORT)
            found[client] = bytes(link.expect(Kind.DIGEST))

        for client in clients:
            self._try(client, "report", ask)
        return found

    def end(self) -> None:
        """Tells all clients that it is over."""
        for i, remote in enumerate(self.remotes):
            # In the middle of a round something may still be on its way.
            remote.dropped.set()
            self._try(i, "end", lambda link: link.send(Kind.END))
            remote.link.close()
        self._threads.shutdown()

    def _play_slot(self, slot: Slot, plans: Mapping[int, bytes]) -> Sequence[int]:
        """Plays all rows with the members of a slot, who are told their plans; who has taken part."""
        schedule, self._slot_begin_s = self._schedule, monotonic()
        members = [i for i in slot.members if self.remotes[i].is_there]
        for i in members:
            self.remotes[i].link.wait_at_most(GRACE_S + 2.0 * self._scale * self._longest_s())
            self._try(i, "plan", partial(Link.send, kind=Kind.PLAN, body=plans[i]))
        served, settled = members, False
        for rows in schedule.segments:
            if rows[0].number >= schedule.deadline_row and not settled:
                members = served = self._after_deadline(members)
                settled = True
            members = [i for i in members if self.remotes[i].is_there]
            if not members:
                break
            if rows[0].is_common:
                if not self._do_together(rows, members):
                    for i in members:
                        self._drop(i, "void")
                    members = served = []
                    break
            else:
                self._do_apart(rows, members, until_deadline=not settled)
        if not settled:
            members = served = self._after_deadline(members)
        members = [i for i in members if self.remotes[i].is_there]
        self._training.finish(members)
        return self._training.took_part(served, members)

    def _longest_s(self) -> float:
        """Simulated seconds that the round may take, by what the simulator says."""
        return float(self._schedule.cost.latency_s + self._schedule.system.round_timeout_s)

    def _rows_of(self, slot: Slot, client: int) -> tuple[ClientRow, ...]:
        """The rows in which a client does something."""
        rows = [row for row in self._schedule.rows if self._concerns(row, client)]
        return tuple(ClientRow(row.number, row.stage, row.resource, self._pace_of(row, client, slot)) for row in rows)

    def _concerns(self, row: Row, client: int) -> bool:
        if row.stage == MIGRATION:
            return self._training.moving(client, down=row.resource == Resource.UNICAST) > 0
        return not row.is_common or (row.resource == Resource.BROADCAST and self._schedule.moves_bits(row))

    def _pace_of(self, row: Row, client: int, slot: Slot) -> float | None:
        """Real seconds of a computation, real bytes/s of what is sent, from whichever side."""
        if row.resource == Resource.CLIENT:
            seconds = self._scale * self._schedule.seconds(row, client)
            return seconds if np.isfinite(seconds) else None
        links = slot.uplink if row.resource == Resource.UPLINK else slot.downlink
        return float(links[client]) / 8.0 / self._scale

    def _do_apart(self, rows: Sequence[Row], members: Sequence[int], until_deadline: bool) -> None:
        """Rows in which each client works by itself; up to the deadline, if that is still ahead."""
        begin_s = monotonic()
        for i in members:
            self.remotes[i].busy = self._threads.submit(self._serve, i, rows, begin_s)
        jobs = [job for i in members if (job := self.remotes[i].busy) is not None]
        left_s = max(self._timeout_s() - monotonic(), 0.0) if until_deadline else None
        for fault in (job.exception() for job in wait(jobs, left_s).done):
            if fault is not None:
                raise fault

    def _serve(self, client: int, rows: Sequence[Row], begin_s: float) -> bool:
        """The rows of one client one after the other; whether it has said that it stopped."""
        remote, needed_s, allowed_s, computed = self.remotes[client], 0.0, 0.0, ""
        for row in rows:
            if (row.number, client) not in self._pace:
                continue
            pace = self._pace[row.number, client] or 0.0
            try:
                if row.resource == Resource.CLIENT:
                    (seconds,) = SECONDS.unpack(remote.link.expect(Kind.DONE, row.number, SECONDS.size))
                    needed_s, allowed_s, computed = needed_s + seconds, allowed_s + pace, row.stage
                elif row.resource == Resource.UPLINK:
                    begin_s = self._receive(row, client)
                else:
                    begin_s = monotonic()
                    values = self._training.to_send(row.stage, client)
                    if not remote.link.send_paced(values, row.number, pace, remote.dropped.wait):
                        return False
                    remote.link.expect(Kind.ARRIVED, row.number, 0)
            except DroppedError:
                return True
            except FAULTS:
                self._lose(client, row.stage)
                return False
            now_s = monotonic()
            self._note(row, [client], begin_s, now_s)
            begin_s = now_s
        self._note_if_slow(f"{computed} of client {client}", needed_s, allowed_s)
        return False

    def _receive(self, row: Row, client: int) -> float:
        """Takes what a client sends in a row; when that began."""
        link, training = self.remotes[client].link, self._training
        labels, begin_s = None, None
        if row.stage == "uplink" and training.needs_labels:
            labels, begin_s = link.expect_tensor(row.number, torch.int64, training.rows, charged=False)
        values, first_s = link.expect_tensor(row.number, *training.expected(row.stage, client))
        training.receive(row.stage, client, values, labels)
        return first_s if begin_s is None else begin_s

    def _do_together(self, rows: Sequence[Row], members: Sequence[int]) -> bool:
        """Common rows: the server computes for all, or sends to all; whether the round can go on."""
        schedule, end_s = self._schedule, monotonic()
        computing = [row for row in rows if row.resource == Resource.SERVER]
        allowed_s = self._scale * sum(schedule.common_seconds(row, len(members)) for row in computing)
        for row in rows:
            begin_s = monotonic()
            if row.resource == Resource.BROADCAST:
                if schedule.moves_bits(row):
                    self._broadcast(row, members)
                    self._note(row, members, begin_s, monotonic())
                end_s = monotonic()
                continue
            if row is computing[0]:
                if not self._training.compute(row.stage, members):
                    return False
                self._note_if_slow(row.stage, monotonic() - begin_s, allowed_s)
            end_s += self._scale * schedule.common_seconds(row, len(members))
            sleep(max(end_s - monotonic(), 0.0))
            self._note(row, members, begin_s, monotonic())
        return True

    def _broadcast(self, row: Row, members: Sequence[int]) -> None:
        """Sends the same to all, paced once, at the rate of the worst."""
        values = self._training.to_all(row.stage)
        bytes_per_s = self._schedule.broadcast_rate(members) / 8.0 / self._scale
        self._each(row, members, lambda link: link.begin_payload(values, row.number))
        tokens = bucket(bytes_per_s, monotonic())
        for piece in pieces(raw(values), bytes_per_s):
            sleep(tokens.take(len(piece), monotonic()))
            self._each(row, members, partial(Link.send_piece, piece=piece))
        self._each(row, members, lambda link: link.expect(Kind.ARRIVED, row.number, 0))
        self._copies_bytes += (len(members) - 1) * values.nbytes

    def _each(self, row: Row, members: Sequence[int], do: Callable[[Link], object]) -> None:
        """Does something with all clients that are there."""
        for i in members:
            self._try(i, row.stage, do)

    def _try(self, client: int, stage: str, do: Callable[[Link], object]) -> None:
        """Does something with a client; if it fails, the client is lost."""
        if self.remotes[client].is_there:
            try:
                do(self.remotes[client].link)
            except FAULTS:
                self._lose(client, stage)

    def _after_deadline(self, members: Sequence[int]) -> list[int]:
        """Who goes on; late clients are dropped, and if nobody is left the server has waited until the timeout."""
        left = []
        for i in members:
            remote = self.remotes[i]
            if remote.busy is not None and not remote.busy.done():
                self._drop(i, "too late")
            elif remote.is_there:
                left.append(i)
        if not left:
            sleep(max(self._timeout_s() - monotonic(), 0.0))
        return left

    def _drop(self, client: int, why: str) -> None:
        """The round goes on without a client, which is heard out beside it."""
        remote = self.remotes[client]
        if client in self._schedule.participants:
            self._measured.lost[client] = why
        remote.dropped.set()
        remote.busy = self._threads.submit(self._hear_out, client, remote.busy)

    def _hear_out(self, client: int, serving: "Future[bool] | None") -> bool:
        """Waits until a dropped client has stopped."""
        remote = self.remotes[client]
        try:
            remote.link.send(Kind.DROP)
            stopped = serving is not None and serving.result()
            while not stopped and remote.is_there:
                header = remote.link.receive(MOST_TENSOR_BYTES)
                remote.link.body(header)
                stopped = header.kind is Kind.DROPPED
        except FAULTS:
            self._lose(client, "drop")
        return True

    def _settle(self, took_part: Sequence[int]) -> None:
        """Off the clock: late clients have stopped, and all others hear where the network is cut now."""
        for i, remote in enumerate(self.remotes):
            if remote.busy is not None:
                remote.busy.result()
            remote.busy = None
            remote.dropped.clear()
            if took_part and i not in took_part:
                cut = pack_json({"cut": self._training.cut_layer})
                self._try(i, "hold", partial(Link.send, kind=Kind.HOLD, body=cut))

    def _lose(self, client: int, stage: str) -> None:
        """Gives a client up."""
        if self.remotes[client].is_there:
            self.remotes[client].lose(stage)
            self._measured.lost[client] = stage

    def _note(self, row: Row, clients: Sequence[int], begin_s: float, end_s: float) -> None:
        """Notes when a row was done."""
        for i in clients:
            self._measured.start_s[row.number, i] = (begin_s - self._begin_s) / self._scale
            self._measured.stop_s[row.number, i] = (end_s - self._begin_s) / self._scale

    def _note_if_slow(self, what: str, needed_s: float, allowed_s: float) -> None:
        if needed_s > allowed_s:
            self._measured.slow.append(f"{what} was computed in {needed_s:.3f} s, longer than its {allowed_s:.3f} s")

    def _since_begin(self) -> float:
        return (monotonic() - self._begin_s) / self._scale

    def _timeout_s(self) -> float:
        """When the slot's timeout is over."""
        return self._slot_begin_s + self._scale * self._schedule.system.round_timeout_s
