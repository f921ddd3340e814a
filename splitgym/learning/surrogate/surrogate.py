"""The surrogate learner: the calibrated law in N worlds at once."""

from functools import partial
from math import exp

import numpy as np
from numpy.typing import NDArray

from splitgym.data import class_counts
from splitgym.frameworks import Framework
from splitgym.learning.surrogate.calibration import calibration_for
from splitgym.learning.surrogate.law import play_round
from splitgym.learning.surrogate.worlds import Worlds, settle
from splitgym.scenario import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

GUESSING_SPREAD = 0.3
"""Standard deviation of the accuracy of an untrained network, as a share of 1 / K."""


class Surrogate:
    """Answers in N worlds, without training, what a round teaches; see `law.py` for how.

    Its arrays have the meaning of the fields of `RoundOutcome` and `RoundState`, a leading axis N, and are changed in
    place. A world is to be reset before its first round.

    Args:
        scenario: Task and training settings; `clients.count` is the most clients C that an episode may have.
        framework: Whose rounds they are.
        worlds: N.

    Attributes:
        normals_per_round: Standard normals that a world needs for a round.
        data_share: [N, C] share of all training samples; 0 where an episode has fewer clients.
        accuracy: [N]
        worst_accuracy: [N]
        balanced_accuracy: [N]
        loss: [N]
        client_loss: [N, C]
        client_accuracy: [N, C]
        cut_layer: [N]
        client_cut_layer: [N, C]
        trained: [N]
        finite: [N] always true.
        evaluated: [N]
        evaluation_samples: As in `RoundOutcome`.
        prescribed_ratio: [N] NaN: whoever decides chooses phi.

    Raises:
        ScenarioError: the scenario is not calibrated with that framework; the message names the command that does it.
    """

    def __init__(self, scenario: Scenario, framework: Framework, worlds: int) -> None:
        calibration = calibration_for(scenario, framework.name)
        task, test = scenario.task, calibration.test_samples
        self.normals_per_round = len(test) + 2 * scenario.clients.count
        self.evaluation_samples = min(task.evaluation_samples or int(test.sum()), int(test.sum()))
        self.calibration = calibration
        self._evaluate_every = task.evaluate_every
        self._batch_size = scenario.training.batch_size
        self._parameters = calibration.parameters.at_cuts(calibration.cut_layers)
        self._test_share = test / test.sum()
        self._class_counts = partial(
            class_counts, calibration.train_samples, method=task.partition, shards_per_client=task.shards_per_client
        )
        self._worlds = Worlds.empty(worlds, scenario.clients.count, len(test))
        self.data_share = self._worlds.data_share
        self.accuracy = self._worlds.accuracy
        self.worst_accuracy = self._worlds.worst_accuracy
        self.balanced_accuracy = self._worlds.balanced_accuracy
        self.loss = self._worlds.loss
        self.client_loss = self._worlds.client_loss
        self.client_accuracy = self._worlds.client_accuracy
        self.cut_layer = self._worlds.cut_layer
        self.client_cut_layer = self._worlds.client_cut_layer
        self.trained = self._worlds.trained
        self.finite = np.ones(worlds, bool)
        self.evaluated = self._worlds.evaluated
        self.prescribed_ratio = np.full(worlds, np.nan)

    def reset(self, world: int, rng: np.random.Generator, clients: int, dirichlet_alpha: float) -> None:
        """Begins an episode in one world.

        Args:
            world: 0..N-1.
            rng: Draws how the data lie and the luck of the episode.
            clients: The first so many of C exist.
            dirichlet_alpha: Concentration of partition "dirichlet".
        """
        w, p, classes = self._worlds, self._parameters, len(self._test_share)
        counts = self._class_counts(clients=clients, generator=rng, dirichlet_alpha=dirichlet_alpha)
        settle(w, world, counts, p.kept_by_evenness)
        normals = rng.standard_normal(2 + 2 * classes)
        w.luck[world] = exp(p.luck * normals[0])
        w.talent[world] = p.talent * normals[2 : 2 + classes]
        w.wobble[world] = p.wobble * normals[2 + classes :]
        # Before the first round all have the same network, which guesses.
        guessed = max(1 + GUESSING_SPREAD * normals[1], 0.0) / classes
        measured = round(guessed * self.evaluation_samples) / self.evaluation_samples
        for accuracy in (w.accuracy, w.worst_accuracy, w.balanced_accuracy, w.client_accuracy):
            accuracy[world] = measured

    def round(self, cut_layer: Ints, participants: Bools, aggregation_ratio: Floats, normals: Floats) -> None:
        """One round in all worlds.

        Args:
            cut_layer: [N] 1..L-1.
            participants: [N, C]; only clients that exist.
            aggregation_ratio: [N] phi.
            normals: [N, normals_per_round] standard normals.
        """
        play_round(
            self._worlds,
            cut_layer,
            participants,
            aggregation_ratio,
            normals,
            self._parameters,
            self._test_share,
            self.evaluation_samples,
            self._evaluate_every,
            self._batch_size,
        )
