"""A round of the surrogate as one kernel; to call several, one after the other, takes longer than they work."""

from typing import Any, NamedTuple

import numpy as np

from splitgym.allocation.budget import keep_within
from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.history import History, remember_round
from splitgym.kernels import COMPILED, Handle, kernel
from splitgym.learning.surrogate.surrogate import Learners, Surrogate, learn
from splitgym.random import Streams
from splitgym.timing.amounts import plan_of
from splitgym.timing.cost import Clock, RoundCost, decided_of
from splitgym.timing.records import Decided, Rounds
from splitgym.timing.slots import walk_with_static_shares
from splitgym.types import Decision, RoundState


class _Parts(NamedTuple):
    """All that a round of N worlds reads and writes, beside what is decided."""

    rounds: Rounds
    learners: Learners
    streams: Streams
    history: History
    spent_w: Floats
    """[C] workspace."""


class SurrogateRound:
    """Plays rounds of N worlds in which learning is a model of it, shares are static, and everybody waits for all.

    It does what `project_power`, the clock, the learner and the history do one after the other.

    Args:
        surrogate: What learns.
        streams: Of N worlds.
        history: Likewise.
    """

    def __init__(self, surrogate: Surrogate, streams: Streams, history: History) -> None:
        self._surrogate, self._streams, self._history = surrogate, streams, history
        self._parts: _Parts | None = None
        self._handle = Handle()

    def play(self, decision: Decision, state: RoundState, clock: Clock) -> tuple[Decision, Bools, RoundCost]:
        """The decision within the budgets of power, [N] whether one had been broken, and what the round costs.

        Args:
            decision: Of N worlds, legal but for powers.
            state: What the round runs on.
            clock: Of that state's system.
        """
        rounds = clock.rounds(state)
        if self._parts is None or self._parts.rounds is not rounds:
            spent_w = np.empty(state.available.shape[1])
            self._parts = _Parts(rounds, self._surrogate.learners, self._streams, self._history, spent_w)
        legal = decision.with_power(np.array(decision.power_w_per_hz, np.float64))
        broken = np.zeros(len(decision.selected), np.bool_)
        ratio = np.asarray(decision.aggregation_ratio, np.float64)
        _play(self._handle.of(self._parts), broken, ratio, *decided_of(legal, state))
        return legal, broken, clock.last


@kernel(COMPILED)
def _play(
    parts: Any,
    broken: Bools,
    aggregation_ratio: Floats,
    plan: Ints,
    selected: Bools,
    cluster: Ints,
    owner: Ints,
    psd: Floats,
    by_slot: bool,
    clock: Floats,
) -> None:
    """One round of N worlds.

    Args:
        parts: A handle of `_Parts`.
        broken: [N] filled: whether a power budget had been broken.
        aggregation_ratio: [N]
        plan: As in `Decided`, like the rest.
        selected: Likewise.
        cluster: Likewise.
        owner: Likewise.
        psd: Likewise; scaled down to the budgets.
        by_slot: Likewise.
        clock: Likewise.
    """
    of = parts.held
    worlds, walked, walker, learners = of.rounds.worlds, of.rounds.walked, of.rounds.walker, of.learners
    constants, rules = walker.constants, walker.rules
    budgets = constants.client_max_w, constants.total_max_w
    keep_within(rules.access, by_slot, *budgets, of.spent_w, worlds.hz, selected, cluster, owner, psd, broken)
    decided = Decided(plan, selected, cluster, owner, psd, by_slot, clock)
    walk_with_static_shares(walker.rows, constants, rules, walker.barrier, worlds, decided, walked, walker.workspace)
    for n in range(len(broken)):
        of.streams.round[n] += 1
        for c in range(selected.shape[1]):
            learners.cut_layer[n, c] = rules.cut_layer[plan_of(plan[n], c)]
    learn(learners, of.streams, walked.participants, aggregation_ratio)
    remember_round(
        of.history,
        of.streams.round,
        walked.participants,
        walked.latency_s,
        walked.client_energy_j,
        walked.server_energy_j,
        aggregation_ratio,
        learners.worlds.accuracy,
        learners.worlds.evaluated,
    )
