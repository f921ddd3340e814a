"""How rules choose among placements of the units behind the cut."""

from collections.abc import Callable
from typing import Any, NamedTuple

from splitgym.allocation.descent.descent import rank
from splitgym.allocation.legalise import legalise_unchecked
from splitgym.timing.cost import RoundCost, round_cost_unchecked
from splitgym.types import Decision, RoundState

HOW = ("stays", "best", "threshold")
"""The first round's placement for good; that of the shortest round; another one only if that makes up for the move."""


class _Option(NamedTuple):
    """What a placement promises for a round."""

    decision: Decision
    cost: RoundCost

    @property
    def relocation_s(self) -> float:
        """Seconds of the round in which units move."""
        return float(self.cost.seconds_by_stage().get("relocation", 0.0))

    @property
    def rank(self) -> Any:
        """The better the lower."""
        return rank(self.cost.participants.sum(), self.cost.latency_s)


class Placing:
    """A way to choose a placement in every round.

    Args:
        how: Index of the placement, or one of `HOW`; None: the first one.
        rounds: With "threshold": rounds whose saving has to exceed the seconds of the move.
        placements: How many there are.

    Raises:
        ValueError: an argument is not allowed; the message says what is.
    """

    def __init__(self, how: Any, rounds: int, placements: int) -> None:
        allowed = f"0..{placements - 1}, {', '.join(HOW)}" if placements > 1 else "None, as nobody decides it"
        is_index = isinstance(how, int) and not isinstance(how, bool) and 0 <= how < placements
        if how is not None and not (placements > 1 and (is_index or how in HOW)):
            raise ValueError(f"placement = {how!r}, allowed: {allowed}")
        if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
            raise ValueError(f"placement_rounds = {rounds!r}, allowed: whole numbers from 1")
        self._how, self._rounds, self._placements = 0 if how is None else how, rounds, placements

    def before(self, state: RoundState) -> int:
        """The placement under which clients are selected: that of the last round, where it may change."""
        return self._how if isinstance(self._how, int) else max(int(state.placement), 0)

    def choose(self, state: RoundState, under: Callable[[int], Decision]) -> Decision:
        """The decision of the round.

        Args:
            state: Of one world, as the scheduler believes it.
            under: The decision under a placement.
        """
        if isinstance(self._how, int):
            return under(self._how)
        held = int(state.placement)
        if self._how == "stays" and held >= 0:
            return under(held)
        options = [_option(state, under(k)) for k in range(self._placements)]
        if self._how == "threshold" and held >= 0:
            return max(options, key=lambda option: self._gain(option, options[held])).decision
        return min(options, key=lambda option: option.rank).decision

    def _gain(self, option: _Option, held: _Option) -> tuple[int, float]:
        """More clients that take part, and seconds saved in some rounds less those of the move; 0 of what is held."""
        more = int(option.cost.participants.sum() - held.cost.participants.sum())
        saved_s = float(held.cost.latency_s - option.cost.latency_s) + option.relocation_s
        return more, self._rounds * saved_s - option.relocation_s if option is not held else 0.0


def _option(state: RoundState, decision: Decision) -> _Option:
    """What a decision is expected to cost."""
    decision, _ = legalise_unchecked(decision, state)
    return _Option(decision, round_cost_unchecked(state, decision))
