"""What a scheduler answers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from splitgym.frameworks.phases import Turns
from splitgym.rounds.legal import check_allowed_ratio, check_decision, check_state
from splitgym.rounds.state import Bools, Floats, Ints, RoundState


@dataclass(frozen=True)
class Decision:
    """What a scheduler answers. Shapes are those of one world; a batch has a leading axis N."""

    cut_layer: Any
    """Last unit on the client, 1..L-1."""
    assignment: Ints
    """[M] index of the client that uses the subchannel, -1: unused; the band is dealt anew in each of several turns.

    Or [T, M], where clients take turns: the band of each turn exactly. Row c belongs to the cluster of that index, or
    to that client where clients go one by one; there, owners that are not of the turn do not count.
    """
    power_w_per_hz: Floats
    """[M] or [T, M], as `assignment`: transmit power spectral density on the subchannel, W/Hz."""
    selected: Bools
    """[C] who takes part."""
    aggregation_ratio: Any
    """phi, 0..1: share of the mini-batch whose last-layer gradients are averaged over clients."""
    cluster: Any = 0
    """[C] cluster of each client; clusters take their turns in increasing order. Read by frameworks with clusters."""

    def __post_init__(self) -> None:
        for name in ("assignment", "power_w_per_hz", "selected"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        if np.ndim(self.cluster) < 1:
            object.__setattr__(self, "cluster", np.full(self.selected.shape, self.cluster))

    @property
    def by_turn(self) -> bool:
        """Whether each turn has its own row of `assignment` and `power_w_per_hz`."""
        return self.assignment.ndim > self.selected.ndim

    def used(self, turns: Turns) -> Bools:
        """As `assignment`, of one world: whether a selected client has the subchannel, in its own turn if by turn."""
        owner = np.maximum(self.assignment, 0)
        used = (self.assignment >= 0) & self.selected[owner]
        if self.by_turn:
            used &= turns.of_clients(self.cluster)[owner] == np.arange(len(owner))[:, None]
        return used

    def world(self, index: int) -> "Decision":
        """One world of a batch."""
        return replace(self, **{name: value[index] for name, value in _arrays(self)})

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


def _arrays(decision: Decision) -> list[tuple[str, Any]]:
    return [(f.name, getattr(decision, f.name)) for f in fields(decision)]
