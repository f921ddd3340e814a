"""What a scheduler answers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks.phases import Access
from splitgym.types.legal import check_allowed_ratio, check_decision, check_state
from splitgym.types.plan import FACTORS, Plan
from splitgym.types.state import RoundState

UNDECIDED = {
    "second_cut": 0,
    "codec": 0,
    "precision": 0,
    "batch_size": 0,
    "clock": 1.0,
    "quorum": 0,
    "averaging": 0,
    "placement": 0,
}
"""Fields that say nothing with these values."""


@dataclass(frozen=True)
class Decision:
    """What a scheduler answers. Shapes are those of one world; a batch has a leading axis N."""

    cut_layer: Any
    """Last unit on the client, 1..L-1; or [C], where clients may have cut layers of their own: then of a client that
    takes no part the last unit that it keeps."""
    assignment: Ints
    """[M] index of the client that uses the subchannel, -1: unused; the band is assigned again in each of several
    slots.

    Or [T, M], where clients have slots: the band of each slot exactly. Row c belongs to the cluster of that index, or
    to that client where clients go one by one; there, owners that are not of the slot do not count.
    """
    power_w_per_hz: Floats
    """[M] or [T, M], as `assignment`: transmit power spectral density on the subchannel, W/Hz."""
    selected: Bools
    """[C] clients that participate."""
    aggregation_ratio: Any
    """phi, 0..1: share of the mini-batch whose last-layer gradients are averaged over clients."""
    cluster: Any = 0
    """[C] cluster of each client; clusters have slots in increasing order. Read by frameworks with clusters."""
    second_cut: Any = 0
    """Last unit at the edge server, 1..L-1, where a scenario lets it be decided; 0: that of the scenario, or where it
    is decided the first that the cut layer allows. Where clients hold tails it lies behind the cut layer."""
    codec: Any = 0
    """How smashed data and their gradients are sent: index in the scenario's `plan.codecs`; or [C], where clients may
    have codecs of their own."""
    precision: Any = 0
    """With how many bits, in which part of the channels, clients compute: index in the scenario's `plan.precisions`; or
    [C], likewise."""
    clock: Any = 1.0
    """Fraction of the speed that it has to spare with which a client computes, above 0 and up to 1; one for all, or
    [C]."""
    batch_size: Any = 0
    """Samples of a client's mini-batch, where a scenario lets it be decided; or [C], where clients may have batch
    sizes of their own; 0: that of the scenario."""
    quorum: Any = 0
    """Mini-batches of the update, 1..C, where a scenario lets it be decided; 0: that of the scenario."""
    averaging: Any = 0
    """Whether the round ends with the mean of clients' parts, where a scenario lets it be decided: 1 without, 2 with,
    0 as the scenario says."""
    placement: Any = 0
    """Which nodes train the units behind the cut: index among the scenario's placements, where it lets that be
    decided."""

    def __post_init__(self) -> None:
        own = self.__dict__
        for name in ("assignment", "power_w_per_hz", "selected"):
            if type(own[name]) is not np.ndarray:
                own[name] = np.asarray(own[name])
        if type(self.cluster) is int or np.ndim(self.cluster) < 1:
            own["cluster"] = _filled(self.selected.shape, self.cluster)
        for name, nothing in UNDECIDED.items() if self.selected.ndim > 1 else ():
            value = own[name]
            # What nobody decides stays one number for all worlds.
            if value is nothing or np.ndim(value) or (type(value) is type(nothing) and value == nothing):
                continue
            own[name] = _filled((len(self.selected),), value)

    @classmethod
    def under(
        cls, plan: Plan, assignment: Ints, power_w_per_hz: Floats, selected: Bools, cluster: Any = 0, clock: Any = 1.0
    ) -> "Decision":
        """The decision that clients train by a plan."""
        # As the constructor, in half the time.
        decision = object.__new__(cls)
        decision.__dict__.update(
            zip(FACTORS, plan, strict=True),
            assignment=assignment,
            power_w_per_hz=power_w_per_hz,
            selected=selected,
            cluster=cluster,
            clock=clock,
            quorum=0,
        )
        decision.__post_init__()
        return decision

    @property
    def plan(self) -> Plan:
        """How clients train."""
        return Plan(*_factors(self.__dict__))

    @property
    def cut_by_client(self) -> bool:
        """Whether each client has a cut layer of its own."""
        return np.ndim(self.cut_layer) == self.selected.ndim

    def of_first(self, clients: int) -> "Decision":
        """Of one world, without all but the first so many clients, which take no part."""
        of_clients = ("cut_layer", "selected", "cluster", "codec", "precision", "clock", "batch_size")
        own = {name: getattr(self, name) for name in of_clients}
        return replace(self, **{name: value[:clients] for name, value in own.items() if np.ndim(value)})

    @property
    def by_slot(self) -> bool:
        """Whether each slot has its own row of `assignment` and `power_w_per_hz`."""
        return self.assignment.ndim > self.selected.ndim

    def used(self, access: Access) -> Bools:
        """As `assignment`, of one world: whether a selected client has the subchannel, in its own slot if by slot."""
        owner = np.maximum(self.assignment, 0)
        used = (self.assignment >= 0) & self.selected[owner]
        if self.by_slot:
            used &= access.slot_of_clients(self.cluster)[owner] == np.arange(len(owner))[:, None]
        return used

    def world(self, index: int) -> "Decision":
        """One world of a batch."""
        return replace(self, **{name: value[index] for name, value in _arrays(self) if np.ndim(value)})

    def with_power(self, power_w_per_hz: Floats) -> "Decision":
        """The decision with other powers, of the same shape."""
        # As `replace`, in a tenth of the time.
        other = object.__new__(Decision)
        other.__dict__.update(self.__dict__, power_w_per_hz=power_w_per_hz)
        return other

    def batch(self) -> "Decision":
        """This one world as a batch of one."""
        return replace(self, **{name: np.array([value]) for name, value in _arrays(self)})

    @staticmethod
    def stack(decisions: Sequence["Decision"]) -> "Decision":
        """Several worlds, with arrays of the same shapes, as a batch."""
        return Decision(**{f.name: np.stack([getattr(d, f.name) for d in decisions]) for f in fields(Decision)})

    def check(self, state: RoundState) -> None:
        """Whether the round can be played so: all that there is to refuse is refused here.

        Args:
            state: Of one world, like the decision.

        Raises:
            InputError: a field does not fit the state, or the framework does not do this phi; the message names it.
        """
        check_state(state, one_world=True)
        check_decision(self, state)
        check_allowed_ratio(self.aggregation_ratio, state.system.highest_ratio, state.prescribed_ratio)


_factors = itemgetter(*FACTORS)


def _filled(shape: tuple[int, ...], value: Any) -> NDArray[Any]:
    """As `np.full`, in a third of the time."""
    array = np.empty(shape, np.int64 if type(value) is int else np.asarray(value).dtype)
    array.fill(value)
    return array


def _arrays(decision: Decision) -> list[tuple[str, Any]]:
    return [(f.name, getattr(decision, f.name)) for f in fields(decision)]
