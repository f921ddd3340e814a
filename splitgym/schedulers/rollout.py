"""`rollout`: a planner that tries variants of the index rule on the surrogate, from what it believes."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from splitgym.arrays import Floats
from splitgym.envs.imagined import BelievedLearners, ImaginedWorlds
from splitgym.schedulers.index import FEATURES, HIGHEST_EXPONENT, Index, Indices, index_decisions
from splitgym.schedulers.scheduler import Heuristic
from splitgym.schedulers.tuned_rule import INDEX, options_of, table
from splitgym.types import Decision, RoundState

VARIANTS: tuple[Mapping[str, float], ...] = (
    {},
    {"latency_exponent": 0.4},
    {"latency_exponent": -0.4},
    {"novelty": 0.3},
    {"novelty": -0.3},
    {"absence": 0.3},
    {"loss": 0.3},
    {"speed": 0.3},
)
"""What is added to parameters of the base; the first one is the base itself."""
REMEMBERED = 50
"""Believed states of the episode from which later rounds are drawn."""


class Rollout(Heuristic):
    """Policy improvement by rollout (Bertsekas and Tsitsiklis 1996) over the index rule, without a look at the future.

    Every `horizon` rounds it asks the surrogate how long each variant of a base rule would take to the target if it
    were followed for so many rounds, and the base from there on. The best variant is played, if it is better than the
    base by more than the standard error of the difference. Imagined rounds start from what is believed: as many
    surrogates as there are samples follow the episode by who took part, and those whose accuracy is unlike the measured
    one are dropped. Channels, speeds and clients stay as they are now for `horizon` rounds; later ones are drawn from
    those seen so far. Random numbers are its own, from the generator of the environment's action space, and common to
    all variants.

    Args:
        env: The environment.
        base: Scenario for which the index rule was tuned; None: the environment's if there is one, or else the index
            rule as it is.
        horizon: Rounds for which a choice is kept.
        samples: Imagined futures of every variant.
        rounds: Most rounds that are imagined; where the target is not reached the time budget counts.

    Attributes:
        variant: Number in `VARIANTS` of the one that is being played.

    Raises:
        ValueError: an option is not allowed, labels are private, the framework is asynchronous; the message says it.
        ScenarioError: the surrogate is not calibrated for the scenario.
    """

    variant = 0

    def __init__(
        self, env: gym.Env[Any, Any], base: str | None = None, horizon: int = 5, samples: int = 8, rounds: int = 100
    ) -> None:
        super().__init__(env)
        for name, value in (("horizon", horizon), ("samples", samples), ("rounds", rounds)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} = {value!r}, allowed: whole numbers from 1")
        if not self.env.system.labels_known or self.env.system.asynchrony is not None:
            raise ValueError(
                "rollout imagines rounds from class shares, allowed: known labels, no asynchronous framework"
            )
        of = base or self.env.scenario.name
        known = base is not None or INDEX in table().get(of, {})
        self._base = Index(self.env, **(options_of(INDEX, of) if known else {})).indices
        self._variants = _varied(self._base)
        self._horizon, self._rounds, self._samples = horizon, rounds, samples
        self._codec = self.env.codec("priority")
        self._learners = BelievedLearners(self.env.scenario, self.env.framework, samples)
        self._worlds = ImaginedWorlds(self.env.scenario, self.env.framework, samples * len(VARIANTS))
        self._seen: deque[RoundState] = deque(maxlen=REMEMBERED)

    def decide(self, state: RoundState) -> Decision:
        """What the chosen variant says; it is asked in every round of an episode.

        Raises:
            ValueError: the state is not the present one of the environment, whose states are remembered.
        """
        self.expect_own_state(state)
        rng = self.env.action_space.np_random
        if state.round == 0:
            self._seen.clear()
            self._learners.begin(state, rng)
        else:
            self._learners.learn(state, rng)
        self._seen.append(state)
        if state.round % self._horizon == 0:
            self.variant = self._best(self._times_s(state, rng))
        return index_decisions(self._codec, state.batch(), self._variants.world(self.variant)).world(0)

    @staticmethod
    def _best(time_s: Floats) -> int:
        """The variant with the shortest mean time, if that is beyond the error; `time_s` is [variants, samples]."""
        saved = time_s[0] - time_s
        error = saved.std(1, ddof=min(1, saved.shape[1] - 1)) / np.sqrt(saved.shape[1])
        certain = saved.mean(1) - error
        best = int(certain.argmax())
        return best if certain[best] > 0 else 0

    def _times_s(self, state: RoundState, rng: np.random.Generator) -> Floats:
        """[variants, samples] imagined time in the episode at which the target is reached, s."""
        worlds, goal = self._worlds, self.env.scenario.episode
        count = len(VARIANTS) * self._samples
        sample = np.tile(np.arange(self._samples), len(VARIANTS))
        worlds.go_on(state, self._learners, sample, rng, sample)
        variants, base = self._variants.repeat(self._samples), self._base.repeat(count)
        time_s, done = np.full(count, goal.time_budget_s), np.zeros(count, bool)
        for number in range(self._rounds):
            if number >= self._horizon:
                self._draw_cell(rng, sample)
            indices = variants if number < self._horizon else base
            played = worlds.play_unchecked(index_decisions(self._codec, worlds.state, indices), done)
            reached = played.first_reached & ~done
            time_s[reached] = worlds.state.elapsed_s[reached]
            done |= reached | played.truncated
            if done.all():
                break
        return time_s.reshape(len(VARIANTS), self._samples)

    def _draw_cell(self, rng: np.random.Generator, sample: Any) -> None:
        """Shows each sample the cell of a round that has been."""
        seen = [self._seen[at] for at in rng.integers(len(self._seen), size=self._samples)]
        self._worlds.show(
            np.stack([each.channel_gain for each in seen])[sample],
            np.stack([each.client_hz for each in seen])[sample],
            np.stack([each.available for each in seen])[sample],
        )


def _varied(base: Indices) -> Indices:
    """The variants of a base of one world."""
    varied, names = base.repeat(len(VARIANTS)), list(FEATURES)
    for number, added in enumerate(VARIANTS):
        for name, value in added.items():
            if name in names:
                varied.weights[number, names.index(name)] += value
            else:
                getattr(varied, name)[number] += value
    np.clip(varied.latency_exponent, 0.0, HIGHEST_EXPONENT, out=varied.latency_exponent)
    return varied
