"""The server's process: it plays the rows of a round with the clients that are there, and notes when each is done."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from itertools import groupby
from math import inf
from time import monotonic, sleep

import numpy as np
import torch

from splitgym.arrays import Ints
from splitgym.execution.frames import Kind, pack_json, raw
from splitgym.execution.link import FAULTS, Link
from splitgym.execution.measured import Measured, RemoteClient
from splitgym.execution.pacing import bucket, pieces
from splitgym.execution.plans import ClientRow
from splitgym.execution.schedule import MIGRATION, Row, Schedule, Slot
from splitgym.execution.server_training import ServerTraining
from splitgym.execution.serving import Paces, Serving
from splitgym.execution.shared_band import SharedBand
from splitgym.frameworks import Resource

GRACE_S = 20.0
"""Real seconds for which somebody is waited for beyond the time that all its work takes; who is later is lost."""


class ServerProcess:
    """The server, and its clients.

    Args:
        remotes: [C] in the order of their indices.
        training: Of the server's part.
        scale: Real seconds for a simulated one.
    """

    def __init__(self, remotes: Sequence[RemoteClient], training: ServerTraining, scale: float) -> None:
        self.remotes, self._training, self._scale = remotes, training, scale
        # A thread of its own would compute with all cores, and add up in another order than the simulator.
        self._threads = ThreadPoolExecutor(2 * len(remotes), initializer=torch.set_num_threads, initargs=(1,))
        self._desk = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))

    def play(self, schedule: Schedule, number: int) -> Measured:
        """Plays a round, counted from 1, with all clients that are there.

        Raises:
            NotFiniteError: the models have diverged.
        """
        self._schedule, self._copies_bytes = schedule, 0
        before = self._counted()
        for link in self._training.links:
            link.wait_at_most(GRACE_S + 2.0 * self._scale * self._longest_s())
        self._training.begin(schedule, number)
        # What is said before the round is off the clock.
        todo = {i: self._rows_of(slot, i) for slot in schedule.slots for i in slot.members}
        paces = {(row.number, i): row.pace for i, rows in todo.items() for row in rows}
        plans = {i: pack_json(self._training.plan_for(i, rows).to_json()) for i, rows in todo.items()}
        bands = [SharedBand(schedule, slot) if schedule.system.on_demand else None for slot in schedule.slots]
        measured = self._measured = Measured.of(len(schedule.cost.stages), len(self.remotes), self._scale)
        took_part: list[int] = []
        for slot, band in zip(schedule.slots, bands, strict=True):
            self._serving = self._serving_with(paces, band)
            took_part += self._play_slot(slot, plans)
        if not schedule.slots:
            sleep(self._scale * schedule.system.round_timeout_s)
        measured.latency_s = measured.now_s()
        measured.took_part = tuple(took_part)
        self._settle(took_part)
        total, payload, framing = (self._counted() - before).tolist()
        measured.payload_bytes, measured.framing_bytes = payload - self._copies_bytes, framing
        measured.is_whole = total == payload + framing
        return measured

    def reports(self, clients: Sequence[int]) -> dict[int, bytes]:
        """What these clients say of their weights; those that are lost say nothing."""
        found: dict[int, bytes] = {}

        def ask(link: Link) -> None:
            link.send(Kind.REPORT)
            found[client] = bytes(link.expect(Kind.DIGEST))

        for client in clients:
            self._serving.attempt(client, "report", ask)
        return found

    def end(self) -> None:
        """Tells all clients that it is over."""
        for remote in self.remotes:
            # In the middle of a round something may still be on its way.
            remote.dropped.set()
            remote.woken.set()
            if remote.is_there:
                with suppress(*FAULTS):
                    remote.link.send(Kind.END)
            remote.link.close()
        for link in self._training.links:
            with suppress(*FAULTS):
                link.send(Kind.END)
            link.close()
        self._threads.shutdown()
        self._desk.shutdown()

    def _counted(self) -> Ints:
        """[3] bytes that went over all links: all, payload, framing."""
        links = (*(remote.link for remote in self.remotes), *self._training.links)
        ways = [way for link in links for way in (link.sent, link.received)]
        return np.array([[way.total, way.payload, way.framing] for way in ways]).sum(0)

    def _serving_with(self, paces: Paces, band: SharedBand | None) -> Serving:
        return Serving(self.remotes, self._training, self._schedule, self._measured, self._desk, paces, band)

    def _play_slot(self, slot: Slot, plans: Mapping[int, bytes]) -> Sequence[int]:
        """Plays all rows with the members of a slot, who are told their plans; who has taken part."""
        schedule, serving, self._slot_begin_s = self._schedule, self._serving, monotonic()
        members = [i for i in slot.members if self.remotes[i].is_there]
        for i in members:
            self.remotes[i].link.wait_at_most(GRACE_S + 2.0 * self._scale * self._longest_s())
            serving.attempt(i, "plan", partial(Link.send, kind=Kind.PLAN, body=plans[i]))
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
                continue
            self._begin_apart(rows, members, inf if settled else self._timeout_s())
            if not settled:
                self._wait_until_timeout(members)
                members = served = self._after_deadline(members)
                settled = rows[-1].number >= schedule.deadline_row
            self._wait_for(members)
            if settled:
                self._training.conclude(served)
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
        if row.resource == Resource.BROADCAST:
            return self._schedule.moves_bits(row)
        return row.resource < Resource.SERVER

    def _pace_of(self, row: Row, client: int, slot: Slot) -> float | None:
        """Real seconds of a computation, real bytes/s of what is sent, from whichever side."""
        if row.resource == Resource.CLIENT:
            seconds = self._scale * self._schedule.seconds(row, client)
            return seconds if np.isfinite(seconds) else None
        if self._schedule.system.on_demand:
            return None
        links = slot.uplink if row.resource == Resource.UPLINK else slot.downlink
        return float(links[client]) / 8.0 / self._scale

    def _begin_apart(self, rows: Sequence[Row], members: Sequence[int], due_s: float) -> None:
        """Begins rows in which each client works by itself, and is late if it comes after `due_s`."""
        begin_s = monotonic()
        for i in members:
            self.remotes[i].came.clear()
            self.remotes[i].due_s = due_s
            self.remotes[i].busy = self._threads.submit(self._serving.serve, i, rows, begin_s)

    def _wait_until_timeout(self, members: Sequence[int]) -> None:
        """Waits until all have come to the deadline's row, or to the end of what they do by themselves."""
        for i in members:
            self.remotes[i].came.wait(max(self._timeout_s() - monotonic(), 0.0))

    def _wait_for(self, members: Sequence[int]) -> None:
        """Waits until all are done with what they do by themselves."""
        jobs = [job for i in members if (job := self.remotes[i].busy) is not None]
        wait(jobs)
        for job in jobs:
            job.result()

    def _do_together(self, rows: Sequence[Row], members: Sequence[int]) -> bool:
        """Common rows: the server computes for all, or sends to all; whether the round can go on."""
        end_s = monotonic()
        rows_before = self._schedule.rows[: self._schedule.rows.index(rows[0])]
        if rows_before and rows_before[-1].in_pieces and rows[0].resource != Resource.SERVER:
            # Time has passed for each client, but nobody could be answered before all were there.
            self._training.compute(rows_before[-1].stage, members)
        for resource, part in groupby(rows, lambda row: min(row.resource, Resource.BROADCAST + 1)):
            run = list(part)
            if resource == Resource.SERVER:
                allowed_s = self._scale * sum(self._schedule.common_seconds(row, len(members)) for row in run)
                begin_s = monotonic()
                if not self._training.compute(run[0].stage, members):
                    return False
                self._measured.note_if_slow(run[0].stage, monotonic() - begin_s, allowed_s)
                end_s = self._pass_time(run, members, begin_s, end_s)
                continue
            if resource > Resource.BROADCAST:
                self._training.go_behind(run, members, self._measured)
            for row in run if resource == Resource.BROADCAST else ():
                begin_s = monotonic()
                if self._schedule.moves_bits(row):
                    self._broadcast(row, members)
                    self._measured.note(row, members, begin_s, monotonic())
            end_s = monotonic()
        return True

    def _pass_time(self, rows: Sequence[Row], members: Sequence[int], begin_s: float, end_s: float) -> float:
        """Waits for as long as the server works on rows, from `end_s` on; when that is over."""
        for row in rows:
            one_by_one = sorted(members, key=self._serving.arrived.index) if row.in_pieces else [members[-1]]
            each_s = self._schedule.common_seconds(row, 1) - self._schedule.common_seconds(row, 0)
            end_s += self._scale * self._schedule.common_seconds(row, 0 if row.in_pieces else len(members))
            for i in one_by_one:
                end_s += self._scale * each_s * row.in_pieces
                sleep(max(end_s - monotonic(), 0.0))
                self._measured.note(row, [i] if row.in_pieces else members, begin_s, monotonic())
            begin_s = monotonic()
        return end_s

    def _broadcast(self, row: Row, members: Sequence[int]) -> None:
        """Sends the same to all, paced once, at the rate of the worst."""
        values = self._training.to_all(row.stage)
        bytes_per_s = self._schedule.broadcast_rate(members) / 8.0 / self._scale
        self._each(row, members, lambda link: link.begin_payload(values, row.number))
        tokens = bucket(bytes_per_s, monotonic())
        for piece in pieces(raw(values), tokens):
            sleep(tokens.take(len(piece), monotonic()))
            self._each(row, members, partial(Link.send_piece, piece=piece))
        self._each(row, members, lambda link: link.expect(Kind.ARRIVED, row.number, 0))
        self._copies_bytes += (len(members) - 1) * values.nbytes

    def _each(self, row: Row, members: Sequence[int], do: Callable[[Link], object]) -> None:
        """Does something with all clients that are there."""
        for i in members:
            self._serving.attempt(i, row.stage, do)

    def _after_deadline(self, members: Sequence[int]) -> list[int]:
        """Who goes on; late clients are dropped, and if nobody is left the server has waited until the timeout."""
        left = []
        for i in members:
            if self.remotes[i].is_late():
                self._drop(i, "too late")
            elif self.remotes[i].is_there:
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
        remote.woken.set()
        remote.busy = self._threads.submit(self._serving.hear_out, client, remote.busy)

    def _settle(self, took_part: Sequence[int]) -> None:
        """Off the clock: late clients have stopped, and all others hear where the network is cut now."""
        for i, remote in enumerate(self.remotes):
            if remote.busy is not None:
                remote.busy.result()
            remote.busy = None
            remote.dropped.clear()
            remote.woken.clear()
            if took_part and i not in took_part:
                cut = pack_json({"cut": self._training.cut_layer})
                self._serving.attempt(i, "hold", partial(Link.send, kind=Kind.HOLD, body=cut))

    def _timeout_s(self) -> float:
        """When the slot's timeout is over."""
        return self._slot_begin_s + self._scale * self._schedule.system.round_timeout_s
