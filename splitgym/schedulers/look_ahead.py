"""`look-ahead`: an oracle that sees the truth and the future; an upper reference for schedulers, not one of them."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from splitgym.arrays import Floats
from splitgym.envs import SplitLearningEnv
from splitgym.schedulers.index import Index
from splitgym.schedulers.registry import make, parse
from splitgym.schedulers.rule import Rule
from splitgym.schedulers.scheduler import Heuristic
from splitgym.schedulers.tuned_rule import TunedRule
from splitgym.types import Decision, RoundState

FRACTIONS = (0.25, 0.5, 0.75)
"""The default candidates select about so many of all clients."""
WEIGHTS = (0.0, 0.5, 1.0)
"""w of `unified` among the default candidates."""


@dataclass(frozen=True)
class Rollout:
    """What one rule did in n rounds of a copy of the world; followed in the world itself, the same happens."""

    rule: Heuristic
    aggregation_ratio: float
    """phi that the rule was given."""
    first_round: int
    """Rounds done in the episode at its start."""
    decisions: tuple[Decision, ...]
    """[n]."""
    elapsed_s: Floats
    """[n + 1] simulated time at its start and after each of its rounds."""
    accuracy: Floats
    """[n + 1] likewise: test accuracy as last measured."""
    reaches_target: bool
    """Whether it ends with the target reached."""

    @property
    def target_s(self) -> float:
        """Simulated time at which the target is reached; infinite if it is not."""
        return float(self.elapsed_s[-1]) if self.reaches_target else inf

    @property
    def gain_per_s(self) -> float:
        """Accuracy gained per simulated second: the slope of the least-squares line through all its measurements.

        A single measurement is too noisy to tell how much a few rounds have gained; of one round the slope is just the
        gain per second.
        """
        time_s = self.elapsed_s - self.elapsed_s.mean()
        spread = float(time_s @ time_s)
        return float(time_s @ self.accuracy) / spread if spread > 0 else -inf

    def better_than(self, other: "Rollout | None") -> bool:
        """Whether it reaches the target earlier or, if neither reaches it, gains more per second."""
        return other is None or (self.target_s, -self.gain_per_s) < (other.target_s, -other.gain_per_s)


class LookAhead(Heuristic):
    """Tries every candidate on a copy of the world, by real training, and plays the best one for some rounds.

    The copy draws the same random numbers as the episode will, so what a candidate did there is what will happen. The
    candidates are tried at the scenario's phi, then the best of them at the other levels, if the framework leaves phi
    to choose. With `until="target"` a rollout that reaches the target is only given up for one that reaches it earlier:
    the oracle is then never later than the best of its candidates at the scenario's phi, played all the time on the
    truth. It also knows which mini-batches will help by accident; part of its lead is of that kind.

    With an encoding of actions that cannot say all of a decision the episode leaves the rollout, and every round is
    looked at again.

    Args:
        env: The environment.
        horizon: Rounds for which a choice is kept; 1: the one-step look-ahead.
        until: How far it looks: for the horizon, by accuracy gained per second; or until the target is reached or
            a budget is spent, by the time of the target.
        candidates: Rules as `splitgym.schedulers.parse` reads them, with + between them; None: everybody, `unified`
            with w = 0, 0.5 and 1, and a quarter, half and three quarters of the clients by each of
            `loss-per-second-k`, `fastest-k` and `highest-loss-k`; where labels are private, without those that read
            losses.

    Attributes:
        candidates: Names of the rules that it tries.
        rollout: What is being played; None before the first decision.

    Raises:
        ValueError: an option is not allowed; the message names it.
    """

    rollout: Rollout | None = None

    def __init__(
        self,
        env: gym.Env[Any, Any],
        horizon: int = 5,
        until: Literal["horizon", "target"] = "horizon",
        candidates: str | None = None,
    ) -> None:
        super().__init__(env)
        if not isinstance(horizon, int) or horizon < 1:
            raise ValueError(f"horizon = {horizon!r}, allowed: whole numbers from 1")
        if until not in ("horizon", "target"):
            raise ValueError(f"until = {until!r}, allowed: 'horizon', 'target'")
        self._horizon = horizon
        self._rounds = horizon if until == "horizon" else self.env.scenario.episode.max_rounds
        self.candidates = candidates.split("+") if candidates else _default(self.env)
        self._rules = [_rule(name, self.env) for name in self.candidates]

    def decide(self, state: RoundState) -> Decision:
        """What the rollout says, remade every `horizon` rounds; once the target is reached its rule goes on.

        Raises:
            ValueError: the state is not the present one of the environment, which is what is looked at.
        """
        self.expect_own_state(state)
        rollout = self.rollout if self.rollout is not None and _is_followed(self.rollout, state) else None
        if rollout is None or self._must_look(rollout, state.round):
            rollout = self._look(rollout)
        self.rollout = rollout
        done = state.round - rollout.first_round
        if done < len(rollout.decisions):
            return rollout.decisions[done]
        return _decide(rollout.rule, self.env.truth, rollout.aggregation_ratio)

    def _must_look(self, rollout: Rollout, at_round: int) -> bool:
        over = at_round >= rollout.first_round + len(rollout.decisions)
        return not rollout.reaches_target if over else at_round % self._horizon == 0

    def _look(self, rollout: Rollout | None) -> Rollout:
        """The best rollout from here on; the present one stays if it reaches the target and none does so earlier."""
        first, *others = self._rules
        before = rollout if rollout is not None and rollout.reaches_target else None
        best = self._better(before, first, first.aggregation_ratio)
        for rule in others:
            best = self._better(best, rule, rule.aggregation_ratio)
        if self.env.framework.aggregates and np.isnan(self.env.truth.prescribed_ratio):
            rule, known = best.rule, {best.rule.aggregation_ratio, best.aggregation_ratio}
            for ratio in self.env.aggregation_levels:
                if ratio not in known:
                    best = self._better(best, rule, ratio)
        return best

    def _better(self, best: Rollout | None, rule: Heuristic, aggregation_ratio: float) -> Rollout:
        tried = self._try(rule, aggregation_ratio, inf if best is None else best.target_s)
        return tried if best is None or tried.better_than(best) else best

    def _try(self, rule: Heuristic, aggregation_ratio: float, until_s: float) -> Rollout:
        """Plays a rule on a copy of the world; not beyond a time at which the target is reached anyway."""
        world, goal = self.env.fork(), self.env.scenario.episode
        start = world.truth.world(0).copy()
        decisions: list[Decision] = []
        progress = [(float(start.elapsed_s), float(start.accuracy))]
        reaches_target = False
        while (
            not reaches_target
            and len(decisions) < min(self._rounds, goal.max_rounds - start.round)
            and progress[-1][0] < min(goal.time_budget_s, until_s)
        ):
            decisions.append(_decide(rule, world.truth.world(0), aggregation_ratio))
            world.play(decisions[-1].batch())
            after = world.truth.world(0).copy()
            progress.append((float(after.elapsed_s), float(after.accuracy)))
            reaches_target = after.elapsed_s <= goal.time_budget_s and after.accuracy >= goal.target_accuracy
        elapsed_s, accuracy = np.array(progress).T
        return Rollout(rule, aggregation_ratio, int(start.round), tuple(decisions), elapsed_s, accuracy, reaches_target)


def _rule(name: str, env: SplitLearningEnv) -> Heuristic:
    agent_name, options = parse(name)
    rule = make(agent_name, env, **options)
    if isinstance(rule, Rule | Index | TunedRule):
        return rule
    raise ValueError(f"candidates: {name!r} is no rule that decides each round by itself, allowed: those that do")


def _default(env: SplitLearningEnv) -> list[str]:
    numbers = sorted({max(1, round(fraction * env.scenario.clients.count)) for fraction in FRACTIONS})
    if not env.system.labels_known:
        return ["greedy", *(f"fastest-k:k={k}" for k in numbers)]
    rules = ("loss-per-second-k", "fastest-k", "highest-loss-k")
    return ["greedy", *(f"unified:w={w:g}" for w in WEIGHTS), *(f"{rule}:k={k}" for rule in rules for k in numbers)]


def _decide(rule: Heuristic, truth: RoundState, aggregation_ratio: float) -> Decision:
    """The rule's decision on the truth with this phi, unless the framework prescribes another."""
    return rule.decide(replace(truth, prescribed_ratio=truth.ratio(aggregation_ratio)))


def _is_followed(rollout: Rollout, state: RoundState) -> bool:
    """Whether the episode is where the rollout foresaw it; one that is over has been followed to its end."""
    done = int(state.round) - rollout.first_round
    return done > len(rollout.decisions) or (done >= 0 and rollout.elapsed_s[done] == state.elapsed_s)
