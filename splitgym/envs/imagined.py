"""Worlds that go on from what is believed, on the surrogate: what a planner may try, without a look at the truth."""

from dataclasses import fields

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.envs.world import World
from splitgym.frameworks import Framework
from splitgym.learning.surrogate import Surrogate
from splitgym.random import Generators, Streams
from splitgym.scenario import Scenario, build
from splitgym.types import Decision, RoundState

UNLIKE = 0.05
"""Standard deviation of accuracy by which an imagined learner may differ from what was measured."""


def measured_exactly(scenario: Scenario) -> Scenario:
    """The scenario with accuracy measured on the whole test set after every round: imagination needs no noise."""
    return build(scenario, {"task": {"evaluation_samples": None, "evaluate_every": 1}})


class BelievedLearners:
    """S surrogates that learn what the rounds of an episode may have taught, as far as is known.

    They begin with the data that the clients have, draw the effects of the run for themselves, and follow the rounds by
    who took part in them. Of those whose accuracy is unlike the measured one, fewer go on (a particle filter).

    Args:
        scenario: Of the environment.
        framework: Of the environment.
        samples: S.
    """

    def __init__(self, scenario: Scenario, framework: Framework, samples: int) -> None:
        self.surrogate = Surrogate(measured_exactly(scenario), framework, samples)
        self._streams, self._samples = Streams.empty(samples), samples

    def begin(self, state: RoundState, rng: np.random.Generator) -> None:
        """Begins an episode in its first state."""
        everyone = np.arange(self._samples)
        self._streams.begin_episodes(everyone, _generators(rng, self._samples))
        total = self.surrogate.calibration.train_samples.sum()
        counts = np.rint(state.class_share * state.data_share[:, None] * total).astype(np.int64)
        clients = np.full(self._samples, int(state.present.sum()))
        self.surrogate.begin(everyone, np.repeat([counts], self._samples, 0), self._streams, clients)

    def learn(self, state: RoundState, rng: np.random.Generator) -> None:
        """Follows the last round of the episode, of which a state tells."""
        self._streams.round[:] += 1
        took_part = np.repeat([state.participated], self._samples, 0)
        cut_layer = np.maximum(state.client_cut_layer if state.client_cut_layer.any() else state.cut_layer, 1)
        cuts = np.repeat([np.broadcast_to(cut_layer, state.available.shape)], self._samples, 0)
        ratio = np.full(self._samples, float(state.last_aggregation_ratio))
        nothing = np.full((self._samples, 1), -1)
        decision = Decision(cuts, nothing, np.zeros(nothing.shape), took_part, ratio)
        self.surrogate.round(decision, took_part, self._streams)
        unlike = (self.surrogate.outcome.accuracy - float(state.accuracy)) / UNLIKE
        weight = np.exp(-((unlike**2) - (unlike**2).min()) / 2)
        weight /= weight.sum()
        if 1 / (weight**2).sum() < self._samples / 2:
            places = (rng.random() + np.arange(self._samples)) / self._samples
            chosen = np.minimum(np.searchsorted(np.cumsum(weight), places), self._samples - 1)
            self.surrogate.follow(self.surrogate, chosen)


class ImaginedWorlds(World):
    """N worlds that go on from a believed state; their channels, speeds and clients are those that are shown to them.

    Args:
        scenario: Of the environment.
        framework: Of the environment.
        worlds: N.
    """

    def __init__(self, scenario: Scenario, framework: Framework, worlds: int) -> None:
        super().__init__(measured_exactly(scenario), framework, "surrogate", worlds)
        self._imagined = np.arange(worlds)
        # What no state tells, such as the places of clients, is of no use, but has to be there.
        self.reset(_generators(np.random.default_rng(0), worlds), self._imagined)

    def go_on(
        self, state: RoundState, learners: BelievedLearners, which: Ints, rng: np.random.Generator, alike: Ints
    ) -> None:
        """Goes on from a state in all worlds.

        Args:
            state: Of one world, as the scheduler believes it.
            learners: What may have been learnt.
            which: [N] the learner of each world.
            rng: Draws what will happen.
            alike: [N] worlds with the same number have the same random numbers.
        """
        keys = rng.integers(2**63, size=int(alike.max()) + 1)
        self._streams.begin_episodes(self._imagined, [np.random.default_rng(key) for key in keys[alike]])
        assert isinstance(self._learner, Surrogate)
        self._learner.follow(learners.surrogate, which)
        self._history.forget(self._imagined)
        for shown in (self.state, self.truth):
            for field in fields(RoundState):
                if field.name not in ("system", "flights"):
                    getattr(shown, field.name)[...] = getattr(state, field.name)

    def show(self, channel_gain: Floats, client_hz: Floats, available: Bools) -> None:
        """Sets what the next round finds: [N, C, M] gains, [N, C] cycles/s, [N, C] whether each client is available."""
        for shown in (self.state, self.truth):
            shown.channel_gain[...], shown.client_hz[...], shown.available[...] = channel_gain, client_hz, available

    def advance(self) -> None:
        """Nothing moves by itself."""


def _generators(rng: np.random.Generator, count: int) -> Generators:
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count)]
