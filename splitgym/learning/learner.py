"""The real learner: split training in PyTorch, round by round."""

from math import log

import numpy as np
import torch
from numpy.typing import NDArray

from splitgym import data, models
from splitgym.frameworks import Framework, aggregated_rows, get
from splitgym.frameworks.parties import Exercise, Parties
from splitgym.learning.accuracy import Evaluator
from splitgym.learning.batches import BatchOrder
from splitgym.rounds import Decision, RoundOutcome
from splitgym.scenario import Scenario, ScenarioError


def training_device(name: str | torch.device | None) -> torch.device:
    """The torch device of that name; None: cuda if there is one, else cpu.

    Raises:
        ScenarioError: torch has no such device here.
    """
    try:
        return torch.empty(0, device=name or ("cuda" if torch.cuda.is_available() else "cpu")).device
    except (RuntimeError, AssertionError) as error:
        raise ScenarioError(f"device = {str(name)!r} is not there: {str(error).splitlines()[0]}") from error


class Learner:
    """Trains a scenario's network with a framework on the scenario's data, for real.

    Args:
        scenario: Task and training settings.
        framework: Name of a framework, or one.
        seed: Determines split, partition, initial weights and the order of the mini-batches.
        device: Where to train; default: cuda if there is one, else cpu.

    Raises:
        DataError: the scenario's data is not to be found; the message says where to get it.
    """

    def __init__(
        self,
        scenario: Scenario,
        framework: str | Framework = "epsl",
        seed: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        self.framework = get(framework) if isinstance(framework, str) else framework
        self.device = training_device(device)
        self._training = scenario.training
        task, count = scenario.task, scenario.clients.count
        rng = np.random.default_rng(seed)
        dataset = data.load(task.dataset, rng, test_fraction=task.test_fraction, train_samples=task.train_samples)
        self.input_shape = tuple(dataset.train_images.shape[1:])
        self.classes = len(dataset.classes)
        parts = data.partition(
            dataset.train_labels,
            count,
            task.partition,
            rng,
            dirichlet_alpha=task.dirichlet_alpha,
            shards_per_client=task.shards_per_client,
        )
        self.data_share = np.array([len(part) for part in parts]) / sum(len(part) for part in parts)
        self._orders = [BatchOrder(part, stream) for part, stream in zip(parts, rng.spawn(count), strict=True)]
        self._images = self._on_device(dataset.train_images)
        self._labels = torch.from_numpy(dataset.train_labels).to(self.device)
        weights = torch.Generator().manual_seed(int(rng.integers(2**63)))
        network = models.build(task.model, self.input_shape, self.classes, weights, stem=task.stem)
        # Pooling of small images is several times faster in this format on a CPU.
        network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.profile = models.profile(network, self.input_shape)
        self.parties = Parties(network, count, scenario.training)
        measured = slice(None, task.evaluation_samples)
        self._evaluator = Evaluator(
            self._on_device(dataset.test_images[measured]),
            torch.from_numpy(dataset.test_labels[measured]).to(self.device),
        )
        self._evaluate_every = task.evaluate_every
        self._rounds = 0
        accuracy = self._evaluator.client_accuracy(self.parties)
        self.outcome = RoundOutcome(
            accuracy=float(self.data_share @ accuracy),
            worst_accuracy=float(accuracy.min()),
            loss=log(self.classes),
            client_loss=np.full(count, log(self.classes)),
            client_accuracy=accuracy,
            cut_layer=0,
            client_cut_layer=self.parties.client_cut_layer,
            trained=False,
            finite=True,
            evaluated=True,
            evaluation_samples=len(self._evaluator),
        )

    def round(self, decision: Decision) -> RoundOutcome:
        """Trains one round with the clients that the decision selects.

        Args:
            decision: Of one world; its cut layer, selection and aggregation ratio matter here.

        Returns:
            What the round taught; also kept as `outcome`.

        Raises:
            ValueError: the decision does not fit the network or the number of clients, or aggregates where the
            framework
                does not.
        """
        self._check(decision)
        self._rounds += 1
        participants = tuple(int(i) for i in np.flatnonzero(decision.selected))
        trained = finite = False
        if participants:
            self.parties.move_cut(int(decision.cut_layer), participants, self.data_share)
            exercise = self._exercise(participants, float(decision.aggregation_ratio))
            trained = finite = self.framework.train(self.parties, exercise)
            self._evaluator.forget(range(len(self._orders)) if self._cut_moved() else participants)
        self.outcome = self._look(exercise if trained else None, finite or not participants)
        return self.outcome

    def _on_device(self, images: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(images).to(self.device).contiguous(memory_format=torch.channels_last)

    def _cut_moved(self) -> bool:
        return self.outcome.cut_layer != self.parties.cut_layer

    def _exercise(self, participants: tuple[int, ...], aggregation_ratio: float) -> Exercise:
        b = self._training.batch_size
        rows = np.stack([self._orders[i].draw(b) for i in participants])
        index = torch.from_numpy(rows).to(self.device)
        share = self.data_share[list(participants)]
        return Exercise(
            participants=participants,
            weights=torch.tensor(share / share.sum(), dtype=self._images.dtype, device=self.device),
            images=self._images[index],
            labels=self._labels[index],
            aggregated_rows=int(aggregated_rows(aggregation_ratio, b)),
            losses=torch.zeros(len(participants), device=self.device),
        )

    def _look(self, exercise: Exercise | None, finite: bool) -> RoundOutcome:
        """The outcome after a round; without an exercise, of a round that taught nothing."""
        before = self.outcome
        client_loss, loss = before.client_loss, before.loss
        if exercise is not None:
            losses = exercise.losses.double().cpu().numpy()
            client_loss = before.client_loss.copy()
            client_loss[list(exercise.participants)] = losses
            loss = float(exercise.weights.double().cpu().numpy() @ losses)
        evaluated = self._rounds % self._evaluate_every == 0
        accuracy = self._evaluator.client_accuracy(self.parties) if evaluated else before.client_accuracy
        return RoundOutcome(
            accuracy=float(self.data_share @ accuracy),
            worst_accuracy=float(accuracy.min()),
            loss=loss,
            client_loss=client_loss,
            client_accuracy=accuracy,
            cut_layer=self.parties.cut_layer,
            client_cut_layer=self.parties.client_cut_layer,
            trained=exercise is not None,
            finite=finite,
            evaluated=evaluated,
            evaluation_samples=len(self._evaluator),
        )

    def _check(self, decision: Decision) -> None:
        cuts, count = len(self.profile.forward_flops) - 1, len(self._orders)
        if not 1 <= int(decision.cut_layer) <= cuts:
            raise ValueError(f"Decision.cut_layer = {decision.cut_layer}, allowed: 1..{cuts}")
        if np.shape(decision.selected) != (count,):
            raise ValueError(f"Decision.selected has shape {np.shape(decision.selected)}, allowed: ({count},)")
        highest = 1.0 if self.framework.aggregates else 0.0
        if not 0.0 <= float(decision.aggregation_ratio) <= highest:
            raise ValueError(
                f"Decision.aggregation_ratio = {decision.aggregation_ratio}, "
                f"allowed with framework {self.framework.name!r}: 0..{highest:g}"
            )
