"""A client's part of a round, as the server tells it."""

from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

from splitgym.execution.frames import ProtocolError
from splitgym.frameworks import Resource

KINDS = (Resource.CLIENT, Resource.UPLINK, Resource.UNICAST, Resource.BROADCAST)
MOST_ROWS = 100


@dataclass(frozen=True)
class ClientRow:
    """A row of the timeline in which the client does something."""

    number: int
    stage: str
    resource: int
    """CLIENT: it computes; UPLINK: it sends; UNICAST, BROADCAST: it receives."""
    pace: float | None
    """Real seconds for which it computes at least, or real bytes/s at which it sends; None: without an end, or at 0
    until the server says a rate."""


@dataclass(frozen=True)
class ClientPlan:
    """What a client does in a round."""

    held: int
    """How many of its units are valid; 0: it has none of its own yet."""
    cut: int
    """Last unit that it trains."""
    batch_size: int
    """Samples that it draws for each mini-batch."""
    rows: int
    """On how many of them it trains."""
    aggregated_rows: int
    codec: int
    """Index in the scenario's list."""
    rate_factor: float
    """On the learning rate."""
    todo: tuple[ClientRow, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ClientPlan":
        """The plan that `to_json` described.

        Raises:
            ProtocolError: it is none.
        """
        try:
            todo = tuple(ClientRow(**row) for row in values.pop("todo"))
            plan = cls(**values, todo=todo)
            numbers = (plan.held, plan.cut, plan.batch_size, plan.rows, plan.aggregated_rows, plan.codec)
            fits = len(todo) <= MOST_ROWS and all(type(each) is int and each >= 0 for each in numbers)
            fits &= isfinite(plan.rate_factor) and all(_fits(row) for row in todo)
        except (TypeError, KeyError, AttributeError) as error:
            raise ProtocolError(f"frame PLAN: {error}") from error
        if not fits:
            raise ProtocolError(f"frame PLAN: {plan}, allowed: whole numbers from 0, and rows that a client has")
        return plan


def _fits(row: ClientRow) -> bool:
    """Whether a row has values that it may have."""
    pace = inf if row.pace is None else row.pace
    return type(row.number) is int and type(row.stage) is str and row.resource in KINDS and float(pace) >= 0.0
