"""Real learners of N worlds at once."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from splitgym import data
from splitgym.arrays import Bools, Floats, Ints
from splitgym.frameworks import Framework
from splitgym.frameworks.placements import Placement
from splitgym.learning.device import training_device
from splitgym.learning.learner import Learner
from splitgym.models import NetworkCosts
from splitgym.random import Generators, Streams
from splitgym.scenario import Family, Scenario
from splitgym.types import Decision, Flights, RoundOutcome


class RealLearners:
    """N worlds in which every round is really trained, one world after the other.

    Args:
        scenario: Task and training settings.
        framework: Its training round.
        worlds: N.
        device: Where to train; None: cuda if there is one, else cpu.

    Attributes:
        data_share: [N, C] share of all training samples; 0 for clients that are absent from an episode.
        class_share: [N, C, K] share of each class in a client's samples; 0 for absent clients.
        samples: [N, C] training samples of each client; 0 for absent clients.
        samples_left: [N, C] those that it has not trained on yet since it last began with all of them.
        outcome: What the last round taught, with a leading axis N; later rounds write into its arrays.
        before: The outcome of the round before, likewise.
        learners: The learner of each world.
    """

    network_costs: NetworkCosts | None = None
    """Measured: torch is there already, and a network of one's own may have changed."""

    def __init__(self, scenario: Scenario, framework: Framework, worlds: int, device: str | None = None) -> None:
        self._scenario, self._framework, self._device = scenario, framework, training_device(device)
        # A relative path shall mean the same file in whatever folder Python runs later.
        self._dimensions, self._dataset = data.dimensions(scenario.task.dataset), data.located(scenario.task.dataset)
        self.learners: list[Learner | None] = [None] * worlds
        clients, (_, classes) = scenario.clients.count, self._dimensions
        self.data_share, self.class_share = np.zeros((worlds, clients)), np.zeros((worlds, clients, classes))
        self.samples, self.samples_left = np.zeros((2, worlds, clients), np.int64)
        self.outcome, self.before = (RoundOutcome.empty(worlds, clients) for _ in range(2))

    def reset(self, which: Ints, rngs: Generators, streams: Streams, clients: Ints, dirichlet_alpha: Floats) -> None:
        """Begins episodes in some worlds, with data and weights drawn from their generators.

        Args:
            which: [W] indices of the worlds.
            rngs: One generator for each of them.
            streams: Not used.
            clients: [W] how many of the C clients there are; the last ones are absent.
            dirichlet_alpha: [W] concentrations of partition='dirichlet'.
        """
        for world, rng, count, alpha in zip(which, rngs, clients.tolist(), dirichlet_alpha.tolist(), strict=True):
            self._begin(world, rng, count, alpha)
        self._remember(which)

    def _begin(self, world: int, rng: np.random.Generator, clients: int, dirichlet_alpha: float) -> None:
        """Makes the learner of one world.

        Raises:
            DataError: the data set cannot be read, or has changed so that its rounds would be timed wrongly.
        """
        found = data.dimensions(self._dataset)
        if found != self._dimensions:
            raise data.DataError(
                f"dataset {self._dataset!r} has changed: (channels, height, width) and classes are {found}, but its "
                f"rounds are timed for {self._dimensions}; make the environment again"
            )
        scenario = self._scenario.model_copy(
            update={
                "clients": self._scenario.clients.model_copy(update={"count": clients}),
                "family": Family(),
                "task": self._scenario.task.model_copy(
                    update={"dataset": self._dataset, "dirichlet_alpha": dirichlet_alpha}
                ),
            }
        )
        learner = Learner(scenario, self._framework, int(rng.integers(2**63)), self._device)
        self.learners[world] = learner
        self.data_share[world] = self._padded(learner.data_share)
        self.samples[world] = self._padded(learner.samples)
        self.class_share[world] = 0.0
        self.class_share[world, :clients] = learner.class_counts / learner.class_counts.sum(1, keepdims=True)
        self._put(world, learner.outcome)

    def round(
        self,
        decision: Decision,
        participants: Bools,
        streams: Streams,
        flights: Flights | None = None,
        placements: Sequence[Placement] | None = None,
    ) -> None:
        """Trains a round in every world.

        Args:
            decision: Of N worlds.
            participants: [N, C] which clients really take part.
            streams: Not used.
            flights: With an asynchronous framework what is in flight at the end of the step.
            placements: [N] with a path of servers which of these train which units; None: as before.
        """
        self._remember(slice(None))
        for world, learner in enumerate(self.learners):
            assert learner is not None, "reset all worlds first"
            clients = len(learner.data_share)
            own = replace(decision.world(world), selected=participants[world]).of_first(clients)
            placement = None if placements is None else placements[world]
            self._put(world, learner.round(own, flights and flights.world(world, clients), placement))

    def _remember(self, which: Ints | slice) -> None:
        """Keeps the outcomes of some worlds as those of the round before."""
        for field in fields(RoundOutcome):
            getattr(self.before, field.name)[which] = getattr(self.outcome, field.name)[which]

    def _put(self, world: int, outcome: RoundOutcome) -> None:
        """Keeps the outcome of a world, with all C clients."""
        learner = self.learners[world]
        assert learner is not None
        self.samples_left[world] = self._padded(learner.samples_left)
        for field in fields(RoundOutcome):
            value = getattr(outcome, field.name)
            getattr(self.outcome, field.name)[world] = self._padded(value) if np.ndim(value) else value

    def _padded(self, values: NDArray) -> NDArray:
        """[C] values of the clients there are, 0 for the others."""
        return np.pad(values, (0, self._scenario.clients.count - len(values)))
