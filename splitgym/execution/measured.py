"""What the server keeps of its clients, and what it notes of a round."""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from threading import Event, Lock
from time import monotonic

import numpy as np

from splitgym.arrays import Floats
from splitgym.execution.link import Link
from splitgym.execution.schedule import Row

LONGEST_SLEEP_S = 1e6
"""Longer waits are cut into several."""


@dataclass
class RemoteClient:
    """A client as the server sees it."""

    link: Link
    lost_in: str | None = None
    """The stage in which it was lost; None: it is there."""
    busy: "Future[bool] | None" = None
    """What its thread does."""
    dropped: Event = field(default_factory=Event)
    """Set while the round goes on without it."""
    came: Event = field(default_factory=Event)
    """Set when it has come to the deadline's row, or to where all wait."""
    due_s: float = inf
    """Until when it has to come, by `time.monotonic`."""
    woken: Event = field(default_factory=Event)
    """Set when who sends to it has to look at rate and `dropped` again."""
    _deciding: Lock = field(default_factory=Lock)

    @property
    def is_there(self) -> bool:
        """Whether it can be asked for anything."""
        return self.lost_in is None

    def lose(self, stage: str) -> None:
        """Gives it up."""
        if self.is_there:
            self.lost_in = stage
            self.link.close()

    def comes(self) -> bool:
        """It has come to the deadline's row: whether that is in time."""
        with self._deciding:
            # Who waits for it may wake late, and is not to find it there then.
            if monotonic() <= self.due_s and not self.dropped.is_set():
                self.came.set()
        return self.came.is_set()

    def is_late(self) -> bool:
        """Whether it has not come; then the round goes on without it."""
        with self._deciding:
            late = self.busy is not None and not self.came.is_set()
            if late:
                self.dropped.set()
        self.woken.set()
        return late

    def sleep(self, seconds: float) -> bool:
        """Waits until then, or until somebody wakes who waits; whether the round goes on without it."""
        self.woken.wait(min(seconds, LONGEST_SLEEP_S))
        self.woken.clear()
        return self.dropped.is_set()


@dataclass
class Measured:
    """A round that has been played, in simulated seconds since its start; [R, C], NaN where nothing was done."""

    start_s: Floats
    stop_s: Floats
    scale: float = 1.0
    """Real seconds for a simulated one."""
    begin_s: float = field(default_factory=monotonic)
    """When it began, by `time.monotonic`."""
    latency_s: float = np.nan
    took_part: tuple[int, ...] = ()
    lost: dict[int, str] = field(default_factory=dict)
    """Clients that died or were late against the simulator's word, and in which stage."""
    slow: list[str] = field(default_factory=list)
    """What was computed for longer than its phase lasts."""
    payload_bytes: int = 0
    """Numbers that phases are charged for; what is broadcast counts once."""
    framing_bytes: int = 0
    """All else that went over the sockets in the round."""
    is_whole: bool = True
    """Whether both together are what went over the sockets, with the copies of what is broadcast."""

    @classmethod
    def of(cls, rows: int, clients: int, scale: float) -> "Measured":
        """A round that begins now."""
        start_s, stop_s = np.full((2, rows, clients), np.nan)
        return cls(start_s, stop_s, scale)

    def now_s(self) -> float:
        """Simulated seconds since it began."""
        return (monotonic() - self.begin_s) / self.scale

    def note(self, row: Row, clients: Iterable[int], begin_s: float, end_s: float) -> None:
        """Notes when a row was done, by `time.monotonic`."""
        for i in clients:
            self.start_s[row.number, i] = (begin_s - self.begin_s) / self.scale
            self.stop_s[row.number, i] = (end_s - self.begin_s) / self.scale

    def note_if_slow(self, what: str, needed_s: float, allowed_s: float) -> None:
        """Notes what was computed for longer than it may be, both real."""
        if needed_s > allowed_s:
            self.slow.append(f"{what} was computed in {needed_s:.3f} s, longer than its {allowed_s:.3f} s")
