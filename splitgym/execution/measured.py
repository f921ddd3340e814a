"""What the server keeps of its clients, and what it notes of a round."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from splitgym.arrays import Floats
from splitgym.execution.link import Link


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

    @property
    def is_there(self) -> bool:
        """Whether it can be asked for anything."""
        return self.lost_in is None

    def lose(self, stage: str) -> None:
        """Gives it up."""
        if self.is_there:
            self.lost_in = stage
            self.link.close()


@dataclass
class Measured:
    """A round that has been played, in simulated seconds since its start; [R, C], NaN where nothing was done."""

    start_s: Floats
    stop_s: Floats
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
