"""The surrogate learner: the calibrated dynamics in N worlds at once."""

from collections.abc import Sequence

import numpy as np

from splitgym.arrays import Bools, Floats, Ints
from splitgym.data import class_counts_of_worlds
from splitgym.frameworks import Framework, aggregated_rows
from splitgym.learning.surrogate.calibration import calibration_for
from splitgym.learning.surrogate.dynamics import play_round
from splitgym.learning.surrogate.reset import begin_episodes
from splitgym.learning.surrogate.worlds import Worlds
from splitgym.random import Generators
from splitgym.scenario import Scenario
from splitgym.types import Decision, RoundOutcome


class Surrogate:
    """Answers in N worlds, without training, what a round teaches; see `dynamics.py` for how.

    Args:
        scenario: Task and training settings; `clients.count` is the most clients C that an episode may have.
        framework: Whose rounds they are.
        worlds: N.

    Attributes:
        calibration: The numbers of the dynamics, where they come from and how far they err.
        network_costs: What the calibration says of the network's costs; None: nothing.
        normals_per_reset: Standard normal numbers that a world needs for the start of an episode.
        normals_per_round: Standard normal numbers that a world needs for a round.
        data_share: [N, C] share of all training samples; 0 for clients that are absent from an episode.

    Raises:
        ScenarioError: the scenario is not calibrated with that framework; the message names the command that does it.
    """

    def __init__(self, scenario: Scenario, framework: Framework, worlds: int) -> None:
        self.calibration = calibration_for(scenario, framework.learns_as or framework.name)
        self.network_costs = self.calibration.network_costs
        self._task, self._batch_size = scenario.task, scenario.training.batch_size
        test = self.calibration.test_samples
        self.normals_per_reset = 2 + 2 * len(test)
        self.normals_per_round = len(test) + 2 * scenario.clients.count
        self._evaluation_samples = min(scenario.task.evaluation_samples or int(test.sum()), int(test.sum()))
        # Frameworks that prescribe phi are not calibrated.
        self._always = {
            "finite": np.ones(worlds, bool),
            "evaluation_samples": np.full(worlds, self._evaluation_samples),
            "prescribed_ratio": np.full(worlds, np.nan),
        }
        self._parameters = self.calibration.parameters.at_cuts(self.calibration.cut_layers)
        self._test_share = test / test.sum()
        self._worlds = Worlds.empty(worlds, scenario.clients.count, len(test))
        self.data_share, self.class_share = self._worlds.data_share, self._worlds.class_share
        self._outcome: RoundOutcome | None = None

    @property
    def outcome(self) -> RoundOutcome:
        """What the last round taught, with a leading axis N; its arrays stay as they are."""
        if self._outcome is None:
            w = self._worlds
            self._outcome = RoundOutcome(
                accuracy=w.accuracy.copy(),
                worst_accuracy=w.worst_accuracy.copy(),
                balanced_accuracy=w.balanced_accuracy.copy(),
                loss=w.loss.copy(),
                client_loss=w.client_loss.copy(),
                client_accuracy=w.client_accuracy.copy(),
                cut_layer=w.cut_layer.copy(),
                client_cut_layer=w.client_cut_layer.copy(),
                trained=w.trained.copy(),
                evaluated=w.evaluated.copy(),
                **{name: values.copy() for name, values in self._always.items()},
            )
        return self._outcome

    def reset(
        self,
        which: Sequence[int] | Ints,
        rngs: Generators,
        clients: Ints,
        dirichlet_alpha: Floats,
        normals: Floats,
    ) -> None:
        """Begins episodes in some worlds: how the data lie, and the effects of the run, are drawn.

        Args:
            which: [W] indices of the worlds; all of them at first.
            rngs: One generator for each of them, for the data.
            clients: [W] how many of the C clients there are; the last ones are absent.
            dirichlet_alpha: [W] concentrations of partition='dirichlet'.
            normals: [W, normals_per_reset] standard normal numbers, for accuracy and effects of the run.
        """
        counts = class_counts_of_worlds(
            self.calibration.train_samples,
            clients,
            self._worlds.class_share.shape[1],
            self._task.partition,
            rngs,
            dirichlet_alpha,
            self._task.shards_per_client,
        )
        begin_episodes(
            self._worlds, np.asarray(which), clients, counts, normals, self._parameters, self._evaluation_samples
        )
        self._outcome = None

    def round(self, decision: Decision, participants: Bools, normals: Floats) -> None:
        """Learns a round in all worlds.

        Args:
            decision: Of N worlds.
            participants: [N, C] participating clients; only those that are present.
            normals: [N, normals_per_round] standard normal numbers.
        """
        play_round(
            self._worlds,
            np.asarray(decision.cut_layer, np.int64),
            participants,
            aggregated_rows(decision.aggregation_ratio, self._batch_size) / self._batch_size,
            normals,
            self._parameters,
            self._test_share,
            self._evaluation_samples,
            self._task.evaluate_every,
        )
        self._outcome = None
