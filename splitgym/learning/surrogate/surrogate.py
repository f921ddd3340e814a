"""The surrogate learner: the calibrated dynamics in N worlds at once."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.data import class_counts, least_samples
from splitgym.data.dirichlet import Room
from splitgym.frameworks import Framework
from splitgym.frameworks.placements import Placement
from splitgym.frameworks.rows import rows_of_ratio
from splitgym.kernels import COMPILED, NO_REFCOUNT, Handle, kernel
from splitgym.learning.surrogate.calibration import calibration_for
from splitgym.learning.surrogate.dynamics import Evaluation, play_rounds
from splitgym.learning.surrogate.parameters import Parameters
from splitgym.learning.surrogate.reset import begin_episodes, draw_data
from splitgym.learning.surrogate.worlds import Before, Scratch, Worlds
from splitgym.random import Generators, Purpose, Streams, fill_normals_of_worlds, room_for
from splitgym.scenario import Scenario, ScenarioError
from splitgym.types import Decision, Flights, RoundOutcome

LEARNING = int(Purpose.LEARNING)


class Surrogate:
    """Answers in N worlds, without training, what a round teaches; see `dynamics.py` for how.

    Args:
        scenario: Task and training settings; `clients.count` is the most clients C that an episode may have.
        framework: Whose rounds they are.
        worlds: N.

    Attributes:
        calibration: The numbers of the dynamics, where they come from and how far they err.
        learners: The worlds, for kernels.
        network_costs: What the calibration says of the network's costs; None: nothing.
        data_share: [N, C] share of all training samples; 0 for clients that are absent from an episode.
        class_share: [N, C, K] share of each class in a client's samples; 0 for absent clients.
        outcome: What the last round taught, with a leading axis N; later rounds write into its arrays.
        before: The outcome of the round before, likewise.

    Raises:
        ScenarioError: the scenario is not calibrated with that framework; the message names the command that does it.
    """

    def __init__(self, scenario: Scenario, framework: Framework, worlds: int) -> None:
        self.calibration = calibration_for(scenario, framework.learns_as or framework.name)
        self.network_costs = self.calibration.network_costs
        micro_batches = scenario.training.micro_batches
        if micro_batches > 1 and (self.network_costs is None or self.network_costs.has_batch_norm):
            # Batch norm sees fewer rows at a time.
            raise ScenarioError(
                f"training.micro_batches = {micro_batches} with learner = 'surrogate' and batch norm in the network, "
                "allowed: 1, or learner = 'train'"
            )
        self._task = scenario.task
        train, test, clients = self.calibration.train_samples, self.calibration.test_samples, scenario.clients.count
        self._evaluation_samples = min(scenario.task.evaluation_samples or int(test.sum()), int(test.sum()))
        self._worlds = Worlds.empty(worlds, clients, len(test))
        self.data_share, self.class_share = self._worlds.data_share, self._worlds.class_share
        # It learns from shares, and has no samples.
        self.samples = self.samples_left = np.zeros((worlds, clients), np.int64)
        self.learners = Learners(
            self._worlds,
            self.calibration.parameters.at_cuts(self.calibration.cut_layers),
            Evaluation(test / test.sum(), self._evaluation_samples, scenario.task.evaluate_every),
            np.zeros((worlds, len(test) + 2 * clients)),
            np.zeros(room_for(2 + 2 * len(test) + 2 * clients)),
            Scratch.empty(clients, len(test)),
            np.zeros(worlds),
            np.ones((worlds, clients), np.int64),
            scenario.training.batch_size,
        )
        self._handle, self._room = Handle(), Room.empty(clients, len(train))
        # Frameworks that prescribe phi, leave tails to clients or generate rows, and text, are not calibrated.
        always: dict[str, Any] = {
            "finite": np.ones(worlds, bool),
            "client_second_cut": np.zeros((worlds, clients), np.int64),
            "evaluation_samples": np.full(worlds, self._evaluation_samples),
            "prescribed_ratio": np.full(worlds, np.nan),
            "generated_rows": np.zeros(worlds, np.int64),
            "bits_per_character": np.full(worlds, np.nan),
        }
        self.outcome = RoundOutcome(**{name: getattr(self._worlds, name) for name in Before._fields}, **always)
        self.before = RoundOutcome(**self._worlds.before._asdict(), **always)

    def reset(self, which: Ints, rngs: Generators, streams: Streams, clients: Ints, dirichlet_alpha: Floats) -> None:
        """Begins episodes in some worlds: how the data lie, and the effects of the run, are drawn.

        Args:
            which: [W] indices of the worlds; all of them at first.
            rngs: One generator for each of them, for the data unless partition='dirichlet'.
            streams: Of N worlds, for all else.
            clients: [W] how many of the C clients there are; the last ones are absent.
            dirichlet_alpha: [W] concentrations of partition='dirichlet'.
        """
        self.begin(which, self._class_counts(which, rngs, streams, clients, dirichlet_alpha), streams, clients)

    def begin(self, which: Ints, counts: Ints, streams: Streams, clients: Ints) -> None:
        """Begins episodes with known data; the effects of the run are drawn.

        Args:
            which: [W] indices of the worlds; all of them at first.
            counts: [W, C, K] samples of each class that clients have.
            streams: Of N worlds.
            clients: [W] how many of the C clients there are; the last ones are absent.
        """
        own = self.learners
        begin_episodes(
            own.worlds, which, clients, counts, streams, own.parameters, self._evaluation_samples, own.numbers
        )

    def follow(self, other: "Surrogate", which: Ints) -> None:
        """Becomes a copy of worlds of another surrogate of the same scenario, or of its own; [N] their indices."""
        for own, theirs in zip(_arrays(self._worlds), _arrays(other._worlds), strict=True):
            own[...] = theirs[which]

    def _class_counts(
        self, which: Ints, rngs: Generators, streams: Streams, clients: Ints, dirichlet_alpha: Floats
    ) -> Ints:
        """[W, C, K] samples of each class that clients have."""
        task, sizes = self._task, self.calibration.train_samples
        counts = np.zeros((len(which), self.class_share.shape[1], len(sizes)), np.int64)
        if task.partition == "dirichlet":
            least = least_samples(int(sizes.sum()), clients)
            draw_data(which, sizes, clients, dirichlet_alpha, least, streams, counts, self._room)
            return counts
        for own, count, rng in zip(counts, clients.tolist(), rngs, strict=True):
            own[:count] = class_counts(sizes, count, task.partition, rng, shards_per_client=task.shards_per_client)
        return counts

    def round(
        self,
        decision: Decision,
        participants: Bools,
        streams: Streams,
        flights: Flights | None = None,
        placements: Sequence[Placement] | None = None,
    ) -> None:
        """Learns a round in all worlds.

        Args:
            decision: Of N worlds.
            participants: [N, C] participating clients; only those that are present.
            streams: Of N worlds.
            flights: Not used.
            placements: Not used.
        """
        self.learners.cut_layer[...] = np.asarray(decision.cut_layer).reshape(len(participants), -1)
        _learn(self._handle.of(self.learners), streams, participants, decision.aggregation_ratio)


def _arrays(worlds: Worlds) -> Iterator[Any]:
    for field in worlds:
        yield from field if isinstance(field, Before) else (field,)


class Learners(NamedTuple):
    """N surrogates for kernels."""

    worlds: Worlds
    parameters: Parameters
    evaluation: Evaluation
    normals: Floats
    """[N, K + 2 C] for random numbers, see `play_rounds`."""
    numbers: Floats
    """Workspace for random numbers of one world."""
    room: Scratch
    aggregated: Floats
    """[N] workspace for fractions of the rows."""
    cut_layer: Ints
    """[N, C] at which each client trains."""
    batch_size: int


@kernel(NO_REFCOUNT)
def learn(of: Learners, streams: Streams, participants: Bools, aggregation_ratio: Floats) -> None:
    """`play_rounds` with numbers of the streams.

    Args:
        of: Whose cut layers are those of the round.
        streams: Of N worlds.
        participants: [N, C]
        aggregation_ratio: [N]
    """
    fill_normals_of_worlds(streams, LEARNING, of.normals, of.numbers)
    for n in range(aggregation_ratio.shape[0]):
        of.aggregated[n] = rows_of_ratio(aggregation_ratio[n], of.batch_size) / of.batch_size
    play_rounds(of.worlds, of.cut_layer, participants, of.aggregated, of.normals, of.parameters, of.evaluation, of.room)


@kernel(COMPILED)
def _learn(learners: Any, streams: Streams, participants: Bools, aggregation_ratio: Floats) -> None:
    """`learn`; `learners`: a handle."""
    learn(learners.held, streams, participants, aggregation_ratio)
