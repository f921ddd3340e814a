"""The cloud's process: it trains what the edge server sends it over a wire, at the pace of both."""

from dataclasses import asdict, dataclass
from math import isfinite
from time import monotonic, sleep
from typing import Any

import torch

from splitgym.execution.cloud_training import CloudTraining
from splitgym.execution.frames import Kind, ProtocolError, pack_json, read_json
from splitgym.execution.link import NUMBER, EndedError, Link
from splitgym.execution.pacing import bucket

MOST_ROWS = 2**24
"""Rows of all mini-batches of a round."""


@dataclass(frozen=True)
class CloudWork:
    """What the cloud does in a round."""

    up: int
    """Row of the timeline in which it gets what it works on."""
    computing: list[list[float]]
    """Row, and real seconds that it computes in it at least."""
    down: int
    """Row in which it sends gradients back."""
    bytes_per_s: float
    """At which it sends them, real."""
    cut: int
    """Last unit of the clients."""
    given: int
    """Cut layer up to which units come back from clients; no deeper than `cut`: none do."""
    clients: int
    rows: int
    """Of each client."""
    rate_factor: float
    """On the learning rate."""
    channels_last: bool
    """Whether images come whose channels the edge server has last."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "CloudWork":
        """The work that `to_json` described.

        Raises:
            ProtocolError: it is none.
        """
        try:
            work = cls(**values)
            whole = (work.up, work.down, work.cut, work.given, work.clients, work.rows)
            fits = all(type(each) is int and each >= 0 for each in whole) and 0 < work.clients * work.rows <= MOST_ROWS
            fits &= all(type(row) is int and seconds >= 0.0 and isfinite(seconds) for row, seconds in work.computing)
            fits &= isfinite(work.rate_factor) and work.bytes_per_s > 0.0 and type(work.channels_last) is bool
        except (TypeError, ValueError) as error:
            raise ProtocolError(f"frame WORK: {error}") from error
        if not fits:
            raise ProtocolError(f"frame WORK: {work}, allowed: whole numbers from 0, seconds and rates")
        return work


class CloudProcess:
    """A cloud that has proved that it knows the secret.

    Args:
        link: To the edge server.
        training: Of its units.
    """

    def __init__(self, link: Link, training: CloudTraining) -> None:
        self._link, self._training = link, training

    def run(self) -> None:
        """Plays rounds.

        Raises:
            EndedError: the run is over.
            EOFError, OSError: the server has gone.
            ProtocolError: it says what cannot be.
        """
        link = self._link
        link.send(Kind.READY, body=pack_json({"torch": torch.__version__}))
        while True:
            header = link.receive()
            body = link.body(header)
            if header.kind is Kind.WORK:
                self._work(CloudWork.from_json(read_json(body)))
            elif header.kind is Kind.FETCH:
                link.send_uncharged(self._training.units_behind(_cut_of(body)), 0)
            elif header.kind is Kind.END:
                raise EndedError
            else:
                raise ProtocolError(f"frame = {header}, allowed: WORK, FETCH or END")

    def _work(self, work: CloudWork) -> None:
        link, training, shape = self._link, self._training, (work.clients, work.rows)
        of_row = training.begin(work.cut, work.rate_factor)
        labels, _ = link.expect_tensor(work.up, torch.int64, *shape, charged=False)
        weights, _ = link.expect_tensor(work.up, torch.float32, work.clients, charged=False)
        if work.given > work.cut:
            count = training.numbers_between(work.given)
            training.take(link.expect_tensor(work.up, torch.float32, count, charged=False)[0], work.given)
        values, _ = link.expect_tensor(work.up, torch.float32, work.clients * work.rows * of_row)
        link.send(Kind.ARRIVED, work.up)
        end_s = monotonic()
        gradients = training.train(work.cut, labels, weights, values, work.channels_last)
        needed_s = monotonic() - end_s
        for row, seconds in work.computing:
            end_s += seconds
            sleep(max(end_s - monotonic(), 0.0))
            link.send(Kind.DONE, int(row), NUMBER.pack(needed_s))
        link.send_paced(gradients, work.down, bucket(work.bytes_per_s, monotonic()))


def _cut_of(body: bytearray) -> int:
    cut = read_json(body).get("cut")
    if type(cut) is not int or cut < 0:
        raise ProtocolError(f"frame FETCH: cut = {cut!r}, allowed: a whole number from 0")
    return cut
